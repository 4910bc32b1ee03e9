"""Clients that attack: what they send, answer by answer.

A script is a generator: it yields bytes to send and is given the frames that came back.
The same script runs against a session in memory and against a listener on a socket.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import anyio
import pytest
import spnego
from spnego import ContextReq
from spnego._ntlm_raw.messages import (
    Authenticate,
    Challenge,
    Negotiate,
    NegotiateFlags,
)
from spnego._spnego import NegState, NegTokenInit, NegTokenResp, unpack_token

from signetrpc.transport import Listener
from signetrpc.transport._addresses import TcpAddress
from signetrpc.transport._frames import Frame, FrameDecoder, FrameType
from signetrpc.transport._session import Session, SessionState
from signetrpc.transport.errors import TransportError
from tests.support.negotiation import ALICE
from tests.support.sessions import hello_of, raw, settle

Script = Generator[bytes, list[Frame], None]
Attack = Callable[[str], Script]
"""Makes a script, given the suite to offer."""

NTLM_OID = "1.3.6.1.4.1.311.2.2.10"
FLAGS = (
    NegotiateFlags.unicode
    | NegotiateFlags.sign
    | NegotiateFlags.seal
    | NegotiateFlags.key_128
    | NegotiateFlags.key_exch
    | NegotiateFlags.extended_session_security
    | NegotiateFlags.ntlm
)


def hello(suite: str, protocol: str, **fields: object) -> bytes:
    """Return a HELLO for those tokens, of a client that needs no service."""
    return hello_of(suite=suite, **{"protocol": protocol, "target": ""} | fields)


def token(data: bytes) -> bytes:
    """Return the frame of a token."""
    return raw(FrameType.TOKEN, data)


def token_in(frames: list[Frame]) -> bytes:
    """Return the token among frames that came back."""
    (body,) = (frame.body for frame in frames if frame.kind is FrameType.TOKEN)
    return bytes(body)


# NTLM.


def _without_password(challenge: bytes) -> bytes:
    flags = Challenge.unpack(challenge).flags
    # A zero LM response is the client challenge and zeros: what is expected of it.
    message = Authenticate(flags, b"\0" * 24, None, "CORP", "alice", "W", b"\1" * 16)
    return message.pack()


def without_password(suite: str) -> Script:
    """A known user, an empty NT response and a zero LM response."""
    first = Negotiate(FLAGS).pack()
    back = yield hello(suite, "ntlm") + token(first)
    yield token(_without_password(token_in(back))) + constant_finished()


def negotiated_without_password(suite: str) -> Script:
    """The same inside SPNEGO, which the client says is complete."""
    first = NegTokenInit([NTLM_OID], mech_token=Negotiate(FLAGS).pack()).pack()
    back = yield hello(suite, "negotiate") + token(first)
    challenge = unpack_token(token_in(back)).response_token
    last = _without_password(challenge)
    answer = NegTokenResp(NegState.accept_complete, None, last).pack()
    yield token(answer) + constant_finished()


def version_1(suite: str) -> Script:
    """NTLMv1, with the right password."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LM_COMPAT_LEVEL", "2")
        client = spnego.client(ALICE.user, ALICE.password, protocol="ntlm")
    back = yield hello(suite, "ntlm") + token(client.step() or b"")
    yield token(client.step(token_in(back)) or b"") + constant_finished()


def without_integrity(suite: str) -> Script:
    """The right password, no integrity, and so the constant that passes for a MIC."""
    client = spnego.client(
        ALICE.user, ALICE.password, protocol="ntlm", context_req=ContextReq.none
    )
    back = yield hello(suite, "ntlm") + token(client.step() or b"")
    yield token(client.step(token_in(back)) or b"") + constant_finished()


def nobody(suite: str) -> Script:
    """Anonymous NTLM: no user, no responses."""
    first = Negotiate(FLAGS).pack()
    back = yield hello(suite, "ntlm") + token(first)
    flags = Challenge.unpack(token_in(back)).flags
    last = Authenticate(flags, b"\0", None, None, None, "W", b"\1" * 16).pack()
    yield token(last) + constant_finished()


def constant_finished() -> bytes:
    """What NTLM without integrity takes for a signature of anything."""
    return raw(FrameType.FINISHED, b"\1" + b"\0" * 15, level=1)


# SPNEGO.


def completed_first(suite: str) -> Script:
    """NegTokenResp(accept-completed), no token, as the first message."""
    done = NegTokenResp(NegState.accept_complete).pack()
    yield hello(suite, "negotiate") + token(done) + constant_finished()


def completed_second(suite: str) -> Script:
    """NegTokenResp(accept-completed), no token, as the second message."""
    first = NegTokenInit([NTLM_OID], mech_token=Negotiate(FLAGS).pack()).pack()
    yield hello(suite, "negotiate") + token(first)
    done = NegTokenResp(NegState.accept_complete).pack()
    yield token(done) + constant_finished()


def bare_in_negotiation(suite: str) -> Script:
    """A bare NTLM token where a negotiation was announced."""
    yield hello(suite, "negotiate") + token(Negotiate(FLAGS).pack())


NTLM_ATTACKS: dict[str, Attack] = {
    "no password": without_password,
    "no password, negotiated": negotiated_without_password,
    "NTLMv1": version_1,
    "no integrity, constant signature": without_integrity,
    "nobody": nobody,
    "accept-completed first": completed_first,
    "accept-completed second": completed_second,
    "bare token in a negotiation": bare_in_negotiation,
}
"""What is tried at a server with an account file."""


# Where they run.


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an attack came to.

    Attributes:
        error: How the server ended the session, if it did (session only).
        frames: Everything the server sent.
        inside: The server took the attacker for somebody.
    """

    error: TransportError | None
    frames: list[Frame]
    inside: bool

    @property
    def rejections(self) -> list[int]:
        """The codes of the REJECT frames among `frames`."""
        reject = FrameType.REJECT
        return [frame.body[0] for frame in self.frames if frame.kind is reject]


def _cut(decoder: FrameDecoder) -> list[Frame]:
    found: list[Frame] = []
    while (frame := decoder.next_frame()) is not None:
        found.append(frame)
    return found


def against_session(script: Script, server: Session) -> Result:
    """Run a script against a session in memory, as far as it gets."""
    decoder = FrameDecoder(1 << 20)
    seen: list[Frame] = []
    error: TransportError | None = None
    data = next(script)
    while True:
        outcome = settle(server, data)
        error = error or outcome.error
        decoder.receive_data(server.data_to_send())
        back = _cut(decoder)
        seen += back
        if error is not None:
            break
        try:
            data = script.send(back)
        except StopIteration:
            break
    inside = server.state is not SessionState.FAILED or bool(
        server._established  # pyright: ignore[reportPrivateUsage]
    )
    return Result(error=error, frames=seen, inside=inside)


async def against_listener(script: Script, listener: Listener) -> Result:
    """Run a script against a listener; `inside` stays False, its handler knows."""
    address = listener.address
    assert isinstance(address, TcpAddress)
    decoder = FrameDecoder(1 << 20)
    seen: list[Frame] = []
    with anyio.fail_after(30):
        async with await anyio.connect_tcp(address.host, address.port) as stream:
            data = next(script)
            try:
                while True:
                    await stream.send(data)
                    back: list[Frame] = []
                    while not {frame.kind for frame in back} & {2, 3, 4}:
                        decoder.receive_data(await stream.receive())
                        back += _cut(decoder)
                    seen += back
                    data = script.send(back)
            except StopIteration:
                pass
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                seen += _cut(decoder)
    return Result(error=None, frames=seen, inside=False)
