"""The server's end of a connection: calls arrive, and run here or are passed on.

The level of a call is decided when it arrives and pinned: the highest of what its
method declares, what the session demands and what the caller asked by the level of
the CALL.  Nothing of a call below its method's level runs, nor of one that the
server's `authorize` refuses.
"""

import logging
from contextvars import copy_context
from functools import partial
from typing import Final

from signetrpc.transport import (
    ANONYMOUS,
    ConnectionClosed,
    ImpersonationLevel,
    InsufficientProtection,
    LocalUser,
    Protection,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop, Timer

from ._answering import AnsweringConnection
from ._authorization import AuthorizationRequest, authenticated, decide
from ._context import CallContext, CancellationCause
from ._flow import ITEM_OVERHEAD
from ._inbox import Inbox
from ._messages import (
    Call,
    Cancel,
    Credit,
    End,
    Item,
    Message,
    Part,
    encode_credit,
    encode_go_away,
)
from ._metadata import Metadata, MetadataTooLarge, metadata
from ._outbox import Outbox
from ._relay import Relay
from ._running import Runner
from ._schema import CallKind
from ._serving import Endpoint, RunningCall, Serving
from ._status import StatusCode
from .errors import RpcError

__all__ = ["DRAIN_SECONDS", "ServerConnection"]

DRAIN_SECONDS: Final = 30.0
"""How long calls are still answered on a connection whose lifetime is over."""

_log: Final = logging.getLogger("signetrpc.rpc")


class ServerConnection(AnsweringConnection):
    """A connection over which calls arrive."""

    def __init__(
        self,
        loop: Loop,
        link: Link,
        serving: Serving,
        local_user: LocalUser | None = None,
    ) -> None:
        """Take an open session.

        Args:
            loop: Runs the tasks of handlers.
            link: The session.
            serving: What is served.
            local_user: Whom the caller is on this machine, if `authorize` has to know.
        """
        super().__init__(loop, link, serving)
        self._last_id = 0
        self._peer = self.established.peer
        self._local_user = local_user
        self._relay: Relay | None = None
        if serving.workers is not None:
            self._relay = Relay(loop, self, self._peer, serving)
        self._runner = Runner(loop, serving, self, copy_context())
        self._retiring = False
        self._drained_at = 0.0
        self._last_asked = 0
        self._last_taken: int | None = None
        self._lifetime: Timer | None = None
        if link.ends_at is not None:
            self._lifetime = loop.call_at(link.ends_at, self.retire)

    # Messages.

    def _receive(
        self, message: Message, level: Protection, raw: bytes | memoryview
    ) -> None:
        match message:
            case Call():
                self._receive_call(message, level, raw)
            case Item(body=body):
                self._arrived(len(body) + ITEM_OVERHEAD)
                self._receive_of_call(message, level, raw)
            case Part(chunk=chunk):
                self._arrived(len(chunk))
                self._receive_of_call(message, level, raw)
            case Cancel() | End():
                self._receive_of_call(message, level, raw)
            case Credit() if message.id:
                self._receive_of_call(message, level, raw)
            case _:
                self._receive_control(message)

    def _receive_of_call(
        self,
        message: Item | Part | Cancel | End | Credit,
        level: Protection,
        raw: bytes | memoryview,
    ) -> None:
        call = self._calls.get(message.id)
        if call is None:
            if message.id > self._last_id:
                raise RemoteProtocolError(
                    f"{type(message).__name__} for call {message.id}, never made"
                )
            return  # ended meanwhile
        if level < call.level:
            raise RemoteProtocolError(
                f"{type(message).__name__} at level {level.name} for a call at "
                f"{call.level.name}"
            )
        if isinstance(message, Cancel):
            self.stop(call, CancellationCause(message.cause))
            return
        if call.relay is not None:
            call.relay.add(call, message, raw, level)
            return
        try:
            self._take(call, message)
        except RpcError as error:
            self.abandon(call, error)

    def _take(self, call: RunningCall, message: Item | Part | End | Credit) -> None:
        inbox = call.inbox
        takes = call.endpoint.handler.method.kind.takes_items
        if isinstance(message, Item | End) and (
            not takes or call.id in self._assemblies
        ):
            raise RemoteProtocolError(
                f"{type(message).__name__} for call {call.id} at the wrong moment"
            )
        match message:
            case Credit(size=size):
                if call.outbox is not None:
                    call.outbox.grant(size)
            case Part(chunk=chunk, more=more) if call.id in self._assemblies:
                assert inbox is not None
                inbox.count(len(chunk))
                self._assemble(call, chunk, more)
            case Part(chunk=chunk, more=more) if inbox is not None:
                inbox.add_part(chunk, more)
            case Item(body=body, more=more) if inbox is not None:
                inbox.add(body, more)
            case End() if inbox is not None:
                inbox.finish()
            case _:
                raise RemoteProtocolError(
                    f"{type(message).__name__} for call {call.id}, which takes none"
                )

    def _receive_call(
        self, message: Call, level: Protection, raw: bytes | memoryview
    ) -> None:
        call_id = message.id
        if call_id <= self._last_id:
            raise RemoteProtocolError(f"call {call_id} after call {self._last_id}")
        self._last_id = call_id
        if self._last_taken is not None:
            return  # the client knows that it is not carried out
        pairs: Metadata = ()
        too_large: MetadataTooLarge | None = None
        try:
            if message.metadata is not None:
                pairs = metadata(message.metadata, self.max_metadata_bytes)
        except MetadataTooLarge as error:
            too_large = error
        except ValueError as error:
            raise RemoteProtocolError(f"malformed metadata: {error}") from error
        timeout = message.timeout_us
        now = self._loop.time()
        deadline = None if timeout is None else now + timeout * 1e-6
        method = message.method
        context = CallContext(  # by position, which costs half
            method,
            self._peer if level else ANONYMOUS,
            level,
            pairs,
            deadline,
            self._loop.time,
            now,
            self,
            call_id,
        )
        endpoint = self._serving.endpoints.get(method)
        refused = self._judge(endpoint, context)
        if refused is None and too_large is not None:
            refused = RpcError(StatusCode.RESOURCE_EXHAUSTED, str(too_large)), ""
        if refused is not None or endpoint is None:
            assert refused is not None
            refusal, reason = refused
            if endpoint is not None:
                level = max(level, endpoint.handler.method.protection)
            self._audit(context, refusal.status, reason)
            self._refuse(call_id, level, refusal, context)
            return
        call = RunningCall(call_id, level, endpoint, context)
        self._calls[call_id] = call
        if deadline is not None:
            self._set_deadline(call_id, deadline)
        if endpoint.relayed:
            assert self._relay is not None
            self._relay.begin(call, message, raw)
            return
        kind = endpoint.handler.method.kind
        if kind is not CallKind.UNARY or message.more:
            call.inbox = Inbox(
                self._loop,
                partial(self._give_credit, call),
                self._serving.max_body_bytes,
                "item",
                self._budget,
            )
            if kind.gives_items:
                call.outbox = Outbox(self, call_id, level)
        if message.more:
            self._assemble(call, message.body, True)
        else:
            self._decode_and_run(call, message.body)

    def _give_credit(self, call: RunningCall, size: int) -> None:
        if call.id in self._calls:
            self._send(encode_credit(call.id, size), call.level)
            self._flush_soon()

    def _judge(
        self, endpoint: Endpoint | None, context: CallContext
    ) -> tuple[RpcError, str] | None:
        """Return what to refuse a call with, if anything, and the reason to note."""
        if endpoint is None:
            return RpcError(
                StatusCode.UNIMPLEMENTED, f"no method {context.method!r} here"
            ), ""
        serving = self._serving
        method = endpoint.handler.method
        level, declared = context.protection, method.protection
        if level < declared:
            text = (
                f"{context.method} demands level {declared.name}; "
                f"the call came at {level.name}"
            )
            return RpcError(StatusCode.PERMISSION_DENIED, text), text
        if len(self._calls) >= self._most_calls:
            return self._too_many(), ""
        reason = None
        if serving.authorize is not authenticated or context.caller.anonymous:
            request = AuthorizationRequest(
                caller=context.caller,
                service=method.service,
                method=method.name,
                protection=level,
                local_user=self._local_user,
            )
            reason = decide(serving.authorize, request)
        if reason is not None:
            text = f"the caller may not call {context.method}"
            return RpcError(StatusCode.PERMISSION_DENIED, text), reason
        if endpoint.relayed and (
            context.caller.impersonation is ImpersonationLevel.IDENTIFY
        ):
            text = (
                f"{context.method} runs as its caller, who lets the server only "
                "IDENTIFY it: connect with impersonation=IMPERSONATE"
            )
            return RpcError(StatusCode.PERMISSION_DENIED, text), text
        return None

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
            self.fail(call, self.unexpected(call, error))
        else:
            self._runner.run(call, arguments)

    def _decode_and_run(self, call: RunningCall, body: bytes) -> None:
        try:
            whole = self._assemblies.checked(body)
            arguments = call.endpoint.handler.method.decode_arguments(whole)
        except Exception as error:
            self.fail(call, self.unexpected(call, error))
        else:
            self._runner.run(call, arguments)

    # Ending.

    def _flush(self) -> None:
        super()._flush()
        if self._session.exhausted:
            self.retire()

    def retire(self, grace: float | None = None) -> None:
        """Tell the client to go elsewhere; close when its calls are over.

        In two steps, because calls may be on their way that the client made before it
        knew: those are still taken, until its answer to a PING shows that it knows.
        Then it learns which call was the last.

        Args:
            grace: Seconds after which what is not over is cut off; None for the usual.
                A second time it can only become less.
        """
        grace = DRAIN_SECONDS if grace is None else grace
        if self._ended is not None:
            return
        ends = self._loop.time() + grace
        if self._retiring and ends >= self._drained_at:
            return
        if self._lifetime is not None:
            self._lifetime.cancel()
        self._drained_at = ends
        self._lifetime = self._loop.call_at(ends, self._drained)
        if self._retiring:
            return
        self._retiring = True
        self._send_away(encode_go_away(grace))
        self._ask()
        self._last_asked = self._keepalive.number

    def _overasked(self, error: RemoteProtocolError) -> TransportError:
        # Told why, and closed in order: its owner has to change something.
        self._send_away(encode_go_away(0.0, self._last_id, str(error)))
        return ConnectionClosed(str(error), clean=False)

    def _send_away(self, go_away: bytes) -> None:
        # Signed wherever it can be: by it the client has calls made again.
        try:
            self._send(go_away, max(Protection.SIGN, self.established.minimum))
        except InsufficientProtection:
            self._send(go_away, self.established.minimum)

    def _ponged(self) -> None:
        # The answer to an earlier PING was sent before the client knew.
        knows = self._retiring and self._keepalive.answered_to >= self._last_asked
        if knows and self._last_taken is None:
            self._last_taken = self._last_id
            grace = max(0.0, self._drained_at - self._loop.time())
            self._send_away(encode_go_away(grace, self._last_id))
            self._flush_soon()
            self._end_if_drained()

    def _finish(self, call: RunningCall, status: StatusCode, reason: str = "") -> None:
        super()._finish(call, status, reason)
        if self._last_taken is not None and not self._calls:
            # After the answer that is being made of it.
            self._loop.call_soon(self._end_if_drained)

    def _end_if_drained(self) -> None:
        if self._last_taken is not None and not self._calls and not self._ended:
            self._end(ConnectionClosed("all calls are over", clean=True))

    def cut_off(self) -> None:
        """End now, whatever is under way: the server stops."""
        self._stopping = True
        self._end(ConnectionClosed("the server stops", clean=True))

    def _drained(self) -> None:
        self._stopping = True
        cause = "its lifetime is over, and the time to finish calls too"
        self._end(ConnectionClosed(cause, clean=True))

    def _lost(self, error: TransportError) -> None:
        if self._lifetime is not None:
            self._lifetime.cancel()
        cause = CancellationCause.CONNECTION_LOST
        if self._stopping:
            cause = CancellationCause.SERVER_STOPPING
        for call in list(self._calls.values()):
            self.stop(call, cause)
        if self._relay is not None:
            self._relay.close()
