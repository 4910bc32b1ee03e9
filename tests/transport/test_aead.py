"""Suite aes256gcm: keys, nonces, levels, and the change of keys."""

import hmac
from hashlib import sha256
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from signetrpc.transport import _aead
from signetrpc.transport._aead import AeadSuite, public_key, shared_secret
from signetrpc.transport._frames import Frame, FrameDecoder, FrameType
from signetrpc.transport._protection import Protection
from signetrpc.transport.errors import IntegrityError, RemoteProtocolError

NONE, SIGN, SEAL = Protection
RECORD = FrameType.RECORD
TRANSCRIPT, SESSION_KEY, SHARED = b"T" * 32, b"K" * 16, b"X" * 32


def ends() -> tuple[AeadSuite, AeadSuite]:
    """Return a client's suite and a server's, under the same keys."""
    client, server = (
        AeadSuite(
            initiator=initiator,
            transcript=TRANSCRIPT,
            session_key=SESSION_KEY,
            shared=SHARED,
        )
        for initiator in (True, False)
    )
    return client, server


def frames(data: bytes) -> list[Frame]:
    """Cut bytes into frames."""
    decoder = FrameDecoder(1 << 20)
    decoder.receive_data(data)
    found: list[Frame] = []
    while (frame := decoder.next_frame()) is not None:
        found.append(frame)
    return found


def frame(data: bytes) -> Frame:
    """Return the one frame that bytes hold."""
    (only,) = frames(data)
    return only


def independent_key(way: bytes, level: bytes) -> bytes:
    """Derive a key as docs/wire.md says, with HMAC alone (RFC 5869)."""
    material = b"\x00\x10" + SESSION_KEY + SHARED
    prk = hmac.digest(TRANSCRIPT, material, sha256)
    info = b"signetrpc1 aes256gcm " + way + b" " + level
    return hmac.digest(prk, info + b"\x01", sha256)


def test_the_bytes_are_the_document_s() -> None:
    client, server = ends()
    header = b"\x10\x02\x00\x00\x00\x00\x00\x15"
    cipher = AESGCM(independent_key(b"c2s", b"seal"))
    assert client.protect(RECORD, SEAL, b"hello") == header + cipher.encrypt(
        bytes(12), b"hello", header
    )
    header = b"\x10\x01\x00\x00\x00\x00\x00\x15"
    cipher = AESGCM(independent_key(b"s2c", b"sign"))
    assert server.protect(RECORD, SIGN, b"hello") == header + b"hello" + cipher.encrypt(
        bytes(12), b"", header + b"hello"
    )
    nonce = bytes(11) + b"\x01"  # one counter for both keys
    header = b"\x12\x02\x00\x00\x00\x00\x00\x10"
    cipher = AESGCM(independent_key(b"s2c", b"seal"))
    assert server.protect(FrameType.CLOSE, SEAL, b"") == header + cipher.encrypt(
        nonce, b"", header
    )


