"""Records: runs of messages, their limits, their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.transport._frames import Frame, FrameType
from signetrpc.transport._protection import Protection
from signetrpc.transport._records import RunWriter, split_run
from signetrpc.transport._suites import ChannelSuite, GssSuite
from signetrpc.transport.errors import (
    ConnectionClosed,
    FrameTooLarge,
    LocalProtocolError,
    RemoteProtocolError,
)
from signetrpc.transport.testing import ScriptedContext
from tests.support.sessions import NONE, SEAL, SIGN, frames


def writer(
    *, minimum: Protection = NONE, max_message: int = 64, max_record: int = 128
) -> RunWriter:
    """A writer over a channel, whose frames are plaintext with a header."""
    return RunWriter(
        ChannelSuite(SEAL, keeps_levels=True),
        minimum=minimum,
        max_message=max_message,
        max_record=max_record,
    )


def gss_writer() -> tuple[RunWriter, GssSuite]:
    """A writer over suite gss, and the suite of the other end."""
    ends = [GssSuite(ScriptedContext(initiator=side)) for side in (True, False)]
    return (
        RunWriter(ends[0], minimum=SIGN, max_message=1000, max_record=4096),
        ends[1],
    )


def runs(data: bytes) -> list[tuple[int, list[bytes]]]:
    return [
        (frame.level, [bytes(m) for m in split_run(bytes(frame.body), 1 << 20)])
        for frame in frames(data)
    ]


def test_messages_of_one_level_share_a_record() -> None:
    out = writer()
    out.append(b"one", SIGN)
    out.append(b"two", SIGN)
    assert not out.empty
    data = out.data_to_send()
    assert data == bytes.fromhex("10010000 0000000e 00000003") + b"one" + (
        bytes.fromhex("00000003") + b"two"
    )
    assert out.empty
    assert out.data_to_send() == b""


def test_another_level_ends_the_run_and_nothing_is_reordered() -> None:
    out = writer()
    for message, level in [(b"a", SIGN), (b"b", SEAL), (b"c", SEAL), (b"d", SIGN)]:
        out.append(message, level)
    assert runs(out.data_to_send()) == [(1, [b"a"]), (2, [b"b", b"c"]), (1, [b"d"])]


def test_a_full_record_is_sealed_and_the_next_begun() -> None:
    out = writer(max_message=60, max_record=128)
    for _ in range(4):
        out.append(b"x" * 60, SIGN)
    out.append(b"y", SIGN)
    sent = frames(out.data_to_send())
    assert [len(frame.body) for frame in sent] == [128, 128, 5]


def test_the_longest_message_and_one_byte_more() -> None:
    out = writer()
    out.append(b"x" * 64, SIGN)
    with pytest.raises(FrameTooLarge, match="message of 65 bytes, limit 64"):
        out.append(b"x" * 65, SIGN)
    with pytest.raises(LocalProtocolError, match="at least 1 byte"):
        out.append(b"", SEAL)
    out.append(b"y", SIGN)
    messages = [message for _, run in runs(out.data_to_send()) for message in run]
    assert messages == [b"x" * 64, b"y"]


def test_a_level_under_the_minimum_is_refused() -> None:
    out = writer(minimum=SIGN)
    with pytest.raises(LocalProtocolError, match="NONE; this session's minimum is"):
        out.append(b"x", NONE)
    assert out.empty


def test_a_frame_without_plaintext_comes_after_all_that_waits() -> None:
    out = writer()
    out.append(b"last", SIGN)
    out.append_frame(FrameType.CLOSE, SIGN)
    kinds = [frame.kind for frame in frames(out.data_to_send())]
    assert kinds == [FrameType.RECORD, FrameType.CLOSE]


@pytest.mark.parametrize("level", [2, True])
def test_a_level_given_as_int_protects_as_much(level: int) -> None:
    # Typed callers cannot do this; one who does must not get plaintext for a seal.
    out, peer = gss_writer()
    asked: Protection = level  # type: ignore[assignment]  # pyright: ignore
    out.append(b"secret", asked)
    out.append(b"secret too", asked)
    data = out.data_to_send()
    got: list[bytes] = []
    for frame in frames(data):
        assert frame.level == level
        got += [bytes(m) for m in split_run(peer.unprotect(frame), 1000)]
    assert got == [b"secret", b"secret too"]
    assert (b"secret" in data) == (level == SIGN)


@pytest.mark.parametrize("level", [3, -1])
def test_a_level_that_is_none_is_refused(level: int) -> None:
    asked: Protection = level  # type: ignore[assignment]  # pyright: ignore
    with pytest.raises(LocalProtocolError, match="no level of protection"):
        writer().append(b"x", asked)


def test_an_error_of_the_mechanism_is_the_end() -> None:
    class Broken(ScriptedContext):
        def wrap(self, data: bytes) -> bytes:
            raise KeyError("expired")

    out = RunWriter(
        GssSuite(Broken(initiator=True)),
        minimum=SIGN,
        max_message=1000,
        max_record=4096,
    )
    out.append(b"x", SEAL)
    with pytest.raises(ConnectionClosed, match="could not protect") as caught:
        out.data_to_send()
    assert not caught.value.clean
    assert isinstance(caught.value.__cause__, KeyError)


RUN = b"\0\0\0\3one" + b"\0\0\0\1a" + b"\0\0\0\5three"


def test_a_run_is_cut_into_its_messages() -> None:
    assert split_run(RUN, 5) == [b"one", b"a", b"three"]


def test_a_run_ended_at_each_byte() -> None:
    ends = {7: [b"one"], 12: [b"one", b"a"]}
    for at in range(len(RUN)):
        if at in ends:
            assert split_run(RUN[:at], 5) == ends[at]
        else:
            with pytest.raises(RemoteProtocolError) as caught:
                split_run(RUN[:at], 5)
            assert str(caught.value) == (
                f"a record of {at} bytes does not end with a message"
            )


def test_a_run_with_an_empty_message() -> None:
    with pytest.raises(RemoteProtocolError, match="empty message"):
        split_run(b"\0\0\0\1a\0\0\0\0", 5)


def test_a_run_with_a_message_over_the_limit() -> None:
    with pytest.raises(FrameTooLarge, match="record of 5 bytes, limit 4"):
        split_run(RUN, 4)


def test_a_length_beyond_the_run_is_no_reason_to_allocate() -> None:
    with pytest.raises(RemoteProtocolError, match="does not end with a message"):
        split_run(b"\xff\xff\xff\xffx", 1 << 20)


@given(st.binary(max_size=64))
def test_any_run_is_messages_that_add_up_or_an_error(plaintext: bytes) -> None:
    try:
        messages = split_run(plaintext, 16)
    except (RemoteProtocolError, FrameTooLarge):
        return
    joined = b"".join(len(each).to_bytes(4, "big") + each for each in messages)
    assert joined == plaintext


@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=64), st.sampled_from(Protection)),
        max_size=30,
    ),
    st.sets(st.integers(0, 30)),
)
def test_what_is_written_is_read(
    wanted: list[tuple[bytes, Protection]], flushes: set[int]
) -> None:
    out = writer()
    data = b""
    for index, (message, level) in enumerate(wanted):
        out.append(message, level)
        if index in flushes:
            data += out.data_to_send()
    data += out.data_to_send()
    read = [(message, level) for level, run in runs(data) for message in run]
    assert read == wanted
    assert all(len(frame.body) <= 128 for frame in frames(data))


def test_limits_apply_to_frames_of_suite_gss() -> None:
    out, peer = gss_writer()
    for _ in range(8):
        out.append(b"x" * 1000, SEAL)
    sent: list[Frame] = frames(out.data_to_send())
    assert len(sent) > 1
    assert all(len(frame.body) <= 4096 for frame in sent)
    got = [each for frame in sent for each in split_run(peer.unprotect(frame), 1000)]
    assert got == [b"x" * 1000] * 8
