"""The server's end of a connection: its calls under way, and how each of them ends.

A call leaves the table exactly once, whatever ends it: its reply, an error, its
deadline, its caller, the connection.  There the audit is told.
"""

import logging
from collections.abc import Collection
from functools import partial
from typing import Any, Final

import anyio.from_thread

from signetrpc.transport import FrameTooLarge, InsufficientProtection, Protection
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop, thread_id

from ._assembly import Assemblies, Budget, check_size
from ._connection import EACH_CALL
from ._context import CallContext, CancellationCause
from ._declared_errors import NO_ERRORS, ErrorClasses
from ._ending import ending
from ._exchange import Exchange
from ._messages import (
    encode_headers,
    encode_metadata,
    encode_reply,
    encode_status,
)
from ._metadata import Metadata
from ._outbox import Outbox
from ._serving import RunningCall, Serving
from ._status import StatusCode
from .errors import DeadlineExceeded, RpcError

__all__ = ["AnsweringConnection"]


def _ended_with(code: StatusCode) -> RpcError:
    if code is StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded()
    return RpcError(StatusCode.CANCELLED, "the call has ended")


_ENDED: Final = {code: partial(_ended_with, code) for code in StatusCode}
"""By how a call ended: what its handler gets that still reads or writes a stream."""

_log: Final = logging.getLogger("signetrpc.rpc")


