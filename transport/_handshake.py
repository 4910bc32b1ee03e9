"""The handshake, both sides, without I/O.

    C: HELLO TOKEN                     one round trip for Kerberos, two for NTLM
    S: HELLO TOKEN [FINISHED]
    C: [TOKEN ...] FINISHED            until both contexts are complete

Theory of operation.  The exchange is lock-step.  T is the SHA-256 over all HELLO and
TOKEN frames, headers included, in order.  An end whose context is complete sends no
further token and accepts none, so from that moment T is final, and it sends FINISHED:
its context's MIC over T and the channel binding.  A changed, dropped, repeated or
added frame gives the two ends different T's and the MIC fails.  The acceptance rules
run before FINISHED is sent; a session opens when FINISHED was sent and the peer's
was verified, never before.

Over a channel that protects by itself (TLS, memory) or not at all (plain) there is
only HELLO, and suite `channel`.

Wire: docs/wire.md#handshake.  Precedent: SMB 3.1.1 pre-authentication integrity.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from ._acceptance import Claim, accept
from ._agreement import bound, check_choice, choose, make_suite, offer
from ._config import NO_BINDING, SessionConfig
from ._events import StepRequired
from ._frames import Frame, FrameType, encode_frame
from ._hello import (
    HELLO_LIMIT,
    ClientHello,
    ServerHello,
    decode_hello,
    encode_hello,
    rejection,
)
from ._identity import ANONYMOUS, Identity, ImpersonationLevel
from ._protection import Protection, Suite
from ._security import SecurityContext
from ._suites import ChannelSuite
from .errors import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
    IntegrityError,
    RemoteProtocolError,
    TransportError,
)

__all__ = [
    "ContextFactory",
    "Handshake",
    "Role",
    "mechanism_errors",
]

_MOST_LEGS: Final = 8

_LEVELS: Final = {
    FrameType.HELLO: Protection.NONE,
    FrameType.TOKEN: Protection.NONE,
    FrameType.REJECT: Protection.NONE,
    FrameType.FINISHED: Protection.SIGN,
}


@dataclass(frozen=True, slots=True)
class Role:
    """The words that differ between the two ends."""

    initiator: bool

    @property
    def own_label(self) -> bytes:
        return b"client" if self.initiator else b"server"

    @property
    def peer_label(self) -> bytes:
        return b"server" if self.initiator else b"client"


ContextFactory = Callable[[ClientHello], SecurityContext]


@contextmanager
def mechanism_errors() -> Generator[None, None, None]:
    """Turn whatever a mechanism raises on hostile input into a failed handshake.

    Seen so far: AttributeError, KeyError, StopIteration, struct.error, Krb5Error.
    """
    try:
        yield
    except TransportError:
        raise
    except Exception as error:
        raise AuthenticationFailed(
            "the security mechanism failed", reason=FailureReason.MALFORMED
        ) from error


class Handshake:
    """One end's handshake.  `Session` feeds it frames and sends what it leaves.

    Attributes:
        rejected: True once the peer sent REJECT, which is not answered.
        output: Frames to send, in order; the session takes them.
        steps: Steps the security context must take.
    """

    def __init__(
        self, config: SessionConfig, role: Role, context: ContextFactory | None
    ) -> None:
        self._config = config
        self._role = role
        self._make_context = context
        self._context: SecurityContext | None = None
        self._transcript = sha256()
        self._hello: ClientHello | None = None
        self._answer: ServerHello | None = None
        self._legs = 0
        # At most one of these holds: the handshake is lock-step.
        self._awaiting_hello = not role.initiator
        self._awaiting_token = False
        self._hello_unanswered = False
        self._sent_finished = False
        self._peer_finished = False
        self._suite: Suite | None = None
        self._peer = ANONYMOUS
        self.rejected = False
        self.output: list[bytes] = []
        self.steps: list[StepRequired] = []

    # What the session opens with.

    @property
    def frame_limit(self) -> int:
        """Bytes that the body of the next frame may have."""
        if self._awaiting_hello:
            return HELLO_LIMIT
        return self._config.limits.max_token_bytes

    @property
    def done(self) -> bool:
        """True when FINISHED was sent and the peer's was verified."""
        return self._sent_finished and self._peer_finished

    @property
    def suite(self) -> Suite:
        """The suite agreed on."""
        assert self._suite is not None
        return self._suite

    @property
    def peer(self) -> Identity:
        """Who the peer is; once the handshake is complete, in this very session."""
        peer = self._peer
        if not self.done or peer.anonymous or peer.session_id:
            return peer
        named = sha256(b"signetrpc1 session " + self._transcript.digest())
        return replace(peer, session_id=named.hexdigest()[:32])

    @property
    def minimum(self) -> Protection:
        """The lowest level in this session."""
        assert self._answer is not None
        return Protection(self._answer.minimum)

    @property
    def peer_limits(self) -> tuple[int, int]:
        """Bytes a record and a message to the peer may have."""
        peer = self._answer if self._role.initiator else self._hello
        assert peer is not None
        return peer.max_record, peer.max_message

    # Client.

    def start(self) -> None:
        """Client: offer, and ask for the first token."""
        config = self._config
        self._hello = offer(config)
        self._send(FrameType.HELLO, encode_hello(self._hello))
        if config.channel is None:
            self._begin(self._hello)
            self.steps.append(StepRequired(token=None))
        else:
            self._awaiting_hello = True

    def _receive_answer(self, frame: Frame) -> None:
        answer = decode_hello(ServerHello, bytes(frame.body))
        assert self._hello is not None
        check_choice(self._config, self._hello, answer)
        self._answer = answer
        self._awaiting_token = self._config.channel is None
        self._open_channel()

    # Server.

    def _receive_hello(self, frame: Frame) -> None:
        hello = decode_hello(ClientHello, bytes(frame.body))
        self._hello = hello
        self._answer = choose(self._config, hello)
        self._hello_unanswered = True
        if self._config.channel is None:
            self._begin(hello)
            self._awaiting_token = True
        else:
            self._open_channel()
            self._answer_hello()

    def _answer_hello(self) -> None:
        # The answer waits for the client's first token, so that both ends have the
        # frames in one order for T.
        if self._hello_unanswered:
            assert self._answer is not None
            self._hello_unanswered = False
            self._send(FrameType.HELLO, encode_hello(self._answer))

    # Both.

    def _begin(self, hello: ClientHello) -> None:
        assert self._make_context is not None
        with mechanism_errors():
            self._context = self._make_context(hello)

    def receive(self, frame: Frame) -> None:
        """Take the next frame.

        Raises:
            TransportError: The handshake has failed.
        """
        level = _LEVELS.get(frame.kind, frame.level)
        if frame.level != level:
            raise RemoteProtocolError(
                f"{frame.kind.name} frame of level {frame.level}, not {level:d}"
            )
        match frame.kind:
            case FrameType.HELLO if self._awaiting_hello:
                self._awaiting_hello = False
                self._transcript.update(frame.encoded)
                if self._role.initiator:
                    self._receive_answer(frame)
                else:
                    self._receive_hello(frame)
            case FrameType.TOKEN if self._awaiting_token:
                if not frame.body:
                    raise RemoteProtocolError("TOKEN frame without a token")
                self._awaiting_token = False
                self._transcript.update(frame.encoded)
                self._count_leg()
                self._answer_hello()
                self.steps.append(StepRequired(token=bytes(frame.body)))
            case FrameType.FINISHED if self._sent_finished and not self._peer_finished:
                self._verify_finished(frame)
            case FrameType.REJECT:
                self.rejected = True
                raise rejection(bytes(frame.body))
            case kind:
                raise RemoteProtocolError(f"{kind.name} frame at the wrong moment")

    def step(self, token: bytes | None) -> bytes | None:
        """Let the context take a step.  May block: call it off the event loop."""
        assert self._context is not None
        return self._context.step(token)

    def step_finished(self, token: bytes | None) -> None:
        """Go on with the outcome of a step."""
        context = self._context
        assert context is not None
        with mechanism_errors():
            complete = context.complete
        if token:
            if len(token) > self._config.limits.max_token_bytes:
                raise HandshakeError(
                    f"this end's token has {len(token)} bytes, "
                    f"limit {self._config.limits.max_token_bytes}"
                )
            self._count_leg()
            self._send(FrameType.TOKEN, token)
        elif not complete:
            raise AuthenticationFailed(
                "the mechanism is not complete and has nothing more to say",
                reason=FailureReason.NOT_PROVEN,
            )
        if not complete:
            if self._answer is None:
                self._awaiting_hello = True  # a client's first token is out
            else:
                self._awaiting_token = True
            return
        self._finish(context)

    def _finish(self, context: SecurityContext) -> None:
        hello = self._hello
        assert hello is not None
        if self._answer is None:
            raise AuthenticationFailed(
                "the mechanism completed before the server said anything",
                reason=FailureReason.NOT_PROVEN,
            )
        config = self._config
        with mechanism_errors():
            facts = context.facts()
        self._peer = accept(
            Claim(
                facts=facts,
                policy=config.policy,
                allowed=config.allowed,
                initiator=self._role.initiator,
                target=hello.target,
                served=config.served,
                bound=bound(self._answer),
            ),
            impersonation=ImpersonationLevel(hello.impersonation),
        )
        self._suite = make_suite(
            config,
            hello,
            self._answer,
            initiator=self._role.initiator,
            context=context,
            session_key=facts.session_key,
            transcript=self._transcript.digest(),
        )
        with mechanism_errors():
            mic = context.sign(self._statement(self._role.own_label))
        self.output.append(encode_frame(FrameType.FINISHED, Protection.SIGN, mic))
        self._sent_finished = True

    def _verify_finished(self, frame: Frame) -> None:
        assert self._context is not None
        try:
            statement = self._statement(self._role.peer_label)
            self._context.verify(statement, bytes(frame.body))
        except Exception as error:
            raise IntegrityError(
                "FINISHED does not match: the two ends did not see the same handshake"
            ) from error
        self._peer_finished = True

    def _statement(self, label: bytes) -> bytes:
        assert self._answer is not None
        binding = self._config.binding if bound(self._answer) else NO_BINDING
        return b"signetrpc1 finished " + label + self._transcript.digest() + binding

    def _open_channel(self) -> None:
        channel = self._config.channel
        if channel is None:
            return
        suite = ChannelSuite(channel.provides, keeps_levels=channel.keeps_levels)
        suite.effective(self.minimum)
        self._suite = suite
        self._peer = channel.peer
        self._sent_finished = self._peer_finished = True

    def _count_leg(self) -> None:
        self._legs += 1
        if self._legs > _MOST_LEGS:
            raise RemoteProtocolError(f"more than {_MOST_LEGS} tokens in a handshake")

    def _send(self, kind: FrameType, body: bytes) -> None:
        frame = encode_frame(kind, Protection.NONE, body)
        self._transcript.update(frame)
        self.output.append(frame)
