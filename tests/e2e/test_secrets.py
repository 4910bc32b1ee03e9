"""No password and no key in anything that is logged, printed or sent."""

import logging

import anyio
import pytest

from signetrpc.rpc import Password, RpcError, TicketCache
from signetrpc.transport import AccountFile, AuthenticationFailed
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import PATIENCE, ServerProcess, connected
from tests.e2e.proxies import proxied
from tests.e2e.trial import call
from tests.support.kdc import REALM, SERVICE, USERS, Kdc
from tests.support.negotiation import ALICE

pytestmark = pytest.mark.anyio


def forms(secret: str) -> list[str]:
    """Return a secret as it may show up in a text."""
    return [secret, secret.encode().hex(), secret.encode("utf-16-le").hex()]


def check_text(text: str, *secrets: str) -> None:
    """Check that a text has none of the secrets."""
    for secret in secrets:
        for form in forms(secret):
            assert form.lower() not in text.lower()


def check_bytes(data: bytes, *secrets: str) -> None:
    """Check that bytes have none of the secrets."""
    for secret in secrets:
        assert secret.encode() not in data
        assert secret.encode("utf-16-le") not in data


async def test_ntlm(
    server: ServerProcess, caplog: pytest.LogCaptureFixture, accounts: str
) -> None:
    wrong = Password(r"CORP\alice", "Wr0ng-Passw0rd")
    right = ALICE
    secrets = (right.password, wrong.password, "Bui1der", "C4rol")
    caplog.set_level(logging.DEBUG)
    async with proxied(server.address) as proxy:
        async with connected(proxy.address) as channel:
            await call(channel, "sealed", text="x")
            with pytest.raises(RpcError) as failed:
                await call(channel, "fail", secret="x")
            said = [repr(channel), repr(channel.peer), repr(failed.value)]
        with pytest.raises(AuthenticationFailed) as refused:
            async with connected(proxy.address, credentials=wrong):
                raise AssertionError("let in")
        said += [repr(refused.value), str(refused.value), repr(refused.value.__cause__)]
        said += [repr(wrong), str(right), repr(AccountFile(accounts))]
        check_bytes(
            bytes(proxy.to_server.recorded + proxy.to_client.recorded), *secrets
        )
    check_text("\n".join(said), *secrets)
    check_text(caplog.text, *secrets)
    with anyio.fail_after(PATIENCE):
        while "handshake on" not in server.log():  # it tells the client first
            await anyio.sleep(0.01)
    check_text(server.log(), *secrets)


async def test_kerberos(
    kerberos_environment: Kdc,
    kerberos_servers: ServerOf,
    anyio_backend: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = Password(f"alice@{REALM}", "Wr0ng-Passw0rd")
    right = Password(f"alice@{REALM}", USERS["alice"])
    secrets = (right.password, wrong.password)
    caplog.set_level(logging.DEBUG)
    server = kerberos_servers(anyio_backend)
    async with proxied(server.address) as proxy:
        for credentials in (right, TicketCache(kerberos_environment.kinit("alice"))):
            async with connected(
                proxy.address, credentials=credentials, service_principal=SERVICE
            ) as channel:
                await call(channel, "sealed", text="x")
        with pytest.raises(AuthenticationFailed) as refused:
            async with connected(proxy.address, credentials=wrong):
                raise AssertionError("let in")
        check_bytes(
            bytes(proxy.to_server.recorded + proxy.to_client.recorded), *secrets
        )
    said = [repr(refused.value), repr(refused.value.__cause__), repr(wrong)]
    check_text("\n".join(said), *secrets)
    check_text(caplog.text, *secrets)
    check_text(server.log(), *secrets)


def test_the_check_finds_secrets() -> None:
    """Against a test that looks for what cannot be there."""
    for form in forms("Passw0rd"):
        with pytest.raises(AssertionError):
            check_text(f"... {form.upper()} ...", "Passw0rd")
    for data in (b"...Passw0rd", "..Passw0rd".encode("utf-16-le")):
        with pytest.raises(AssertionError):
            check_bytes(data, "Passw0rd")
