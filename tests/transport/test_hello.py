"""HELLO and REJECT: what is read, what is refused, what the other end is told."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.transport._hello import (
    HELLO_LIMIT,
    ClientHello,
    RejectCode,
    ServerHello,
    decode_hello,
    encode_hello,
    lowest,
    reject_code,
    rejection,
)
from signetrpc.transport._protection import Protection
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    FrameTooLarge,
    HandshakeError,
    HandshakeTimeout,
    InsufficientProtection,
    IntegrityError,
    RemoteProtocolError,
    TransportError,
)

CLIENT = ClientHello(
    magic="signetrpc",
    versions=[1],
    suites=["gss"],
    levels=[1, 2],
    max_record=262144,
    max_message=131072,
    protocol="negotiate",
    target="host/server",
    impersonation=1,
    nonce=bytes(32),
)
SERVER = ServerHello(
    magic="signetrpc",
    version=1,
    suite="gss",
    minimum=1,
    max_record=262144,
    max_message=131072,
    nonce=bytes(range(32)),
)
HELLOS: list[ClientHello | ServerHello] = [CLIENT, SERVER]


def read_as(hello: ClientHello | ServerHello, body: bytes) -> ClientHello | ServerHello:
    """Read a body as a HELLO of the same kind."""
    if isinstance(hello, ClientHello):
        return decode_hello(ClientHello, body)
    return decode_hello(ServerHello, body)


def changed(hello: ClientHello | ServerHello, **fields: object) -> bytes:
    body: dict[str, Any] = msgspec.msgpack.decode(encode_hello(hello))
    return msgspec.msgpack.encode(body | fields)


def without(hello: ClientHello | ServerHello, field: str) -> bytes:
    body: dict[str, Any] = msgspec.msgpack.decode(encode_hello(hello))
    del body[field]
    return msgspec.msgpack.encode(body)


@pytest.mark.parametrize("hello", HELLOS, ids=["client", "server"])
def test_it_comes_back(hello: ClientHello | ServerHello) -> None:
    assert read_as(hello, encode_hello(hello)) == hello


def test_the_longest_hello_fits_its_limit() -> None:
    longest: ClientHello = msgspec.structs.replace(
        CLIENT,
        versions=[1 << 63] * 16,
        suites=["s" * 32] * 16,
        levels=[0, 1, 2],
        target="t" * 512,
        key=bytes(32),
        features=["f" * 32] * 32,
    )
    assert len(encode_hello(longest)) < HELLO_LIMIT


def test_unknown_fields_are_passed_over() -> None:
    assert decode_hello(ClientHello, changed(CLIENT, later=[1, 2])) == CLIENT


@pytest.mark.parametrize("field", ["key", "features"])
@pytest.mark.parametrize("hello", HELLOS, ids=["client", "server"])
def test_optional_fields(hello: ClientHello | ServerHello, field: str) -> None:
    assert read_as(hello, without(hello, field)) == hello


@pytest.mark.parametrize(
    ("hello", "field"),
    [
        (hello, field)
        for hello in HELLOS
        for field in msgspec.msgpack.decode(encode_hello(hello))
        if field not in ("key", "features")
    ],
)
def test_required_fields(hello: ClientHello | ServerHello, field: str) -> None:
    with pytest.raises(RemoteProtocolError, match=field):
        read_as(hello, without(hello, field))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("magic", "http"),
        ("magic", b"signetrpc"),
        ("versions", []),
        ("versions", [1] * 17),
        ("versions", ["1"]),
        ("suites", []),
        ("suites", ["x" * 33]),
        ("suites", ["gss"] * 17),
        ("levels", []),
        ("levels", [3]),
        ("levels", [-1]),
        ("levels", [0, 1, 2, 2]),
        ("max_record", 1023),
        ("max_record", (1 << 30) + 1),
        ("max_message", 1.5),
        ("max_message", None),
        ("protocol", "p" * 33),
        ("target", "t" * 513),
        ("impersonation", 3),
        ("nonce", bytes(31)),
        ("nonce", bytes(33)),
        ("nonce", "0" * 32),
        ("key", bytes(31)),
        ("features", ["f"] * 33),
        ("features", "f"),
    ],
)
def test_each_rule_of_a_field(field: str, value: object) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_hello(ClientHello, changed(CLIENT, **{field: value}))


@pytest.mark.parametrize("hello", HELLOS, ids=["client", "server"])
def test_ended_at_each_byte(hello: ClientHello | ServerHello) -> None:
    body = encode_hello(hello)
    for at in range(len(body)):
        with pytest.raises(RemoteProtocolError, match="malformed HELLO"):
            read_as(hello, body[:at])
    with pytest.raises(RemoteProtocolError, match="malformed HELLO"):
        read_as(hello, body + b"\0")


def test_a_hello_of_the_other_kind_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        decode_hello(ServerHello, encode_hello(CLIENT))
    with pytest.raises(RemoteProtocolError):
        decode_hello(ClientHello, encode_hello(SERVER))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x91" * (HELLO_LIMIT - 1) + b"\x90",  # as deep as a HELLO can be
        b"\x81\xa1x" * 1300 + b"\xc0",
        b"\xdf\xff\xff\xff\xff",  # a map of 2^32 entries
        b"\xdd\xff\xff\xff\xff",
        b"\x81\xa5magic\xa2\xff\xfe",  # not UTF-8
        b"\x81\xa2\xff\xfe\xc0",
        b"\x81\xa5magic\xc7\xff\xff",
        b"\x81\xa5magic\xd6\xff\x00\x00\x00\x00",  # a timestamp
    ],
)
def test_garbage(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_hello(ClientHello, body)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_hello_or_a_protocol_error(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_hello(ServerHello, body)


@given(st.integers(0), st.integers(0, 255), st.sampled_from(HELLOS))
def test_one_byte_changed(at: int, byte: int, hello: ClientHello | ServerHello) -> None:
    body = bytearray(encode_hello(hello))
    body[at % len(body)] = byte
    try:
        read = read_as(hello, bytes(body))
    except RemoteProtocolError:
        return
    assert len(read.nonce) == 32


def test_the_value_is_never_quoted() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_hello(ClientHello, changed(CLIENT, nonce="very secret"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("levels", "floor", "chosen"),
    [
        ([0, 1, 2], Protection.NONE, Protection.NONE),
        ([2, 1], Protection.NONE, Protection.SIGN),
        ([0, 2], Protection.SIGN, Protection.SEAL),
        ([2], Protection.SEAL, Protection.SEAL),
    ],
)
def test_lowest_is_one_of_those_offered(
    levels: list[int], floor: Protection, chosen: Protection
) -> None:
    assert lowest(levels, floor=floor) is chosen


def test_lowest_refuses_less_than_the_floor() -> None:
    with pytest.raises(InsufficientProtection) as caught:
        lowest([0, 1], floor=Protection.SEAL)
    assert str(caught.value) == (
        "the client offers SIGN at most; this end's minimum is SEAL"
    )


def _failed(reason: FailureReason) -> AuthenticationFailed:
    return AuthenticationFailed("in detail", reason=reason)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RemoteProtocolError("x"), 1),
        (IntegrityError("x"), 1),
        (FrameTooLarge("x", size=2, limit=1), 1),
        (HandshakeError("x"), 2),
        (InsufficientProtection("x"), 3),
        (_failed(FailureReason.MECHANISM), 5),
        (_failed(FailureReason.UNKNOWN_SERVICE), 6),
        (_failed(FailureReason.CLOCK_SKEW), 7),
        (_failed(FailureReason.EXPIRED), 8),
        (HandshakeTimeout("x"), 9),
    ],
)
def test_what_the_peer_is_told(error: Exception, code: int) -> None:
    assert reject_code(error) == code


@pytest.mark.parametrize(
    "reason",
    [
        FailureReason.REFUSED,
        FailureReason.NO_CREDENTIALS,
        FailureReason.BAD_CREDENTIALS,
        FailureReason.UNKNOWN_PRINCIPAL,
        FailureReason.NO_KDC,
        FailureReason.NOT_PROVEN,
        FailureReason.MALFORMED,
    ],
)
def test_unknown_user_and_wrong_password_read_the_same(reason: FailureReason) -> None:
    assert reject_code(_failed(reason)) is RejectCode.CREDENTIALS


SAID: dict[int, tuple[type[TransportError], str]] = {
    1: (RemoteProtocolError, "it could not understand this end"),
    2: (HandshakeError, "no version, suite or protocol in common"),
    3: (InsufficientProtection, "too little protection offered"),
    4: (AuthenticationFailed, "wrong user, password or ticket"),
    5: (AuthenticationFailed, "it does not allow this mechanism"),
    6: (AuthenticationFailed, "it does not serve under this service principal"),
    7: (AuthenticationFailed, "the clocks of the two machines differ too much"),
    8: (AuthenticationFailed, "the ticket has expired"),
    9: (HandshakeTimeout, "it took too long"),
    10: (HandshakeError, "it is busy, or has seen too many failures from here"),
}


@pytest.mark.parametrize("code", RejectCode)
def test_each_code_has_its_error_and_fixed_text(code: RejectCode) -> None:
    kind, text = SAID[code]
    error = rejection(bytes((code,)))
    assert type(error) is kind
    assert str(error) == f"the peer refused the handshake: {text}"


@pytest.mark.parametrize("body", [b"", b"\0", b"\x0b", b"\xff", b"\x04\x04", b"x" * 99])
def test_odd_rejections_are_still_rejections(body: bytes) -> None:
    error = rejection(body)
    assert type(error) is RemoteProtocolError
    assert str(error).endswith("it could not understand this end")


@pytest.mark.parametrize(
    "reason",
    [
        FailureReason.MECHANISM,
        FailureReason.UNKNOWN_SERVICE,
        FailureReason.CLOCK_SKEW,
        FailureReason.EXPIRED,
    ],
)
def test_the_reasons_that_may_be_told_arrive(reason: FailureReason) -> None:
    error = rejection(bytes((reject_code(_failed(reason)),)))
    assert isinstance(error, AuthenticationFailed)
    assert error.reason is reason


_told: Callable[[TransportError], RejectCode] = reject_code


@pytest.mark.parametrize("code", [code for code in RejectCode if code != 10])
def test_a_rejection_passed_on_keeps_its_code(code: RejectCode) -> None:
    assert _told(rejection(bytes((code,)))) is code
