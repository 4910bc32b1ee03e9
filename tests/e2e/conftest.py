"""Servers of the end-to-end tests: one process each for all tests that spare it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.processes import FLAVOURS, ServerProcess
from tests.support.kdc import Kdc
from tests.support.negotiation import account_file

ServerOf = Callable[[str], ServerProcess]


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of an account file."""
    folder: Path = tmp_path_factory.mktemp("accounts")
    return str(account_file(folder).path)


@pytest.fixture(scope="session")
def ntlm_servers(accounts: str) -> Iterator[ServerOf]:
    """NTLM servers by flavour, started when first asked for."""
    with ExitStack() as stack:
        running: dict[str, ServerProcess] = {}

        def server_of(flavour: str) -> ServerProcess:
            if flavour not in running:
                running[flavour] = stack.enter_context(
                    ServerProcess(flavour=flavour, accounts=accounts, minimum="NONE")
                )
            return running[flavour]

        yield server_of


@pytest.fixture(scope="session")
def kerberos_servers(kdc: Kdc) -> Iterator[ServerOf]:
    """Kerberos servers by flavour, started when first asked for."""
    with ExitStack() as stack:
        running: dict[str, ServerProcess] = {}

        def server_of(flavour: str) -> ServerProcess:
            if flavour not in running:
                server = ServerProcess(
                    env=kdc.environment(),
                    flavour=flavour,
                    keytab=str(kdc.keytab_file),
                    minimum="NONE",
                )
                running[flavour] = stack.enter_context(server)
            return running[flavour]

        yield server_of


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Each event loop that a server runs on."""
    name: str = request.param
    return name


@pytest.fixture
def server(ntlm_servers: ServerOf, anyio_backend: str) -> ServerProcess:
    """An NTLM server on the event loop of the test's client."""
    return ntlm_servers(anyio_backend)
