"""Driving a handshake over a pipe: how it ends, and what is left when it does."""

import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from signetrpc.transport._config import Channel, SessionConfig
from signetrpc.transport._driver import close_on_failure, lifetime_end, shake_hands
from signetrpc.transport._events import Established
from signetrpc.transport._frames import FrameType
from signetrpc.transport._identity import Mechanism
from signetrpc.transport._pipes import Pipe
from signetrpc.transport._protection import Protection
from signetrpc.transport._security import SecurityPolicy
from signetrpc.transport._session import Session, SessionState
from signetrpc.transport.errors import (
    AuthenticationFailed,
    ConnectionClosed,
    FailureReason,
    HandshakeTimeout,
    RemoteProtocolError,
)
from signetrpc.transport.testing import ScriptedContext
from tests.support.calls import HeldPipe
from tests.support.pipes import KINDS, far_end, joined
from tests.support.sessions import config, frames, opened

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", KINDS)]


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most far ends here never say that they have ended."""
    for name in ("_pipes", "_pipes_asyncio"):
        monkeypatch.setattr(f"signetrpc.transport.{name}.LINGER_SECONDS", 0.02)


class Held(ScriptedContext):
    """A context whose steps do what the test says before they do their own."""

    def __init__(self, *, initiator: bool, before: Callable[[], None]) -> None:
        super().__init__(initiator=initiator)
        self._before = before

    def step(self, token: bytes | None) -> bytes | None:
        """Do what was said, then step."""
        self._before()
        return super().step(token)


def new_session(
    *,
    initiator: bool,
    legs: int = 2,
    seconds: float = 10.0,
    before: Callable[[], None] | None = None,
) -> Session:
    def context(_: object) -> ScriptedContext:
        if before is not None:
            return Held(initiator=initiator, before=before)
        return ScriptedContext(initiator=initiator, legs=legs)

    given = config(initiator=initiator)
    return Session(
        given,
        initiator=initiator,
        context=context,
        now=anyio.current_time() - given.policy.handshake_seconds + seconds,
    )


@asynccontextmanager
async def shaking(pipe: Pipe, session: Session) -> AsyncGenerator[list[Any]]:
    """Shake hands in a task; its outcome is in the list when the block is over."""
    outcome: list[Any] = []

    async def shake() -> None:
        try:
            outcome.append(await shake_hands(pipe, session))
        except Exception as error:
            outcome.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(shake)
        yield outcome


@pytest.mark.parametrize("legs", range(2, 9))
async def test_two_ends_agree(kind: str, legs: int) -> None:
    async with joined(kind) as (one, two):
        client = new_session(initiator=True, legs=legs)
        server = new_session(initiator=False, legs=legs)
        async with shaking(one, client) as outcome:
            established = await shake_hands(two, server)
        (mine,) = outcome
        assert isinstance(mine, Established)
        assert mine.peer.name == "host/server" and established.peer.name == "alice"
        assert client.state is server.state is SessionState.OPEN


async def test_a_refused_client_learns_why_and_both_pipes_close(kind: str) -> None:
    def refuse() -> None:
        raise AuthenticationFailed("nobody", reason=FailureReason.BAD_CREDENTIALS)

    async with joined(kind) as (one, two):
        async with shaking(one, new_session(initiator=True)) as outcome:
            with pytest.raises(AuthenticationFailed, match="nobody"):
                await shake_hands(two, new_session(initiator=False, before=refuse))
        (error,) = outcome
        assert isinstance(error, AuthenticationFailed)
        assert error.reason is FailureReason.REFUSED
        for pipe in (one, two):
            with pytest.raises(ConnectionClosed):
                await pipe.receive()


async def test_any_exception_of_a_step_is_a_failure(kind: str) -> None:
    def fail() -> None:
        raise KeyError("of a library")

    async with far_end(kind) as (pipe, sock):
        with pytest.raises(AuthenticationFailed) as caught:
            await shake_hands(pipe, new_session(initiator=True, before=fail))
        assert isinstance(caught.value.__cause__, KeyError)
        hello, reject = frames(sock.recv(10_000))
        assert (hello.kind, reject.kind) == (FrameType.HELLO, FrameType.REJECT)
        assert sock.recv(1) == b""


async def test_a_peer_that_goes_away(kind: str) -> None:
    async with far_end(kind) as (pipe, sock):
        async with shaking(pipe, new_session(initiator=False)) as outcome:
            sock.send(b"\x01")
            sock.shutdown(1)
        (error,) = outcome
        assert isinstance(error, ConnectionClosed) and not error.clean
        assert "1 bytes into a frame" in str(error)


async def test_a_peer_that_speaks_something_else(kind: str) -> None:
    async with far_end(kind) as (pipe, sock):
        async with shaking(pipe, new_session(initiator=False)) as outcome:
            sock.send(b"GET / HTTP/1.1\r\n\r\n")
        assert isinstance(outcome[0], RemoteProtocolError)
        (reject,) = frames(sock.recv(1000))
        assert reject.kind is FrameType.REJECT


async def test_a_peer_that_says_nothing_is_given_up_in_time(kind: str) -> None:
    async with far_end(kind) as (pipe, sock):
        with pytest.raises(HandshakeTimeout, match="over 10 seconds"):
            await shake_hands(pipe, new_session(initiator=False, seconds=0.01))
        (reject,) = frames(sock.recv(1000))
        assert reject.kind is FrameType.REJECT


@pytest.mark.parametrize("seconds", [0.0, -5.0])
async def test_a_deadline_that_has_passed(kind: str, seconds: float) -> None:
    async with far_end(kind) as (pipe, _):
        with pytest.raises(HandshakeTimeout):
            await shake_hands(pipe, new_session(initiator=False, seconds=seconds))


async def test_a_step_that_lasts_is_left_behind(kind: str) -> None:
    go = threading.Event()

    def wait() -> None:
        assert go.wait(10)

    async with far_end(kind) as (pipe, _):
        try:
            with pytest.raises(HandshakeTimeout):
                await shake_hands(
                    pipe, new_session(initiator=True, seconds=0.01, before=wait)
                )
        finally:
            go.set()


async def test_a_cancelled_handshake_closes_the_pipe(kind: str) -> None:
    async with far_end(kind) as (pipe, sock):
        session = new_session(initiator=True)
        with anyio.move_on_after(0.01) as scope:
            await shake_hands(pipe, session)
        assert scope.cancelled_caught
        with pytest.raises(ConnectionClosed):
            await pipe.receive()
        while sock.recv(10_000):
            pass  # whatever was sent before; then the end, and no block


async def test_a_handshake_cancelled_in_a_step(kind: str) -> None:
    go = threading.Event()

    def wait() -> None:
        assert go.wait(10)

    async with far_end(kind) as (pipe, _):
        try:
            with anyio.move_on_after(0.01) as scope:
                await shake_hands(pipe, new_session(initiator=True, before=wait))
        finally:
            go.set()
        assert scope.cancelled_caught


async def test_a_session_that_failed_at_its_start_says_why(kind: str) -> None:
    def no_context(_: object) -> ScriptedContext:
        raise AuthenticationFailed("no tickets", reason=FailureReason.NO_CREDENTIALS)

    session = Session(
        config(initiator=True),
        initiator=True,
        context=no_context,
        now=anyio.current_time(),
    )
    async with far_end(kind) as (pipe, _):
        with pytest.raises(AuthenticationFailed, match="no tickets"):
            await shake_hands(pipe, session)


class Stuck(HeldPipe):
    """A pipe that brings what the test gave it, and takes nothing."""

    def __init__(self, brings: bytes) -> None:
        super().__init__()
        self.full = True
        self._brings = brings

    async def receive(self) -> bytes:
        """Give what there is."""
        return self._brings

    async def drain(self) -> None:
        """Have room until the session says its last words."""
        if self.sent:
            await super().drain()


async def test_a_peer_that_does_not_read_the_end_runs_out_of_time(kind: str) -> None:
    policy = SecurityPolicy(minimum_protection=Protection.NONE, handshake_seconds=0.01)
    bare = SessionConfig(
        policy=policy,
        nonce=bytes(32),
        secret=bytes(32),
        channel=Channel(provides=Protection.NONE),
    )
    hello = Session(bare, initiator=True, now=0.0).data_to_send()
    session = Session(bare, initiator=False, now=anyio.current_time())
    pipe = Stuck(hello)
    with pytest.raises(HandshakeTimeout, match="does not read"):
        await shake_hands(pipe, session)
    assert pipe.closed


async def test_a_block_that_fails_closes_its_pipe(kind: str) -> None:
    for failure in (ValueError("any"), HandshakeTimeout("protocol")):
        async with far_end(kind) as (pipe, sock):
            pipe.write(b"last")
            await pipe.drain()
            with pytest.raises(type(failure)):
                async with close_on_failure(pipe):
                    sock.shutdown(1)
                    raise failure
            with pytest.raises(ConnectionClosed):
                await pipe.drain()
    async with far_end(kind) as (pipe, sock):
        async with close_on_failure(pipe):
            pipe.write(b"fine")
        await pipe.drain()
        assert sock.recv(10) == b"fine"


async def test_a_lifetime_is_the_policys_or_the_proofs(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Expiring:
        expires_at: float | None = None
        mechanism = Mechanism.KERBEROS

    class Ended:
        peer = Expiring()

    policy = SecurityPolicy(max_lifetime_seconds=100.0)
    monkeypatch.setattr("time.time", lambda: 5000.0)
    monkeypatch.setattr("anyio.current_time", lambda: 1000.0)
    session: Any = Ended()
    assert lifetime_end(session, policy) == 1100.0
    Expiring.expires_at = 5010.0
    assert lifetime_end(session, policy) == 1010.0
    Expiring.expires_at = 9000.0
    assert lifetime_end(session, policy) == 1100.0
    assert opened()[0].peer.expires_at is None
