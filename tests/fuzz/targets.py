"""What is fuzzed: each target takes any bytes and raises only if there is a defect.

A clean refusal (a `TransportError`) is what hostile bytes should come to, and is
caught here; every other exception, a message that nobody sent, and memory held over a
limit come out.

The targets that need a state to be in read it from the first bytes of the input, so
that a mutation of those is a mutation of the state.
"""

import atexit
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, TypeVar

from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Credit,
    Item,
    Part,
    Reply,
    decode_message,
)
from signetrpc.transport._events import Established
from signetrpc.transport._frames import HEADER, FrameDecoder
from signetrpc.transport._hello import (
    ClientHello,
    ServerHello,
    decode_hello,
    encode_hello,
)
from signetrpc.transport._identity import Mechanism
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._pac import MAX_GROUPS, MalformedPac, is_sid, sids_of
from signetrpc.transport._security import NegotiationProtocol, SecurityContext
from signetrpc.transport._session import Session
from signetrpc.transport.errors import (
    AuthenticationFailed,
    ProtocolError,
    RemoteProtocolError,
)
from tests.fuzz.calls import calls
from tests.support.negotiation import ALICE, ALLOW_NTLM, account_file, initiator
from tests.support.pacs import impackets
from tests.support.sessions import (
    SIGN,
    SUITES,
    Exchange,
    frames,
    recorded,
    settle,
)

__all__ = ["TARGETS", "Target", "exchange"]

Target = Callable[[bytes], None]

_Hello = TypeVar("_Hello", ClientHello, ServerHello)

_LIMIT: Final = 512  # far under the length of an input, so that it can be passed
_LEGS: Final = (2, 3)


def frame_decoder(data: bytes) -> None:
    """Any bytes in chunks: frames, or an error; nothing is held over a limit."""
    size = 1 + (data[0] if data else 0)
    decoder = FrameDecoder(_LIMIT)
    taken = 0
    for start in range(1, len(data), size):
        chunk = data[start : start + size]
        decoder.receive_data(chunk)
        try:
            while (frame := decoder.next_frame()) is not None:
                assert len(frame.body) <= _LIMIT
                assert frame.encoded == data[1 + taken : 1 + taken + len(frame.encoded)]
                taken += len(frame.encoded)
        except ProtocolError:
            return
        assert decoder.buffered <= _LIMIT + HEADER.size


def hello(data: bytes) -> None:
    """Any body of a HELLO: one that means itself, or an error."""
    _one_hello(ClientHello, data)
    _one_hello(ServerHello, data)


def _one_hello(kind: type[_Hello], data: bytes) -> None:
    try:
        read = decode_hello(kind, data)
    except RemoteProtocolError:
        return
    assert decode_hello(kind, encode_hello(read)) == read


def envelope(data: bytes) -> None:
    """Any call message: one within its limits, or an error."""
    try:
        message = decode_message(data)
    except RemoteProtocolError:
        return
    lowest = 0 if isinstance(message, Credit) else 1  # 0 is the connection
    assert lowest <= getattr(message, "id", 1) < 1 << 32  # GOAWAY is of no call
    match message:
        case Call() | Item() | Reply():
            assert len(message.body) <= PART_BYTES
        case Part():
            assert len(message.chunk) <= PART_BYTES
        case _:
            pass


@cache
def exchange(suite: str, legs: int) -> Exchange:
    """Return what true ends say to each other."""
    return recorded(suite=suite, legs=legs, minimum=SIGN)


def _state(data: bytes) -> tuple[Exchange, bool, bytes]:
    """Read suite, legs and role from the first byte."""
    first = data[0] if data else 0
    whole = exchange(SUITES[first & 1], _LEGS[first >> 1 & 1])
    return whole, bool(first & 4), data[1:]


def _check(end: Session, whole: Exchange, *, initiator: bool, stream: bytes) -> None:
    outcome = settle(end, stream)
    true = whole.messages(initiator=initiator)
    assert outcome.messages == true[: len(outcome.messages)]
    if outcome.error is None:
        held = end._decoder  # pyright: ignore[reportPrivateUsage]
        assert held.buffered <= held.limit + HEADER.size
    if any(type(event) is Established for event in outcome.events):
        # Nobody opens by anything but the true handshake.
        shaken = _handshake(whole, initiator=initiator)
        assert stream[: len(shaken)] == shaken


@cache
def _shaken(suite: str, legs: int, *, initiator: bool) -> bytes:
    parts = frames(exchange(suite, legs).stream(initiator=initiator))
    return b"".join(frame.encoded for frame in parts if frame.kind < 16)


def _handshake(whole: Exchange, *, initiator: bool) -> bytes:
    return _shaken(whole.suite, whole.legs, initiator=initiator)


def handshake(data: bytes) -> None:
    """An end that has heard nothing: any bytes instead of a handshake."""
    whole, initiator, stream = _state(data)
    end = whole.fresh(initiator=initiator)
    _check(end, whole, initiator=initiator, stream=stream)


def session(data: bytes) -> None:
    """An end of an open session: any bytes after the true handshake."""
    whole, initiator, stream = _state(data)
    end = whole.fresh(initiator=initiator)
    shaken = _handshake(whole, initiator=initiator)
    _check(end, whole, initiator=initiator, stream=shaken + stream)


@cache
def _ntlm_server() -> AcceptorFactory:
    folder = Path(mkdtemp(prefix="signetrpc-fuzz-"))
    atexit.register(shutil.rmtree, folder)  # it is looked at for each logon
    return AcceptorFactory([account_file(folder)], ALLOW_NTLM)


def ntlm_challenge(form: NegotiationProtocol) -> tuple[SecurityContext, bytes]:
    """Return a server that has sent its challenge, and that challenge."""
    client = initiator(ALICE, form, allowed=frozenset({Mechanism.NTLM}))
    server = _ntlm_server().context(form)
    return server, server.step(client.step(None)) or b""


def tokens(data: bytes) -> None:
    """Any token, first or later, by itself or negotiated, to either end of NTLM."""
    first = data[0] if data else 0
    form = (NegotiationProtocol.NTLM, NegotiationProtocol.NEGOTIATE)[first & 1]
    end: SecurityContext
    if first & 2:
        end = initiator(ALICE, form, allowed=frozenset({Mechanism.NTLM}))
        end.step(None)
    elif first & 4:
        end, _ = ntlm_challenge(form)
    else:
        end = _ntlm_server().context(form)
    try:
        end.step(data[1:])
    except AuthenticationFailed:
        assert not end.complete
    if not first & 2:
        # A server challenges afresh: no bytes known beforehand let anybody in.
        assert not end.complete and not end.facts().complete


def pac(data: bytes) -> None:
    """Any bytes for a PAC: what impacket reads too, or an error."""
    try:
        found = sids_of(data)
    except MalformedPac:
        return
    assert len(found) <= 3 * MAX_GROUPS + 2
    assert all(map(is_sid, found))
    try:
        theirs = impackets(data)
    except Exception:
        return  # it raises anything, and where it does, it does not say what is there
    assert found == theirs


TARGETS: Final[dict[str, Target]] = {
    "calls": calls,
    "envelope": envelope,
    "frames": frame_decoder,
    "handshake": handshake,
    "hello": hello,
    "pac": pac,
    "session": session,
    "tokens": tokens,
}