class AnsweringConnection(Exchange):
    """A connection with its running calls; what starts them is the subclass's."""

    _peer_role = "client"

    def __init__(self, loop: Loop, link: Link, serving: Serving) -> None:
        self._calls: dict[int, RunningCall] = {}
        super().__init__(
            loop,
            link,
            self._calls,
            window=serving.window,
            keepalive=serving.keepalive,
        )
        self._serving = serving
        self._leaving: set[int] = set()  # given up, and their handlers still run
        self._most_calls = serving.max_calls
        self._thread = thread_id()
        self._stopping = False
        self._assemblies = Assemblies(
            serving.max_body_bytes, "arguments", serving.buffers
        )
        self._budget = Budget(serving.max_body_bytes)

    @property
    def calls(self) -> Collection[RunningCall]:
        """Those under way."""
        return self._calls.values()

    @property
    def busy(self) -> bool:
        """True while calls are under way."""
        return bool(self._calls)

    @property
    def max_metadata_bytes(self) -> int:
        """What headers, and trailers, may have."""
        return self._serving.max_metadata_bytes

    # Answering.

    def unexpected(self, call: RunningCall, error: Exception) -> RpcError:
        """Return what the caller learns of an exception; the rest goes to the log."""
        if isinstance(error, RpcError):
            return error
        try:
            mapped: RpcError | None = self._serving.errors.of(error)
        except Exception as failure:
            failure.__context__ = error
            error, mapped = failure, None
        if mapped is not None:
            _log.info(
                "%s for %s: %s",
                call.context.method,
                call.context.caller,
                mapped.status.name,
                exc_info=error,
            )
            return mapped
        _log.error(
            "%s failed for %s",
            call.context.method,
            call.context.caller,
            exc_info=error,
        )
        return RpcError(StatusCode.INTERNAL, "the handler failed")

    def send_headers(self, call_id: int, headers: Metadata) -> None:
        """Send metadata ahead of a call's answer, unless the call has ended.

        Raises:
            RuntimeError: They were sent before, or the answer has begun.
            RpcError: RESOURCE_EXHAUSTED; the caller takes no message of that length.
        """
        if thread_id() != self._thread:
            anyio.from_thread.run_sync(self.send_headers, call_id, headers)
            return
        call = self._calls.get(call_id)
        if call is None:
            return
        begun = call.answering or (call.outbox is not None and call.outbox.begun)
        if call.context.headed or begun:
            raise RuntimeError("headers go once, ahead of the first item or the reply")
        try:
            self._send(encode_headers(call_id, headers), call.level)
        except FrameTooLarge as error:
            text = f"the caller takes no headers of that length: {error}"
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, text) from error
        call.context.headed = True
        self._flush_soon()

    def reply(self, call: RunningCall, result: Any) -> None:
        """Answer a call with what its handler returned."""
        if call.id not in self._calls:
            return  # cancelled, or out of time
        try:
            body = call.endpoint.handler.method.encode_result(result)
            if len(body) > self._serving.max_body_bytes:
                check_size(len(body), self._serving.max_body_bytes, "reply")
            trailers = encode_metadata(call.context.trailers)
        except Exception as error:
            if isinstance(error, RpcError):
                _log.error("the result of %s: %s", call.context.method, error.message)
            self.fail(call, self.unexpected(call, error))
            return
        part = self.piece_bytes
        head, more = body[:part], len(body) > part
        try:
            # If any message of it is too long for the peer, this one is.
            self._send(encode_reply(call.id, trailers, head, more), call.level)
        except FrameTooLarge as error:
            message = f"the caller takes no reply of {len(body)} bytes: {error}"
            self.fail(call, RpcError(StatusCode.RESOURCE_EXHAUSTED, message))
            return
        if self._ended is not None:
            return  # sealing failed, which ended the connection and so the call
        if not more:
            self._finish(call, StatusCode.OK)
            self._flush_answer()
        else:
            call.answering = True
            call.outbox = Outbox(self, call.id, call.level)
            self._flush()
            call.task = self._loop.spawn(self._send_rest(call, call.outbox, body))

    async def _send_rest(self, call: RunningCall, outbox: Outbox, body: bytes) -> None:
        try:
            await outbox.send_rest(body)
        except RpcError:
            return  # the call has ended otherwise
        if call.id in self._calls:  # else the last of it could not be sealed
            self._finish(call, StatusCode.OK)
            self._flush_answer()

    def end_stream(self, call: RunningCall, result: None = None) -> None:
        """Answer a call whose handler has given all of its items."""
        del result  # a stream has none
        if call.id not in self._calls:
            return
        status, code = self._status_of(call.id, None, call.context)
        self._finish(call, code)
        self._send_status(call.id, call.level, status, code)

    def pass_on(
        self, call: RunningCall, raw: bytes, size: int, ends: StatusCode | None
    ) -> None:
        """Answer with a message that somebody else made, already checked.

        Args:
            call: Still in the table.
            raw: The message.
            size: What it counts as, in bytes of bodies.
            ends: How the call ended, if this is its last message.

        Raises:
            FrameTooLarge: The caller takes no message of that length.
        """
        self.send_piece(raw, call.level, size)
        if ends is not None and self._ended is None:
            self._finish(call, ends)
            self._flush_answer()

    def fail(self, call: RunningCall, error: RpcError, reason: str = "") -> None:
        """End a call with an error.

        Args:
            call: Nothing happens if it has ended meanwhile.
            error: What the caller learns.
            reason: What only the audit and the log learn.
        """
        if call.id in self._calls:
            errors = call.endpoint.handler.method.errors
            status, code = self._status_of(call.id, error, call.context, errors)
            self._finish(call, code, reason)
            self._send_status(call.id, call.level, status, code)

    def _refuse(
        self, call_id: int, level: Protection, error: RpcError, context: CallContext
    ) -> None:
        """Answer a call that never came into the table."""
        self._send_status(call_id, level, *self._status_of(call_id, error, context))

    def _status_of(
        self,
        call_id: int,
        error: RpcError | None,
        context: CallContext,
        errors: ErrorClasses = NO_ERRORS,
    ) -> tuple[bytes, StatusCode]:
        return ending(call_id, error, context, errors, self.max_metadata_bytes)

    def _send_status(
        self, call_id: int, level: Protection, status: bytes, code: StatusCode
    ) -> None:
        if self._ended is not None:
            return
        level = max(level, self.established.minimum)
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
        self._unsent += EACH_CALL
        if self._calls or self._processing:
            self._flush_soon()
        else:
            self._flush()

    def _flush(self) -> None:
        super()._flush()
        if self._pipe.congested:
            # A client that does not read its answers is not read from.
            self.hold(self._pipe.drain)

    async def _turn(self) -> None:
        await super()._turn()
        # What was answered in the turn itself could not hold the client: it was held.
        if self._pipe.congested:
            await self._pipe.drain()

    # Ending.

    def _finish(self, call: RunningCall, status: StatusCode, reason: str = "") -> None:
        """Take a call out of the table; the one way out of it."""
        del self._calls[call.id]
        user = None
        if call.relay is not None:
            call.relay.forget(call)
            if call.link is not None:
                user = call.link.user.name
        if call.inbox is not None or call.outbox is not None:
            self._assemblies.discard(call.id)
            call.close(_ENDED[status])
        self._audit(call.context, status, reason, user)

    def _audit(
        self,
        context: CallContext,
        status: StatusCode,
        reason: str = "",
        user: str | None = None,
    ) -> None:
        self.counts.ended[status] += 1
        audit = self._serving.audit
        if audit is not None:
            audit.call_ended(context, status, reason, impersonated_as=user)

    def stop(self, call: RunningCall, cause: CancellationCause) -> None:
        """End a call that nobody waits for any more."""
        call.context.note_cancelled(cause)
        late = cause is CancellationCause.DEADLINE
        self._finish(
            call, StatusCode.DEADLINE_EXCEEDED if late else StatusCode.CANCELLED
        )
        self._cancel(call)

    def _expire(self, call_id: int) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            self.abandon(call, DeadlineExceeded(), CancellationCause.DEADLINE)

    def abandon(
        self,
        call: RunningCall,
        error: RpcError,
        cause: CancellationCause = CancellationCause.REFUSED,
    ) -> None:
        """End a call with an error while its handler runs."""
        call.context.note_cancelled(cause)
        self.fail(call, error)
        self._cancel(call)

    async def aclose(self) -> None:
        """End the connection from this end; see `Connection.aclose`."""
        self._stopping = True
        await super().aclose()

    def _cancel(self, call: RunningCall) -> None:
        if call.relay is not None:
            call.relay.cancel(call)
            return
        if call.task is not None:
            call.task.cancel()
            self._loop.keep(call.task)
        if not call.begun:
            call.begun = None
        elif not call.answering:
            # It may take its time, and a client can make any number of calls and give
            # them up.  Precedent: gRPC-Go counts handlers since CVE-2023-44487.
            self._leaving.add(call.id)
            if len(self._leaving) >= self._serving.max_calls:
                self._most_calls = 0

    def handler_ended(self, call: RunningCall) -> None:
        """Take note that the handler of a call has ended, whatever ended it."""
        if call.id in self._calls:
            if not call.answering:
                # Cancelled by itself, as a handler that waits in a scope it cancels;
                # or because the server stops.
                self.fail(call, RpcError(StatusCode.CANCELLED, "the handler ended"))
        elif self._leaving:
            self._leaving.discard(call.id)
            if len(self._leaving) < self._serving.max_calls:
                self._most_calls = self._serving.max_calls

    def _too_many(self) -> RpcError:
        """Return what a call is refused with while `_most_calls` are under way."""
        text = f"{len(self._calls)} calls under way on this connection"
        if len(self._calls) < self._serving.max_calls:
            text = f"{len(self._leaving)} calls given up whose handlers still run"
        text += f", limit {self._serving.max_calls}"
        return RpcError(StatusCode.RESOURCE_EXHAUSTED, text)
