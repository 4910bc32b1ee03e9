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


WAYS = (
    Way("asyncio", "ntlm", "gss"),
    Way("trio", "kerberos", "aes256gcm"),
    Way("trio", "ntlm", "aes256gcm"),
    Way("asyncio", "kerberos", "gss"),
)


@pytest.fixture(scope="module")
def servers(
    kdc: Kdc, tmp_path_factory: pytest.TempPathFactory
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
                )
            )
            for flavour in ("asyncio", "trio")
        }


@pytest.fixture(params=WAYS, ids=str)
async def channel(
    request: pytest.FixtureRequest,
    servers: dict[str, ServerProcess],
    kerberos_environment: Kdc,
) -> AsyncIterator[Channel]:
    """A channel to the service, by each way."""
    way: Way = request.param
    credentials: ClientCredentials = ALICE
    if way.mechanism == "kerberos":
        credentials = TicketCache(kerberos_environment.kinit("alice"))
    async with connected(
        servers[way.flavour].address,
        credentials=credentials,
        policy=SecurityPolicy(suites=(way.suite,)),
    ) as connection:
        yield connection
