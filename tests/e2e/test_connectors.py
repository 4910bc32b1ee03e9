"""Calls over every connector: what each may carry, and whom a handler sees."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from copy import copy
from pathlib import Path

import anyio
import pytest

from signetrpc.rpc import (
    AuthenticationFailed,
    Authorizer,
    Channel,
    ChannelBinding,
    Keytab,
    RpcError,
    SecurityPolicy,
    Server,
    StatusCode,
    anyone,
    connect,
    connect_with,
)
from signetrpc.transport import (
    Acceptor,
    Address,
    ConnectionClosed,
    PlainAcceptor,
    PlainConnector,
    Protection,
    TlsAcceptor,
    TlsConnector,
    listen_with,
)
from tests.e2e.trial import METHODS, Seen, Trial, call
from tests.support.certificates import Authority
from tests.support.kdc import Kdc
from tests.support.negotiation import ALICE, account_file

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(
    acceptor: Acceptor,
    target: str = "tcp://localhost:0",
    authorize: Authorizer | None = None,
) -> AsyncGenerator[Address]:
    """Serve `Trial` by an acceptor and give the address."""
    async with anyio.create_task_group() as group:
        async with await listen_with(target, acceptor) as listener:
            server = Server([Trial], authorize=authorize)
            group.start_soon(server.serve_listener, listener)
            yield listener.address
            group.cancel_scope.cancel()


@pytest.fixture(params=["tcp", "unix"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Run a test over both kinds of socket."""
    return {
        "tcp": "tcp://localhost:0",
        "unix": f"unix://{tmp_path}/socket",
    }[request.param]


async def seen(channel: Channel, method: str = "seen") -> Seen:
    found = await call(channel, method)
    assert isinstance(found, Seen)
    return found


@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
async def test_over_tls_a_caller_is_the_certificates_subject(
    target: str, required: bool, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    tls = authority.client(authority.issue("alice", names=()), server_name="localhost")
    acceptor = TlsAcceptor(authority.server(require_client=required))
    async with serving(acceptor, target) as address:
        async with connect_with(TlsConnector(address, tls=tls)) as channel:
            assert channel.peer.name == "CN=localhost"
            for method in ("seen", "seen_in_thread", "seen_inline"):
                caller = await seen(channel, method)
                assert (caller.principal, caller.mechanism) == ("CN=alice", "tls")
                # Asked for at SIGN; TLS gives more.
                assert caller.protection == "SEAL"
            for method in ("plain", "signed", "sealed"):
                assert await call(channel, method, text="x") == "x"


async def test_over_tls_a_caller_without_a_certificate_is_anonymous(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    acceptor = TlsAcceptor(authority.server())
    async with serving(acceptor, authorize=anyone) as address:
        connector = TlsConnector(address, tls=authority.client())
        async with connect_with(connector) as channel:
            assert await call(channel, "sealed", text="x") == "x"
            assert (await seen(channel)).principal == "anonymous"


async def test_over_tls_nobody_may_call_whom_nothing_proved(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with serving(TlsAcceptor(authority.server())) as address:
        connector = TlsConnector(address, tls=authority.client())
        async with connect_with(connector) as channel:
            with pytest.raises(RpcError) as caught:
                await call(channel, "sealed", text="x")
            assert caught.value.status is StatusCode.PERMISSION_DENIED


async def test_over_tls_a_caller_who_needs_a_certificate_is_told(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    acceptor = TlsAcceptor(authority.server(require_client=True))
    async with serving(acceptor) as address:
        connector = TlsConnector(address, tls=authority.client())
        with pytest.raises((AuthenticationFailed, ConnectionClosed), match="certific"):
            async with connect_with(connector):
                raise AssertionError("let in without a certificate")


async def test_a_plain_connection_carries_what_needs_no_protection(
    target: str,
) -> None:
    async with serving(PlainAcceptor(), target) as address:
        async with connect_with(PlainConnector(address)) as channel:
            assert await call(channel, "plain", text="x") == "x"
            assert (await seen(channel, "seen_unprotected")).principal == "anonymous"


@pytest.mark.parametrize("name", ["signed", "sealed"])
async def test_a_plain_connection_carries_nothing_else(name: str) -> None:
    async with serving(PlainAcceptor()) as address:
        async with connect_with(PlainConnector(address)) as channel:
            with pytest.raises(RpcError) as caught:
                await call(channel, name, text="x")
            assert caught.value.status is StatusCode.FAILED_PRECONDITION
            level = "SIGN" if name == "signed" else "SEAL"
            assert f"level {level} asked for" in caught.value.message
            assert "gives NONE" in caught.value.message
            with pytest.raises(RpcError, match="level SEAL asked for"):
                await call(channel, "plain", text="x", protection=Protection.SEAL)
            assert await call(channel, "plain", text="still there") == "still there"


BOUND = SecurityPolicy(channel_binding=ChannelBinding.ALWAYS)


async def test_negotiate_over_tls_with_ntlm(target: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = Server(
        [Trial],
        accept=[account_file(tmp_path)],
        policy=BOUND,
        tls=authority.server(),
    )
    async with anyio.create_task_group() as group:
        address = await group.start(server.serve, target)
        tls = authority.client(server_name="localhost")
        async with connect(
            address, credentials=ALICE, policy=BOUND, tls=tls
        ) as channel:
            assert channel.peer.channel_bound
            caller = await seen(channel)
            assert (caller.principal, caller.mechanism) == (r"CORP\alice", "ntlm")
            # TLS lifts no level here: the call's own is what counts.
            assert caller.protection == "SIGN"
            assert await call(channel, "sealed", text="x") == "x"
        group.cancel_scope.cancel()


async def test_negotiate_over_tls_with_kerberos(
    kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{kerberos_environment.kinit('alice')}")
    server = Server(
        [Trial],
        accept=[Keytab(kerberos_environment.keytab_file)],
        policy=BOUND,
        tls=authority.server(),
    )
    async with anyio.create_task_group() as group:
        address = await group.start(server.serve, "tcp://localhost:0")
        async with connect(address, policy=BOUND, tls=authority.client()) as channel:
            assert channel.peer.channel_bound and channel.peer.mutual
            caller = await seen(channel)
            assert caller.principal == "alice@KRBTEST.COM"
        group.cancel_scope.cancel()


async def test_calls_at_once_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with serving(TlsAcceptor(authority.server()), authorize=anyone) as address:
        connector = TlsConnector(address, tls=authority.client())
        async with connect_with(connector) as channel:
            answers: dict[int, int] = {}

            async def square(number: int) -> None:
                turns = number % 3
                answers[number] = await call(
                    channel, "square", number=number, turns=turns
                )

            async with anyio.create_task_group() as group:
                for number in range(500):
                    group.start_soon(square, number)
            assert answers == {number: number * number for number in range(500)}
            size = 3_000_000
            assert await call(channel, "length", data=bytes(size)) == size
            assert len(await call(channel, "blob", size=size)) == size


async def test_a_caller_who_ignores_a_methods_level_is_refused_on_plain() -> None:
    sealed = copy(METHODS["sealed"])
    sealed.protection = Protection.NONE
    async with serving(PlainAcceptor()) as address:
        async with connect_with(PlainConnector(address)) as channel:
            with pytest.raises(RpcError) as caught:
                await channel.unary(sealed, sealed.arguments(text="x"))
            assert caught.value.status is StatusCode.PERMISSION_DENIED
            assert "SEAL" in caught.value.message and "NONE" in caught.value.message
