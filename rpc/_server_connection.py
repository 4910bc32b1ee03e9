"""The server's end of a connection: calls arrive, run and are answered.

The level of a call is decided when it arrives and pinned: the highest of what its
method declares, what the session demands and what the caller asked by the level of
the CALL.  Nothing of a call below its method's level runs.
"""

import logging
from contextvars import copy_context
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread

from signetrpc.transport import (
    ANONYMOUS,
    ConnectionClosed,
    FrameTooLarge,
    InsufficientProtection,
    Protection,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop, Timer

from ._assembly import Assemblies, check_size
from ._connection import Connection
from ._context import CURRENT, CallContext
from ._handlers import BoundHandler, HandlerStyle
from ._messages import (
    PART_BYTES,
    Call,
    Cancel,
    Message,
    Part,
    encode_go_away,
    encode_metadata,
    encode_reply,
    encode_status,
    parts_of,
)
from ._metadata import Metadata, metadata
from ._serving import RunningCall, Serving
from ._status import StatusCode
from .errors import DeadlineExceeded, RpcError

__all__ = ["DRAIN_SECONDS", "ServerConnection"]

DRAIN_SECONDS: Final = 30.0
"""How long calls are still answered on a connection whose lifetime is over."""

_log: Final = logging.getLogger("signetrpc.rpc")


class ServerConnection(Connection):
    """A connection with its running calls."""

    def __init__(self, loop: Loop, link: Link, serving: Serving) -> None:
        super().__init__(loop, link)
        self._serving = serving
        self._calls: dict[int, RunningCall] = {}
        self._last_id = 0
        self._assemblies = Assemblies(
            serving.max_body_bytes, "arguments", serving.buffers
        )
        self._peer = self.established.peer
        # Handlers start from this: what is read can be read in another handler's task.
        self._context = copy_context()
        self._retiring = False
        self._lifetime: Timer | None = None
        if link.ends_at is not None:
            self._lifetime = loop.call_at(link.ends_at, self.retire)

    # Messages.

    def _receive(self, message: Message, level: Protection) -> None:
        match message:
            case Call():
                self._receive_call(message, level)
            case Part(id=call_id) | Cancel(id=call_id):
                call = self._calls.get(call_id)
                if call is None:
                    if call_id > self._last_id:
                        raise RemoteProtocolError(
                            f"{type(message).__name__} for call {call_id}, never made"
                        )
                elif level < call.level:
                    raise RemoteProtocolError(
                        f"{type(message).__name__} at level {level.name} for a call "
                        f"at {call.level.name}"
                    )
                elif isinstance(message, Part):
                    self._receive_part(call, message)
                else:
                    self._stop(call)
            case _:
                raise RemoteProtocolError(f"{type(message).__name__} from a client")

    def _receive_call(self, message: Call, level: Protection) -> None:
        call_id = message.id
        if call_id <= self._last_id:
            raise RemoteProtocolError(f"call {call_id} after call {self._last_id}")
        self._last_id = call_id
        endpoint = self._serving.endpoints.get(message.method)
        try:
            pairs = () if message.metadata is None else metadata(message.metadata)
            if endpoint is None:
                raise RpcError(
                    StatusCode.UNIMPLEMENTED, f"no method {message.method!r} here"
                )
            declared = endpoint.handler.method.protection
            if level < declared:
                level, asked = declared, level
                raise RpcError(
                    StatusCode.PERMISSION_DENIED,
                    f"{message.method} demands level {declared.name}; "
                    f"the call came at {asked.name}",
                )
            if len(self._calls) >= self._serving.max_calls:
                raise RpcError(
                    StatusCode.RESOURCE_EXHAUSTED,
                    f"{len(self._calls)} calls under way on this connection, "
                    f"limit {self._serving.max_calls}",
                )
        except RpcError as error:
            self._refuse(call_id, level, error)
            return
        except ValueError as error:
            raise RemoteProtocolError(f"malformed metadata: {error}") from error
        timeout = message.timeout_us
        now = self._loop.time
        deadline = None if timeout is None else now() + timeout * 1e-6
        context = CallContext(
            method=message.method,
            caller=self._peer if level else ANONYMOUS,
            protection=level,
            metadata=pairs,
            deadline=deadline,
            time=now,
        )
        call = RunningCall(call_id, level, endpoint, context)
        self._calls[call_id] = call
        if deadline is not None:
            self._set_deadline(call_id, deadline)
        if message.more:
            self._assemble(call, message.body, True)
        else:
            self._decode_and_run(call, message.body)

    def _receive_part(self, call: RunningCall, message: Part) -> None:
        if call.id not in self._assemblies:
            raise RemoteProtocolError(f"a part after the arguments of call {call.id}")
        self._assemble(call, message.chunk, message.more)

    def _assemble(
        self, call: RunningCall, piece: bytes | memoryview, more: bool
    ) -> None:
        decode = call.endpoint.handler.method.decode_arguments
        try:
            if more:
                self._assemblies.add(call.id, piece)
                return
            arguments = self._assemblies.finish(call.id, piece, decode)
        except Exception as error:
            self._fail(call, self._unexpected(call, error))
        else:
            self._run(call, arguments)

    # Running.

    def _decode_and_run(self, call: RunningCall, body: bytes) -> None:
        try:
            arguments = call.endpoint.handler.method.decode_arguments(body)
        except Exception as error:
            self._fail(call, self._unexpected(call, error))
        else:
            self._run(call, arguments)

    def _run(self, call: RunningCall, arguments: Any) -> None:
        handler = call.endpoint.handler
        context = self._context.copy()
        context.run(CURRENT.set, call.context)
        match handler.style:
            case HandlerStyle.INLINE:
                try:
                    result = context.run(call.endpoint.function, arguments)
                except Exception as error:
                    self._fail(call, self._unexpected(call, error))
                else:
                    self._reply(call, result)
            case HandlerStyle.ASYNC:
                answer = self._await(call, call.endpoint.function, arguments)
                call.task = self._loop.spawn(answer, context)
            case HandlerStyle.THREAD:
                answer = self._await(call, partial(self._in_thread, call), arguments)
                call.task = self._loop.spawn(answer, context)

    async def _await(
        self, call: RunningCall, function: BoundHandler, arguments: Any
    ) -> None:
        try:
            result = await function(arguments)
        except Exception as error:
            self._fail(call, self._unexpected(call, error))
        except BaseExceptionGroup as group:
            # Cancelled under trio, with tasks of its own that failed on the way out.
            errors, cancellations = group.split(Exception)
            if errors is not None:
                self._fail(call, self._unexpected(call, errors))
            if cancellations is not None:
                raise cancellations from None
        else:
            self._reply(call, result)
        finally:
            if call.id in self._calls:
                # Cancelled, and not by its caller: by the handler itself, or
                # because the server stops.
                self._fail(call, RpcError(StatusCode.CANCELLED, "the handler ended"))

    async def _in_thread(self, call: RunningCall, arguments: Any) -> Any:
        serving = self._serving
        async with serving.threads:
            # Not cancelled from here on: a thread cannot be, and must stay counted.
            # While it waits for one a call can, or those cancelled would pile up.
            call.task = None
            return await anyio.to_thread.run_sync(
                call.endpoint.function, arguments, limiter=serving.counted
            )

    def _unexpected(self, call: RunningCall, error: Exception) -> RpcError:
        """Return what the caller learns of an exception."""
        if isinstance(error, RpcError):
            return error
        _log.error(
            "%s failed for %s",
            call.context.method,
            call.context.caller,
            exc_info=error,
        )
        return RpcError(StatusCode.INTERNAL, "the handler failed")

    # Answering.

    def _reply(self, call: RunningCall, result: Any) -> None:
        if call.id not in self._calls:
            return  # cancelled, or out of time
        try:
            body = call.endpoint.handler.method.encode_result(result)
            check_size(len(body), self._serving.max_body_bytes, "reply")
            trailers = encode_metadata(call.context.trailers)
        except Exception as error:
            if isinstance(error, RpcError):
                _log.error("the result of %s: %s", call.context.method, error.message)
            self._fail(call, self._unexpected(call, error))
            return
        head, more = body[:PART_BYTES], len(body) > PART_BYTES
        try:
            # If any message of it is too long for the peer, this one is.
            self._send(encode_reply(call.id, trailers, head, more), call.level)
        except FrameTooLarge as error:
            message = f"the caller takes no reply of {len(body)} bytes: {error}"
            self._fail(call, RpcError(StatusCode.RESOURCE_EXHAUSTED, message))
            return
        if self._ended is not None:
            return
        self._forget(call)
        if more:
            for part in parts_of(call.id, body):
                # Each on its way at once: the peer opens one while the next is sealed.
                self._flush()
                self._send(part, call.level)
        self._flush_answer()

    def _fail(self, call: RunningCall, error: RpcError) -> None:
        if call.id in self._calls:
            self._forget(call)
            self._refuse(call.id, call.level, error, call.context.trailers)

    def _refuse(
        self,
        call_id: int,
        level: Protection,
        error: RpcError,
        trailers: Metadata = (),
    ) -> None:
        if self._ended is not None:
            return
        level = max(level, self.established.minimum)
        code = StatusCode.INTERNAL
        try:
            status = encode_status(
                call_id, error.status, error.message, error.trailers or trailers
            )
            code = error.status
        except Exception:
            # What a handler put into its error must hurt no other call.
            _log.exception("the error of call %d cannot travel", call_id)
            status = encode_status(call_id, code, "the handler failed")
        try:
            self._send(status, level)
        except FrameTooLarge:
            self._send(encode_status(call_id, code, ""), level)
        except InsufficientProtection:
            # No call runs at a level that the channel below does not give, so this
            # says only that it does not.
            self._send(status, self.established.minimum)
        self._flush_answer()

    def _flush_answer(self) -> None:
        if self._calls or self._processing:
            self._flush_soon()
        else:
            self._flush()

    def _flush(self) -> None:
        super()._flush()
        if self._session.exhausted:
            self.retire()
        if self._pipe.congested and not self._draining:
            # A client that does not read its answers is not read from.
            self._draining = True
            self._pipe.pause_receiving()
            self._loop.spawn(self._drain())

    async def _drain(self) -> None:
        try:
            await self._pipe.drain()
        except TransportError as error:
            self._end(error)
            return
        finally:
            self._draining = False
        self._process()  # what was left unread, which may fill the pipe again
        if not self._draining:
            self._pipe.resume_receiving()

    # Ending.

    def _forget(self, call: RunningCall) -> None:
        del self._calls[call.id]
        self._deadlines.discard(call.id)
        self._assemblies.discard(call.id)

    def _stop(self, call: RunningCall) -> None:
        self._forget(call)
        if call.task is not None:
            call.task.cancel()

    def _expire(self, call_id: int) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            self._fail(call, DeadlineExceeded())
            if call.task is not None:
                call.task.cancel()

    def retire(self) -> None:
        """Tell the client to go elsewhere; close when it has, or after a while.

        Called at the end of the caller's identity or of the session's keys.
        """
        if self._retiring or self._ended is not None:
            return
        self._retiring = True
        if self._lifetime is not None:
            self._lifetime.cancel()
        self._send(encode_go_away(DRAIN_SECONDS), self.established.minimum)
        when = self._loop.time() + DRAIN_SECONDS
        self._lifetime = self._loop.call_at(when, self._drained)
        self._flush_soon()

    def _drained(self) -> None:
        cause = "its lifetime is over, and the time to finish calls too"
        self._end(ConnectionClosed(cause, clean=True))

    def _lost(self, error: TransportError) -> None:
        if self._lifetime is not None:
            self._lifetime.cancel()
        for call in list(self._calls.values()):
            self._stop(call)
