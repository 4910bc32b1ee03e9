"""Drives a session's handshake over a pipe."""

import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import anyio

from ._config import Channel, Limits, SessionConfig
from ._events import Established, StepRequired
from ._pipes import Pipe
from ._security import SecurityPolicy
from ._session import Session
from ._steps import run_step
from .errors import HandshakeTimeout, TransportError

__all__ = [
    "Link",
    "close_on_failure",
    "lifetime_end",
    "on_failure",
    "open_channel",
    "shake_hands",
]


@dataclass(frozen=True, slots=True)
class Link:
    """An open session and the pipe it runs over.

    Attributes:
        pipe: Owned by whoever has the link.
        session: In state OPEN.
        ends_at: When the session's lifetime is over, by anyio's clock; set by
            acceptors, because it is the server that has to see to it.
    """

    pipe: Pipe
    session: Session
    ends_at: float | None = None


def lifetime_end(session: Session, policy: SecurityPolicy) -> float:
    """Return when a session has to end, by anyio's clock.

    A mechanism goes on protecting messages after its ticket's end, so somebody has to
    look at the clock.
    """
    seconds = policy.max_lifetime_seconds
    expires_at = session.peer.expires_at
    if expires_at is not None:
        seconds = min(seconds, expires_at - time.time())
    return anyio.current_time() + seconds


OnFailure = Callable[[BaseException], None]

on_failure: ContextVar[OnFailure | None] = ContextVar("on_failure", default=None)
"""Called with the error of a failed handshake, before its connection is closed.

Closing waits for the peer, as long as it likes within a second; whoever counts
failures must not.  Set by the task that the handshake runs in.
"""


def _tell(error: BaseException) -> None:
    tell = on_failure.get()
    if tell is not None:
        tell(error)


@asynccontextmanager
async def close_on_failure(pipe: Pipe) -> AsyncGenerator[None]:
    """Close a pipe if the block raises or is cancelled.

    After a failure of the protocol what was written for the peer is still sent: it
    says why.
    """
    try:
        yield
    except TransportError as error:
        _tell(error)
        with anyio.CancelScope(shield=True):
            await pipe.aclose()
        raise
    except BaseException:
        pipe.abort()
        with anyio.CancelScope(shield=True):
            await pipe.aclose(linger=False)
        raise


async def open_channel(
    pipe: Pipe,
    channel: Channel,
    *,
    initiator: bool,
    policy: SecurityPolicy,
    limits: Limits | None = None,
    start: float,
) -> Link:
    """Exchange HELLOs over a pipe that protects by itself, or not at all.

    Args:
        pipe: Closed if the exchange fails.
        channel: What protects it, and whom it proved the peer to be.
        initiator: True for the client.
        policy: What this end demands.
        limits: What this end accepts.
        start: When the deadline began to run, by anyio's clock.

    Raises:
        HandshakeError: No session came about.
        ConnectionClosed: The peer went away.
        RemoteProtocolError: The peer speaks something else.
    """
    config = SessionConfig(
        policy=policy,
        nonce=os.urandom(32),
        secret=os.urandom(32),
        limits=limits or Limits(),
        channel=channel,
    )
    session = Session(config, initiator=initiator, now=start)
    await shake_hands(pipe, session)
    return Link(pipe, session, None if initiator else lifetime_end(session, policy))


async def shake_hands(pipe: Pipe, session: Session) -> Established:
    """Bring a session to OPEN.

    Steps of the security context run in worker threads.  A step that outlasts the
    deadline is left behind: its thread ends when the library does, and counts
    against the limit until then.

    Returns:
        What was agreed on.

    Raises:
        HandshakeError: It failed; the pipe is closed and a REJECT was sent if the
            peer was still there.
        ConnectionClosed: The peer went away.
        RemoteProtocolError: The peer speaks something else.
    """
    try:
        while True:
            deadline = session.next_timeout()
            if deadline is None:
                _raise_failure(session)  # it failed before it began
                # Else it is open here, but the last words did not get out.
                raise HandshakeTimeout("the peer does not read the handshake's end")
            remaining = deadline - anyio.current_time()
            with anyio.move_on_after(max(remaining, 0)):
                return await _exchange(pipe, session)
            session.handle_timeout(anyio.current_time())
            _raise_failure(session)
    except BaseException as error:
        _tell(error)
        with anyio.CancelScope(shield=True):
            await _give_up(pipe, session, error)
        raise


def _raise_failure(session: Session) -> None:
    while session.next_event() is not None:
        pass


async def _exchange(pipe: Pipe, session: Session) -> Established:
    while True:
        event = session.next_event()
        if data := session.data_to_send():
            pipe.write(data)
        match event:
            case StepRequired(token=token):
                await _step(session, token)
            case Established():
                await pipe.drain()
                return event
            case None:
                await pipe.drain()
                data = await pipe.receive()
                if data:
                    session.receive_data(data)
                else:
                    session.receive_eof()
            case other:
                raise AssertionError(f"{other} during the handshake")


async def _step(session: Session, token: bytes | None) -> None:
    try:
        answer = await run_step(session.step, token)
    except Exception as error:
        session.step_failed(error)
    else:
        session.step_finished(answer)


async def _give_up(pipe: Pipe, session: Session, error: BaseException) -> None:
    if isinstance(error, TransportError) and (data := session.data_to_send()):
        pipe.write(data)
    else:
        pipe.abort()
    await pipe.aclose()
