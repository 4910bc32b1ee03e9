"""The back service: tells its callers what they earn, and nobody what others do."""

from decimal import Decimal

from signetrpc.rpc import (
    Protection,
    RpcError,
    StatusCode,
    current_caller,
    method,
    service,
)

# Not by the name alone: two realms can each have an alice.
_SALARIES = {
    ("DEMO.TEST", "alice"): Decimal("5200.00"),
    ("DEMO.TEST", "bob"): Decimal("4800.00"),
}


@service("payroll.Payroll")
class Payroll:
    """Knows one kind of caller: the person whose salary it is."""

    @method(Protection.SEAL)
    async def salary(self) -> Decimal:
        """Return the caller's salary."""
        caller = current_caller()
        found = _SALARIES.get((caller.realm, caller.name))
        if found is None:
            raise RpcError(StatusCode.NOT_FOUND, f"{caller.principal} has no salary")
        return found
