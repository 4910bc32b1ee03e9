"""NTLM between two processes: what it proves, and what it refuses."""

import os
from pathlib import Path
from typing import Any

import pytest

from signetrpc.rpc import (
    Mechanism,
    Password,
    Protection,
    RpcError,
    SecurityPolicy,
    StatusCode,
    UnaryMethod,
    connect_blocking,
)
from signetrpc.transport import (
    AuthenticationFailed,
    FailureReason,
    NegotiationProtocol,
)
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import ServerProcess, connected
from tests.e2e.trial import METHODS, call, call_blocking
from tests.support.negotiation import ALICE

UNPROTECTED = SecurityPolicy(minimum_protection=Protection.NONE)

pytestmark = pytest.mark.anyio


async def test_calls_at_each_level(ntlm_servers: ServerOf, flavour: str) -> None:
    server = ntlm_servers(flavour)
    async with connected(server.address, policy=UNPROTECTED) as channel:
        assert channel.minimum_protection is Protection.NONE
        for name in ("plain", "signed", "sealed"):
            assert await call(channel, name, text=f"{name} ü") == f"{name} ü"


async def test_the_handler_knows_the_caller(
    ntlm_servers: ServerOf, flavour: str
) -> None:
    async with connected(ntlm_servers(flavour).address) as channel:
        for name in ("seen", "seen_in_thread", "seen_inline"):
            seen = await call(channel, name)
            assert seen.principal == r"CORP\alice"
            assert seen.mechanism == "ntlm"
            assert seen.protection == "SIGN"
            # NTLM proves the client alone.
            assert not seen.mutual
        raised = await call(channel, "seen", protection=Protection.SEAL)
        assert raised.protection == "SEAL"
    assert not channel.peer.mutual


async def test_an_unprotected_call_has_no_caller(server: ServerProcess) -> None:
    async with connected(server.address, policy=UNPROTECTED) as channel:
        seen = await call(channel, "seen_unprotected")
        assert (seen.principal, seen.mechanism) == ("anonymous", "anonymous")
        raised = await call(channel, "seen_unprotected", protection=Protection.SIGN)
        assert raised.principal == r"CORP\alice"


async def test_a_minimum_lifts_all_calls(server: ServerProcess) -> None:
    policy = SecurityPolicy(minimum_protection=Protection.SEAL)
    async with connected(server.address, policy=policy) as channel:
        seen = await call(channel, "seen_unprotected")
        assert (seen.principal, seen.protection) == (r"CORP\alice", "SEAL")


@pytest.mark.parametrize("form", [NegotiationProtocol.NTLM, None])
async def test_by_itself_and_under_negotiate(
    server: ServerProcess, form: NegotiationProtocol | None
) -> None:
    policy = SecurityPolicy(
        mechanisms=frozenset({Mechanism.NTLM}),
        negotiation=form or NegotiationProtocol.NEGOTIATE,
    )
    async with connected(server.address, policy=policy) as channel:
        assert (await call(channel, "seen")).mechanism == "ntlm"


async def test_wrong_password_and_unknown_user_read_the_same(
    server: ServerProcess,
) -> None:
    said: set[str] = set()
    for credentials in (
        Password(r"CORP\alice", "wrong"),
        Password(r"CORP\nobody", "Wonder1and"),
        Password(r"ELSEWHERE\alice", "Wonder1and"),
    ):
        with pytest.raises(AuthenticationFailed) as caught:
            async with connected(server.address, credentials=credentials):
                raise AssertionError("let in")
        assert caught.value.reason is FailureReason.REFUSED
        said.add(str(caught.value))
    assert said == {"the peer refused the handshake: wrong user, password or ticket"}


async def test_mutual_authentication_cannot_be_had(server: ServerProcess) -> None:
    policy = SecurityPolicy(require_mutual=True)
    with pytest.raises(AuthenticationFailed, match="use Kerberos") as caught:
        async with connected(server.address, policy=policy):
            raise AssertionError("let in")
    assert caught.value.reason is FailureReason.NOT_PROVEN


async def test_a_server_that_demands_more_than_the_client_gives(
    accounts: str, anyio_backend: str
) -> None:
    policy = SecurityPolicy(minimum_protection=Protection.SIGN)
    with ServerProcess(
        flavour=anyio_backend, accounts=accounts, minimum="SEAL"
    ) as server:
        async with connected(server.address, policy=policy) as channel:
            # The higher of the two counts, and nothing goes below.
            assert channel.minimum_protection is Protection.SEAL
            assert (await call(channel, "seen")).protection == "SEAL"


async def test_over_a_unix_socket(
    tmp_path: Path, accounts: str, anyio_backend: str
) -> None:
    path = tmp_path / "socket"
    with ServerProcess(
        flavour=anyio_backend, accounts=accounts, target=f"unix://{path}"
    ) as server:
        assert server.address == f"unix://{path}"
        async with connected(server.address) as channel:
            assert (await call(channel, "seen")).principal == r"CORP\alice"
    assert not os.path.lexists(path)


async def test_a_method_that_is_not_there(server: ServerProcess) -> None:
    known = METHODS["signed"]
    unknown: UnaryMethod[Any, str] = UnaryMethod(
        service="e2e.Trial",
        name="absent",
        protection=Protection.SIGN,
        arguments=known.arguments,
        result=str,
    )
    async with connected(server.address) as channel:
        with pytest.raises(RpcError) as caught:
            await channel.unary(unknown, known.arguments(text="x"))
        assert caught.value.status is StatusCode.UNIMPLEMENTED
        assert await call(channel, "signed", text="x") == "x"


def test_the_blocking_client(ntlm_servers: ServerOf, flavour: str) -> None:
    address = ntlm_servers(flavour).address
    with connect_blocking(address, credentials=ALICE) as channel:
        seen = call_blocking(channel, "seen")
        assert (seen.principal, seen.mechanism) == (r"CORP\alice", "ntlm")
        assert not channel.peer.mutual
