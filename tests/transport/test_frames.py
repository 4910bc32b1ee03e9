"""Frames: the header, the incremental decoder, what it refuses and what it holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.transport._frames import (
    HEADER,
    Frame,
    FrameDecoder,
    FrameType,
    encode_frame,
)
from signetrpc.transport.errors import FrameTooLarge, RemoteProtocolError
from tests.support.sessions import raw

BODIES = [b"", b"a", b"bc" * 4, b"d" * 300]
STREAM = b"".join(encode_frame(FrameType.RECORD, 1, body) for body in BODIES)


def drained(decoder: FrameDecoder) -> list[Frame]:
    found: list[Frame] = []
    while (frame := decoder.next_frame()) is not None:
        found.append(frame)
    return found


def decoded(*chunks: bytes, limit: int = 1024) -> list[bytes]:
    decoder = FrameDecoder(limit)
    found: list[Frame] = []
    for chunk in chunks:
        decoder.receive_data(chunk)
        found += drained(decoder)
    return [bytes(frame.body) for frame in found]


def test_header_is_eight_bytes_big_endian() -> None:
    frame = encode_frame(FrameType.RECORD, 2, b"body")
    assert frame == bytes.fromhex("10 02 0000 00000004") + b"body"


@pytest.mark.parametrize("kind", FrameType)
def test_each_type_comes_back_as_it_stood(kind: FrameType) -> None:
    decoder = FrameDecoder(8)
    encoded = encode_frame(kind, 1, b"12345678")
    decoder.receive_data(encoded)
    frame = decoder.next_frame()
    assert frame == Frame(kind, 1, encoded[:8], b"12345678")
    assert frame is not None and frame.encoded == encoded
    assert decoder.next_frame() is None


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_split_at_each_byte(at: int) -> None:
    assert decoded(STREAM[:at], STREAM[at:]) == BODIES


def test_one_byte_at_a_time() -> None:
    assert decoded(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == BODIES


@pytest.mark.parametrize("at", range(len(STREAM)))
def test_ended_at_each_byte_gives_whole_frames_only(at: int) -> None:
    decoder = FrameDecoder(1024)
    decoder.receive_data(STREAM[:at])
    bodies = [frame.body for frame in drained(decoder)]
    assert bodies == BODIES[: len(bodies)]
    assert decoder.buffered == at - sum(8 + len(body) for body in bodies)


@given(st.data())
def test_any_split_and_any_rhythm_of_parsing(data: st.DataObject) -> None:
    decoder = FrameDecoder(1024)
    bodies: list[bytes] = []
    rest = STREAM
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        decoder.receive_data(rest[:size])
        rest = rest[size:]
        for _ in range(data.draw(st.integers(0, 3))):
            if (frame := decoder.next_frame()) is not None:
                bodies.append(bytes(frame.body))
    assert bodies + [frame.body for frame in drained(decoder)] == BODIES
    assert decoder.buffered == 0


@pytest.mark.parametrize("partial", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(
    ("header", "said"),
    [
        (raw(0), "unknown frame type 0"),
        (raw(5), "unknown frame type 5"),
        (raw(255), "unknown frame type 255"),
        (raw(16, level=3), "unknown protection level 3"),
        (raw(16, reserved=0x8000), "reserved header bits 0x8000, not zero"),
        (raw(16, reserved=1), "reserved header bits 0x0001, not zero"),
    ],
)
def test_malformed_headers(header: bytes, said: str, partial: bool) -> None:
    chunks = [header[at : at + 1] for at in range(8)] if partial else [header]
    with pytest.raises(RemoteProtocolError) as caught:
        decoded(*chunks)
    assert str(caught.value) == said


@pytest.mark.parametrize("size", [1025, 1 << 20, (1 << 32) - 1])
def test_a_length_is_refused_by_its_header_alone(size: int) -> None:
    decoder = FrameDecoder(1024)
    decoder.receive_data(HEADER.pack(16, 0, 0, size))
    with pytest.raises(FrameTooLarge) as caught:
        decoder.next_frame()
    assert (caught.value.size, caught.value.limit) == (size, 1024)
    assert str(caught.value) == f"RECORD frame of {size} bytes, limit 1024"
    assert decoder.buffered == 8


def test_the_limit_itself_is_allowed_and_may_change() -> None:
    body = b"x" * 1024
    assert decoded(encode_frame(FrameType.TOKEN, 0, body)) == [body]
    decoder = FrameDecoder(1024)
    decoder.receive_data(encode_frame(FrameType.TOKEN, 0, body) * 2)
    assert decoder.next_frame() is not None
    decoder.limit = 1023
    with pytest.raises(FrameTooLarge):
        decoder.next_frame()


def test_it_holds_what_it_was_fed_and_no_more() -> None:
    decoder = FrameDecoder(1 << 30)
    decoder.receive_data(HEADER.pack(16, 0, 0, 1 << 30))
    assert decoder.next_frame() is None
    decoder.receive_data(b"x" * 10)
    assert decoder.next_frame() is None
    assert decoder.buffered == 18


@given(st.binary(max_size=200))
def test_garbage_gives_frames_or_a_protocol_error(data: bytes) -> None:
    try:
        bodies = decoded(data, limit=64)
    except (RemoteProtocolError, FrameTooLarge):
        return
    assert sum(8 + len(body) for body in bodies) <= len(data)
