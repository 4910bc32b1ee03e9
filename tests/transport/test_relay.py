"""Somebody who terminates TLS in between, with a certificate that the client trusts.

Proofs that are bound to the channel are worth nothing on the channel behind him.  Two
bindings find it, FINISHED's and the mechanism's own; each is shown to do so alone.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from signetrpc.transport import ChannelBinding, HandshakeError, Pipe, TlsAcceptor
from signetrpc.transport._pipes_tls import PipeOverTls
from signetrpc.transport.errors import ConnectionClosed, IntegrityError, TransportError
from signetrpc.transport.testing import memory_pipes
from tests.support.certificates import Authority
from tests.support.meetings import Outcome, closed, meet, short_linger
from tests.transport.test_acceptors import Ends, assert_bound, ends

__all__ = ["ends", "short_linger"]

pytestmark = pytest.mark.anyio

BINDINGS = {"finished": "certificate_hash", "mechanism": "end_point_binding"}


def blind(binding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one of the two bindings the same for every certificate."""

    def same(_: bytes) -> bytes:
        return b"h" * 32

    for module in ("_connectors", "_acceptors"):
        monkeypatch.setattr(f"signetrpc.transport.{module}.{BINDINGS[binding]}", same)


@asynccontextmanager
async def relay(authority: Authority) -> AsyncGenerator[tuple[Pipe, Pipe]]:
    """Give a client's and a server's pipe with a relay between them."""
    client, from_client = memory_pipes()
    to_server, server = memory_pipes()
    # He has a certificate for the same name, of the same authority.
    own = authority.server(authority.issue())
    inward = PipeOverTls(from_client, own.context(), server_side=True)
    outward = PipeOverTls(
        to_server, authority.client().context(), server_side=False, hostname="localhost"
    )
    async with anyio.create_task_group() as group:
        group.start_soon(_run, inward, outward)
        yield client, server
        group.cancel_scope.cancel()


async def _run(inward: PipeOverTls, outward: PipeOverTls) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(inward.shake_hands)
        group.start_soon(outward.shake_hands)
    async with anyio.create_task_group() as group:
        group.start_soon(_pass_on, inward, outward)
        group.start_soon(_pass_on, outward, inward)


async def _pass_on(here: Pipe, there: Pipe) -> None:
    try:
        while data := await here.receive():
            there.write(data)
            await there.drain()
    except TransportError:
        pass
    await there.aclose(linger=False)


async def relayed(ends: Ends, binding: ChannelBinding) -> Outcome:
    async with relay(ends.authority) as pipes:
        outcome = await meet(ends.connector(binding), ends.acceptor(binding), pipes)
        await closed(outcome)
        return outcome


async def test_a_relay_gets_through_where_nothing_is_bound(ends: Ends) -> None:
    # So the other tests here fail for no other reason.
    outcome = await relayed(ends, ChannelBinding.NEVER)
    assert_bound(outcome, ends.mechanism, bound=False)


@pytest.mark.parametrize(
    "binding", [ChannelBinding.WHEN_SUPPORTED, ChannelBinding.ALWAYS]
)
async def test_a_relay_is_found_by_both_ends(
    binding: ChannelBinding, ends: Ends
) -> None:
    outcome = await relayed(ends, binding)
    for error in outcome.errors:
        assert isinstance(error, (HandshakeError, IntegrityError, ConnectionClosed))


@pytest.mark.parametrize("blinded", sorted(BINDINGS))
async def test_each_binding_finds_a_relay_by_itself(
    blinded: str, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind(blinded, monkeypatch)
    outcome = await relayed(ends, ChannelBinding.ALWAYS)
    server = outcome.errors[1]
    if blinded == "mechanism":
        assert "FINISHED does not match" in str(outcome.errors)
    else:
        assert isinstance(server, HandshakeError), server


async def test_without_both_a_relay_gets_through(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bindings are what finds it, and nothing else.
    for binding in BINDINGS:
        blind(binding, monkeypatch)
    outcome = await relayed(ends, ChannelBinding.ALWAYS)
    assert_bound(outcome, ends.mechanism, bound=True)


async def test_a_relay_whom_the_client_does_not_trust_sees_no_proof(
    ends: Ends, tmp_path: Path
) -> None:
    relay = TlsAcceptor(Authority(tmp_path, "Other CA").server())
    client, server = (await meet(ends.connector(), relay)).errors
    assert "certificate is not good" in str(client)
    assert "TLS failed" in str(server)  # before a byte of HELLO