@pytest.mark.parametrize("initiator", [True, False])
def test_what_one_end_protects_the_other_opens(initiator: bool) -> None:
    client, server = ends()
    here, there = (client, server) if initiator else (server, client)
    for level in (SEAL, NONE, SIGN, SEAL, SIGN):
        data = frame(here.protect(RECORD, level, b"attack at dawn"))
        assert (b"attack" in data.body) == (level is not SEAL)
        assert there.unprotect(data) == b"attack at dawn"


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_each_changed_bit_is_found(level: Protection) -> None:
    sealed = ends()[0].protect(RECORD, level, b"attack")
    for bit in range(8 * 8, len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(IntegrityError):
            ends()[1].unprotect(frame(bytes(changed)))


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_the_header_is_authenticated(level: Protection) -> None:
    sealed = frame(ends()[0].protect(RECORD, level, b"attack"))
    for other in (
        sealed._replace(header=b"\x12" + sealed.header[1:], kind=FrameType.CLOSE),
        sealed._replace(header=sealed.header[:4] + b"\0\0\0\xff"),
    ):
        with pytest.raises(IntegrityError):
            ends()[1].unprotect(other)


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_repeated_dropped_moved_and_reflected_frames_are_found(
    level: Protection,
) -> None:
    client, server = ends()
    first, second = (frame(client.protect(RECORD, level, b"x")) for _ in range(2))
    server.unprotect(first)
    with pytest.raises(IntegrityError):
        server.unprotect(first)
    with pytest.raises(IntegrityError):
        ends()[1].unprotect(second)
    with pytest.raises(IntegrityError):
        ends()[0].unprotect(first)


def test_an_injected_unprotected_frame_breaks_the_count() -> None:
    client, server = ends()
    assert server.unprotect(frame(b"\x10\x00\x00\x00\x00\x00\x00\x01x")) == b"x"
    with pytest.raises(IntegrityError):
        server.unprotect(frame(client.protect(RECORD, SIGN, b"x")))


def test_an_unprotected_frame_in_the_place_of_a_protected_one_is_found() -> None:
    client, server = ends()
    client.protect(RECORD, SEAL, b"dropped")
    second = frame(client.protect(RECORD, SEAL, b"second"))
    assert server.unprotect(frame(b"\x10\x00\x00\x00\x00\x00\x00\x01x")) == b"x"
    with pytest.raises(IntegrityError):
        server.unprotect(second)


def test_a_sealed_frame_does_not_pass_for_a_signed_one() -> None:
    client, server = ends()
    sealed = frame(client.protect(RECORD, SEAL, b"attack"))
    signed = sealed._replace(level=1, header=b"\x10\x01" + sealed.header[2:])
    with pytest.raises(IntegrityError):
        server.unprotect(signed)


@pytest.mark.parametrize("body", [b"", b"x" * 15])
@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_a_body_without_room_for_a_tag_fails(level: Protection, body: bytes) -> None:
    header = bytes((16, level, 0, 0, 0, 0, 0, len(body)))
    with pytest.raises(IntegrityError):
        ends()[1].unprotect(Frame(RECORD, level, header, body))


def test_everything_derives_from_everything() -> None:
    first = ends()[0].protect(RECORD, SEAL, b"x")
    for changed in (
        {"transcript": b"t" * 32},
        {"session_key": b"k" * 16},
        {"session_key": b"K" * 17},
        {"shared": b"x" * 32},
    ):
        made = {"transcript": TRANSCRIPT, "session_key": SESSION_KEY, "shared": SHARED}
        other = AeadSuite(initiator=True, **(made | changed))
        assert other.protect(RECORD, SEAL, b"x") != first


def test_rekey_comes_when_due_and_changes_both_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_aead, "REKEY_FRAMES", 3)
    monkeypatch.setattr(_aead, "_FEWEST_FRAMES", 2)
    client, server = ends()
    kinds: list[FrameType] = []
    for number in range(8):
        level = (SEAL, SIGN)[number % 2]
        for part in frames(client.protect(RECORD, level, b"x")):
            kinds.append(part.kind)
            if part.kind is FrameType.REKEY:
                server.rekey(part)
            else:
                assert server.unprotect(part) == b"x"
    assert kinds.count(FrameType.REKEY) == 2
    assert [kinds[3], kinds[7]] == [FrameType.REKEY] * 2


def test_rekey_comes_after_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_aead, "REKEY_BYTES", 10)
    client = ends()[0]
    assert len(frames(client.protect(RECORD, SEAL, b"x" * 10))) == 1
    assert len(frames(client.protect(RECORD, SEAL, b"x" * 10))) == 2


def test_no_two_frames_have_the_same_nonce_across_a_rekey(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_aead, "REKEY_FRAMES", 2)
    client = ends()[0]
    counters: list[int] = []
    for _ in range(6):
        counters.append(client._out.counter)  # pyright: ignore[reportPrivateUsage]
        client.protect(RECORD, SEAL, b"x")
    assert all(later > earlier for earlier, later in pairwise(counters))


def test_a_peer_that_goes_on_past_the_life_of_its_keys_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, server = ends()
    late = [frame(client.protect(RECORD, SEAL, b"x")) for _ in range(3)]
    monkeypatch.setattr(_aead, "REKEY_FRAMES", 2)
    server.unprotect(late[0])
    server.unprotect(late[1])
    with pytest.raises(RemoteProtocolError, match="past the life of its keys"):
        server.unprotect(late[2])


def test_an_early_rekey_is_refused() -> None:
    client, server = ends()
    with pytest.raises(RemoteProtocolError, match="after 0 frames, at least 65536"):
        server.rekey(frame(client.protect(FrameType.REKEY, SIGN, b"")))


@pytest.mark.parametrize("level", [NONE, SEAL])
def test_a_rekey_is_signed(level: Protection) -> None:
    client, server = ends()
    with pytest.raises(IntegrityError, match="not 1"):
        server.rekey(frame(client.protect(FrameType.REKEY, level, b"")))


def test_a_rekey_carries_nothing() -> None:
    client, server = ends()
    with pytest.raises(RemoteProtocolError, match="no data"):
        server.rekey(frame(client.protect(FrameType.REKEY, SIGN, b"x")))


def test_both_ends_find_one_secret() -> None:
    alice, bob = b"a" * 32, b"b" * 32
    secret = shared_secret(alice, public_key(bob))
    assert secret == shared_secret(bob, public_key(alice))
    assert len(secret) == 32


# Points of small order (RFC 7748 section 6.1; the list of cr.yp.to/ecdh.html).
@pytest.mark.parametrize(
    "point",
    [
        bytes(32),
        b"\x01" + bytes(31),
        bytes.fromhex(
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"
        ),
        bytes.fromhex(
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"
        ),
    ],
)
def test_a_key_that_forces_the_secret_is_refused(point: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="all-zero"):
        shared_secret(b"a" * 32, point)


def test_every_level_is_itself() -> None:
    suite = ends()[0]
    assert [suite.effective(level) for level in Protection] == list(Protection)
    assert (suite.name, suite.control_level, suite.guards) == ("aes256gcm", SIGN, True)
    assert not suite.exhausted
