"""Handlers of callers who may not read Python or the service, as on most machines."""

import pytest

from signetrpc.rpc import connect
from tests.e2e.processes import FLAVOURS
from tests.impersonation.imports import LATE, START, UID, NoArguments
from tests.impersonation.processes import ServerProcess, closed_python
from tests.support.people import ALICE, BOB, People

_ASK = NoArguments()


@pytest.mark.anyio
@pytest.mark.parametrize("plain", [False, True], ids=["root", "plain"])
@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_calls_are_served_with_what_was_imported_before(
    people: People, anyio_backend: str, *, plain: bool, flavour: str
) -> None:
    services = ["tests.impersonation.imports:Imports"]
    accounts = str(people.accounts)
    with ServerProcess(
        plain=plain, flavour=flavour, services=services, accounts=accounts
    ) as server:
        for person, missing in ((ALICE, True), (BOB, False)):
            # With it closed, each worker is new: it starts with nothing but a fork.
            async with connect(
                server.address, credentials=person.credentials
            ) as channel:
                if missing:
                    with closed_python():
                        assert await channel.unary(UID, _ASK) == person.uid
                        assert await channel.unary(LATE, _ASK) == "ModuleNotFoundError"
                        assert await channel.unary(START, _ASK) == "PermissionError"
                assert await channel.unary(UID, _ASK) == person.uid
                assert await channel.unary(LATE, _ASK) == ""
                assert await channel.unary(START, _ASK) == f"{person.uid}\n"
