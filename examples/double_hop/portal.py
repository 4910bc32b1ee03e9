"""The front service: it asks the back service for something, as its caller.

It has no account at the back service and no right to anybody's salary.  What it has,
for as long as a call lasts, is the ticket that the caller sent along.
"""

import os

from signetrpc.rpc import (
    Protection,
    SecurityPolicy,
    connect,
    current_caller,
    delegated_credential,
    method,
    service,
)

from payroll_client import PayrollClient

PAYROLL = "payroll/localhost"


@service("portal.Portal")
class Portal:
    """What people see."""

    @method(Protection.SEAL)
    async def salary_slip(self) -> str:
        """Return the caller's salary, in a sentence."""
        async with connect(
            os.environ["PAYROLL_ADDRESS"],
            # Without it the portal would call as itself.
            credentials=delegated_credential(),
            policy=SecurityPolicy.kerberos_only(),
            service_principal=PAYROLL,
        ) as channel:
            salary = await PayrollClient(channel).salary()
        return f"{current_caller().principal} earns {salary}"
