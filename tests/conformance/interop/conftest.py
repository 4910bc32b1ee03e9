"""Channels between two processes, by each way that the cases are run."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from signetrpc.rpc import Channel, ClientCredentials, SecurityPolicy, TicketCache
from tests.e2e.processes import ServerProcess, connected
from tests.support.kdc import Kdc
from tests.support.negotiation import ALICE, account_file


@dataclass(frozen=True)
class Way:
    """How the two processes are connected."""

    flavour: str
    mechanism: str
    suite: str

    def __str__(self) -> str:
        return f"{self.flavour}-{self.mechanism}-{self.suite}"


@dataclass(frozen=True)
class Meeting:
    """A server of such a way, and what it takes to connect."""

    server: ServerProcess
    credentials: ClientCredentials
    policy: SecurityPolicy


FEW = (("asyncio", "gss"), ("trio", "aes256gcm"))
WAYS = tuple(
    Way(flavour, mechanism, suite)
    for flavour in ("asyncio", "trio")
    for mechanism in ("ntlm", "kerberos")
    for suite in ("gss", "aes256gcm")
)


FEW_WAYS = tuple(each for each in WAYS if (each.flavour, each.suite) in FEW)
"""For what takes long: each mechanism in each suite, once."""


@pytest.fixture(scope="module")
def server_options() -> dict[str, int]:
    """What the servers are made with; for modules that need limits of their own."""
    return {}


@pytest.fixture(scope="module")
def servers(
    kdc: Kdc,
    tmp_path_factory: pytest.TempPathFactory,
    server_options: dict[str, int],
) -> Iterator[dict[str, ServerProcess]]:
    """A server on each event loop, for callers by either mechanism."""
    accounts = str(account_file(tmp_path_factory.mktemp("accounts")).path)
    keytab = str(kdc.keytab_file)
    with ExitStack() as stack:
        yield {
            flavour: stack.enter_context(
                ServerProcess(
                    env=kdc.environment(keytab=kdc.keytab_file),
                    flavour=flavour,
                    accounts=accounts,
                    keytab=keytab,
                    server=server_options,
                )
            )
            for flavour in ("asyncio", "trio")
        }


@pytest.fixture(scope="module")
def tickets(kdc: Kdc) -> TicketCache:
    """Those of alice, who has logged in once."""
    return TicketCache(kdc.kinit("alice"))


@pytest.fixture(params=WAYS, ids=str)
def meeting(
    request: pytest.FixtureRequest,
    servers: dict[str, ServerProcess],
    tickets: TicketCache,
    kerberos_environment: Kdc,
) -> Meeting:
    """How to connect, by each way."""
    way: Way = request.param
    credentials: ClientCredentials = ALICE
    if way.mechanism == "kerberos":
        credentials = tickets
    policy = SecurityPolicy(suites=(way.suite,))
    return Meeting(servers[way.flavour], credentials, policy)


@pytest.fixture
async def channel(meeting: Meeting) -> AsyncIterator[Channel]:
    """A channel to the services."""
    async with connected(
        meeting.server.address, credentials=meeting.credentials, policy=meeting.policy
    ) as connection:
        yield connection
