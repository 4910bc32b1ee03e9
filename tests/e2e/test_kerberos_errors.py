"""What goes wrong with Kerberos, and what the client is told."""

import re
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from signetrpc.rpc import (
    ClientCredentials,
    Keytab,
    Password,
    RpcError,
    SecurityPolicy,
    StatusCode,
    TicketCache,
    connect_blocking,
)
from signetrpc.transport import AuthenticationFailed, FailureReason
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import ServerProcess, connected
from tests.e2e.trial import call
from tests.support.kdc import OTHER_SERVICE, REALM, SERVICE, USERS, Kdc
from tests.support.parts import Part, require

STRICT = SecurityPolicy.kerberos_only()
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.anyio


async def refused(
    server: ServerProcess,
    credentials: ClientCredentials,
    *,
    service_principal: str = SERVICE,
) -> AuthenticationFailed:
    """Return the error of a connection that must not come about."""
    with pytest.raises(AuthenticationFailed) as caught:
        async with connected(
            server.address,
            credentials=credentials,
            policy=STRICT,
            service_principal=service_principal,
        ):
            raise AssertionError("let in")
    return caught.value


@pytest.fixture
def server(kerberos_servers: ServerOf, anyio_backend: str) -> ServerProcess:
    return kerberos_servers(anyio_backend)


@pytest.fixture
def realm(kerberos_environment: Kdc) -> Kdc:
    return kerberos_environment


async def test_a_service_that_the_kdc_does_not_know(
    server: ServerProcess, realm: Kdc
) -> None:
    tickets = TicketCache(realm.kinit("alice"))
    error = await refused(server, tickets, service_principal="host/nowhere")
    assert error.reason is FailureReason.UNKNOWN_SERVICE
    assert "the KDC does not know the service principal 'host/nowhere'" in str(error)


async def test_a_service_that_the_server_is_not(
    server: ServerProcess, realm: Kdc
) -> None:
    tickets = TicketCache(realm.kinit("alice"))
    error = await refused(server, tickets, service_principal=OTHER_SERVICE)
    assert error.reason is FailureReason.UNKNOWN_SERVICE
    assert "does not serve under this service principal" in str(error)


async def test_an_expired_ticket(server: ServerProcess, realm: Kdc) -> None:
    require(Part.FAKETIME)
    tickets = realm.kinit("alice", lifetime=HOUR, clock_offset=-2 * HOUR)
    error = await refused(server, TicketCache(tickets))
    assert error.reason is FailureReason.EXPIRED
    assert "the Kerberos ticket has expired: run kinit again" in str(error)


@pytest.mark.parametrize("with_service", [False, True])
async def test_a_ticket_that_is_not_yet_valid(
    server: ServerProcess, realm: Kdc, with_service: bool
) -> None:
    require(Part.FAKETIME)
    tickets = realm.kinit(
        "alice",
        lifetime=HOUR,
        clock_offset=2 * HOUR,
        service=SERVICE if with_service else None,
    )
    error = await refused(server, TicketCache(tickets))
    assert error.reason is FailureReason.CLOCK_SKEW


async def test_a_principal_that_the_kdc_does_not_know(
    server: ServerProcess, realm: Kdc
) -> None:
    error = await refused(server, Password(f"nobody@{REALM}", "secret"))
    assert error.reason is FailureReason.UNKNOWN_PRINCIPAL
    assert str(error) == f"the KDC does not know 'nobody@{REALM}'"


async def test_a_wrong_password(server: ServerProcess, realm: Kdc) -> None:
    error = await refused(server, Password(f"alice@{REALM}", "wrong"))
    assert error.reason is FailureReason.BAD_CREDENTIALS
    assert str(error) == f"wrong password or key for 'alice@{REALM}'"


async def test_no_tickets(server: ServerProcess, realm: Kdc) -> None:
    error = await refused(server, TicketCache())
    assert error.reason is FailureReason.NO_CREDENTIALS
    assert "kinit" in str(error)


async def test_a_keytab_without_the_key(server: ServerProcess, realm: Kdc) -> None:
    keytab = realm.keytab("bob")
    error = await refused(server, Keytab(keytab, f"alice@{REALM}"))
    assert error.reason is FailureReason.NO_CREDENTIALS


@pytest.mark.parametrize("minutes", [-20, 20])
async def test_a_server_with_another_clock(
    realm: Kdc, anyio_backend: str, minutes: int
) -> None:
    require(Part.FAKETIME)
    tickets = TicketCache(realm.kinit("alice"))
    with ServerProcess(
        env=realm.environment(clock_offset=timedelta(minutes=minutes)),
        flavour=anyio_backend,
        keytab=str(realm.keytab_file),
    ) as server:
        error = await refused(server, tickets)
    assert error.reason is FailureReason.CLOCK_SKEW
    assert "the clocks of the two machines differ too much" in str(error)


async def test_no_kdc(
    server: ServerProcess,
    realm: Kdc,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and never listening
        port = nobody.getsockname()[1]
        text = realm.krb5_config.read_text()
        config = tmp_path / "krb5.conf"
        config.write_text(re.sub(r"(kdc = 127.0.0.1:)\d+", rf"\g<1>{port}", text))
        monkeypatch.setenv("KRB5_CONFIG", str(config))
        error = await refused(server, Password(f"alice@{REALM}", USERS["alice"]))
        assert error.reason is FailureReason.NO_KDC
        assert str(error) == "no KDC could be reached"


async def test_a_channel_whose_tickets_have_gone(
    server: ServerProcess, realm: Kdc, anyio_backend: str
) -> None:
    """A reconnection that cannot authenticate fails the call that needed it."""
    cache = realm.kinit("alice")
    with ServerProcess(
        env=realm.environment(), flavour=anyio_backend, keytab=str(realm.keytab_file)
    ) as own:
        port = own.port
        async with connected(
            own.address, credentials=TicketCache(cache), policy=STRICT
        ) as channel:
            assert await call(channel, "signed", text="x") == "x"
            own.kill()
            with pytest.raises(RpcError) as caught:
                await call(channel, "hold", key="x")
            assert caught.value.status is StatusCode.UNAVAILABLE
            cache.unlink()
            with (
                ServerProcess(
                    env=realm.environment(),
                    flavour=anyio_backend,
                    keytab=str(realm.keytab_file),
                    target=f"tcp://127.0.0.1:{port}",
                ),
                pytest.raises(RpcError) as caught,
            ):
                await call(channel, "signed", text="x")
            assert caught.value.status is StatusCode.UNAUTHENTICATED
            assert "kinit" in caught.value.message


def test_the_blocking_client_is_told_the_same(
    kerberos_servers: ServerOf, realm: Kdc
) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        with connect_blocking(
            kerberos_servers("asyncio").address,
            credentials=Password(f"alice@{REALM}", "wrong"),
            policy=STRICT,
            service_principal=SERVICE,
        ):
            raise AssertionError("let in")
    assert caught.value.reason is FailureReason.BAD_CREDENTIALS
