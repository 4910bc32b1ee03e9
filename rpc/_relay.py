"""The way of a connection's calls to the identity worker of its caller, and back.

Messages pass as they are, bodies undecoded.  Towards the worker nothing is checked
here that was not checked when it arrived.  What a worker says is believed of its own
caller's calls alone, and only in the form that calls have: it runs code as somebody
who may be anybody, so its messages are judged as a stranger's, and one that breaks the
rules costs it its life.
"""

import logging
from typing import TYPE_CHECKING, Final

import anyio

from signetrpc.transport import (
    ConnectionClosed,
    FrameTooLarge,
    Identity,
    LocalUser,
    Protection,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop

from ._answering import AnsweringConnection
from ._crossing import Crossing, counted
from ._exchange import Exchange
from ._flow import LINK_WINDOW
from ._messages import (
    Call,
    Credit,
    Headers,
    Item,
    Message,
    Part,
    Reply,
    Status,
    encode_call,
    encode_cancel,
    encode_metadata,
)
from ._serving import RunningCall, Serving
from ._status import StatusCode
from .errors import RpcError

if TYPE_CHECKING:
    from ._worker_handle import Worker

__all__ = ["Relay", "RelayLink"]

_log: Final = logging.getLogger("signetrpc.rpc")

_MOST_WAITING: Final = 1024 * 1024
"""Bytes of calls that wait for their worker before the client is held."""

_MOST_BEHIND: Final = LINK_WINDOW
"""Bytes written to a socket that is full before the client is held.

Calls need no credit, and a client can make and cancel any number of them.
"""

_PAUSE_SECONDS: Final = 1.0
"""So long a refusal stands before the next call tries again."""


class _Waiting:
    """A call that came before its worker was there."""

    __slots__ = ("call", "message", "parts")

    def __init__(self, call: RunningCall, message: Call) -> None:
        self.call = call
        self.message = message
        self.parts: list[tuple[bytes, Protection, int]] = []


class Relay:
    """What a connection has in place of handlers, for calls that run as its caller."""

    def __init__(
        self, loop: Loop, owner: AnsweringConnection, caller: Identity, serving: Serving
    ) -> None:
        assert serving.workers is not None
        self._loop = loop
        self._owner = owner
        self._caller = caller
        self._workers = serving.workers
        self._max_body_bytes = serving.max_body_bytes
        self._max_metadata_bytes = serving.max_metadata_bytes
        self._link: RelayLink | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._waiting_bytes = 0
        self._started: anyio.Event | None = None
        self._refusal: tuple[float, RpcError, str] | None = None
        self._closed = False

    def begin(self, call: RunningCall, message: Call, raw: bytes | memoryview) -> None:
        """Pass a call on, now or when there is a worker."""
        call.relay = self
        kind = call.endpoint.handler.method.kind
        call.crossing = Crossing(
            kind,
            self._max_body_bytes,
            self._max_metadata_bytes,
            more=message.more,
        )
        link = self._link
        if link is not None and link.usable:
            if link.begin(call):
                link.forward(raw, call.level)
            return
        if self._refusal is not None:
            until, error, reason = self._refusal
            if self._loop.time() < until:
                self._owner.fail(call, error, reason)
                return
            self._refusal = None
        self._waiting[call.id] = _Waiting(call, message)
        self._count(len(raw))
        if self._started is None:
            self._started = anyio.Event()
            self._loop.spawn(self._start(self._started))

    def add(
        self,
        call: RunningCall,
        message: Message,
        raw: bytes | memoryview,
        level: Protection,
    ) -> None:
        """Pass on a further message of a call.

        Raises:
            RemoteProtocolError: The caller sends what its method does not take, or
                without credit.
        """
        assert call.crossing is not None
        size = call.crossing.of_caller(message)
        waiting = self._waiting.get(call.id)
        if waiting is not None:
            waiting.parts.append((bytes(raw), level, size))
            self._count(len(raw))
        elif call.link is not None:
            call.link.forward(raw, level, size)

    def cancel(self, call: RunningCall) -> None:
        """Let the worker know that a call has ended here."""
        if call.link is not None:
            cause = call.context.cancelled_because or 0
            call.link.forward(encode_cancel(call.id, cause), call.level)

    def forget(self, call: RunningCall) -> None:
        """Take note that a call has ended."""
        self._waiting.pop(call.id, None)
        if call.link is not None:
            call.link.forget(call)

    def close(self) -> None:
        """Give the worker up: the connection has ended."""
        self._closed = True
        if self._link is not None:
            self._link.retire()

    def _count(self, size: int) -> None:
        self._waiting_bytes += size
        if self._waiting_bytes > _MOST_WAITING and self._started is not None:
            self._owner.hold(self._started.wait)

    async def _start(self, started: anyio.Event) -> None:
        old, self._link = self._link, None
        if old is not None:
            old.retire()
        try:
            worker, link, until = await self._workers.open(self._loop, self._caller)
        except RpcError as error:
            self._refuse(error, str(error.__cause__ or error.message))
        except Exception as error:
            _log.exception("starting an identity worker for %s", self._caller)
            text = "the process that would run the call could not be started"
            self._refuse(RpcError(StatusCode.INTERNAL, text), repr(error))
        else:
            relayed = RelayLink(self._loop, link, self._owner, worker, until)
            relayed.start()
            if self._closed:
                relayed.retire()
            else:
                self._link = relayed
                self._pass_waiting(relayed)
        finally:
            self._waiting_bytes = 0
            self._started = None
            started.set()

    def _refuse(self, error: RpcError, reason: str) -> None:
        self._refusal = self._loop.time() + _PAUSE_SECONDS, error, reason
        for waiting in list(self._waiting.values()):
            self._owner.fail(waiting.call, error, reason)

    def _pass_waiting(self, link: "RelayLink") -> None:
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            call, message = each.call, each.message
            if not link.begin(call):
                continue
            raw = encode_call(
                call.id,
                call.endpoint.handler.method.wire_name,
                # What is left of it: some was spent here.
                call.context.time_left(),
                encode_metadata(call.context.metadata),
                message.body,
                message.more,
            )
            link.forward(raw, call.level)
            for part, level, size in each.parts:
                link.forward(part, level, size)


class RelayLink(Exchange):
    """The service's end of the socket over which one connection's calls run."""

    _peer_role = "worker"

    def __init__(
        self,
        loop: Loop,
        link: Link,
        owner: AnsweringConnection,
        worker: "Worker",
        until: float,
    ) -> None:
        """Take an open session with a worker.

        Args:
            loop: That of the owner.
            link: The session.
            owner: The connection of the caller.
            worker: Who is at the other end.
            until: When who the caller is on this machine has to be asked again.
        """
        super().__init__(loop, link, window=LINK_WINDOW, keepalive=worker.keepalive)
        self._owner = owner
        self._worker = worker
        self._until = until
        self._passed: dict[int, RunningCall] = {}
        self._last_id = 0
        self._behind = 0
        self._retired = False

    def start(self) -> None:
        """Begin to receive, and see to the end."""
        super().start()
        self._loop.spawn(self._close_when_ended())

    async def _close_when_ended(self) -> None:
        try:
            error = await self.wait_ended()
            if isinstance(error, RemoteProtocolError | FrameTooLarge):
                _log.error("%s broke the rules of calls: %s", self._worker, error)
                self._worker.kill()
        finally:
            await self.aclose()

    def _given_up(self) -> None:
        # What holds its loop up holds up all of its caller's calls, later ones too.
        _log.error("%s does not react: killed", self._worker)
        self._worker.kill()

    @property
    def busy(self) -> bool:
        """True while calls are under way."""
        return bool(self._passed)

    @property
    def user(self) -> LocalUser:
        """Whom the calls run as."""
        return self._worker.user

    @property
    def usable(self) -> bool:
        """True if a call can be begun here."""
        return (
            self._ended is None
            and not self._retired
            and self._worker.running
            and self._loop.time() < self._until
        )

    def begin(self, call: RunningCall) -> bool:
        """Note that the messages of a call will pass here; False if it is refused."""
        if self._ended is not None:  # by what came with the handshake
            self._owner.fail(call, _gone())
            return False
        if not self._worker.enter():
            text = f"{self._worker.calls} calls under way as this caller"
            error = RpcError(
                StatusCode.RESOURCE_EXHAUSTED, f"{text}, that is the limit"
            )
            self._owner.fail(call, error)
            return False
        call.link = self
        self._passed[call.id] = call
        self._last_id = call.id
        return True

    def forward(
        self, raw: bytes | memoryview, level: Protection, size: int = 0
    ) -> None:
        """Pass a message of the caller's on, which counts as so many bytes."""
        if self._ended is not None:
            return
        self.send_piece(bytes(raw), level, size)
        # Not as soon as the socket is full: a worker that writes does not read, its
        # words wait for the client's credit, and that is not read while it is held.
        self._behind = self._behind + len(raw) if self._pipe.congested else 0
        if self._window.left <= 0 or self._behind > _MOST_BEHIND:
            self._owner.hold(self.room)

    def forget(self, call: RunningCall) -> None:
        """Take note that a call has ended."""
        if self._passed.pop(call.id, None) is not None:
            self._worker.leave()
            self._close_if_idle()

    def retire(self) -> None:
        """Close as soon as no call is under way."""
        self._retired = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._retired and not self._passed:
            self._end(ConnectionClosed("closed by this end", clean=True))

    # What the worker says.

    def _receive(
        self, message: Message, level: Protection, raw: bytes | memoryview
    ) -> None:
        if (
            not isinstance(message, Item | Part | Reply | Status | Headers | Credit)
            or not message.id
        ):
            self._receive_control(message)
            return
        size = counted(message)
        if size:
            self._arrived(size)
        call = self._passed.get(message.id)
        if call is None:
            if message.id > self._last_id:
                raise RemoteProtocolError(f"an answer to call {message.id}, never made")
            return  # ended here meanwhile
        if level < call.level:
            raise RemoteProtocolError(
                f"an answer at level {level.name} to a call at {call.level.name}"
            )
        assert call.crossing is not None
        ends = call.crossing.of_worker(message, size)
        try:
            self._owner.pass_on(call, bytes(raw), size, ends)
        except FrameTooLarge as error:
            if isinstance(message, Part):
                raise RemoteProtocolError(f"a part too long: {error}") from error
            text = f"the caller takes no such message: {error}"
            failure = RpcError(StatusCode.RESOURCE_EXHAUSTED, text)
            self._owner.abandon(call, failure)
        if not self._owner.has_room:
            self.hold(self._owner.room)

    def _expire(self, call_id: int) -> None:
        raise AssertionError("deadlines are the owner's")

    def _lost(self, error: TransportError) -> None:
        del error  # the worker's words, or its silence
        for call in list(self._passed.values()):
            self._owner.fail(call, _gone())


def _gone() -> RpcError:
    text = "the process that ran the call has ended"
    return RpcError(StatusCode.UNAVAILABLE, text)
