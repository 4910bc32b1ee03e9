"""Golden bytes, both ways, and once more by hand from docs/wire.md alone."""

from hashlib import sha256
from hmac import digest
from struct import pack, unpack
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from signetrpc.transport._aead import public_key, shared_secret
from signetrpc.transport._events import Established, MessagesReceived, PeerClosed
from signetrpc.transport._session import SessionState
from tests.conformance.exchanges import (
    FOLDER,
    NAMES,
    Vector,
    described,
    end,
    frame_of,
    life_of,
    load,
    play,
    suite_of,
)
from tests.conformance.schedule import expand, schedule, x25519
from tests.support.sessions import collect

GSS = [name for name in NAMES if suite_of(name) == "gss"]
AEAD = [name for name in NAMES if suite_of(name) == "aes256gcm"]


def test_each_vector_is_listed() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_these_bytes_are_sent(name: str) -> None:
    with life_of(name):
        played = play(name)
    sent = [
        ("client" if by_client else "server", frame.encoded.hex())
        for by_client, frame in played
    ]
    assert sent == [(each["from"], each["frame"]) for each in load(name)["frames"]]


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_these_bytes_are_understood(name: str, initiator: bool) -> None:
    receiver = end(name, initiator=initiator)
    other = "server" if initiator else "client"
    seen: list[type] = []
    collect(receiver)
    for entry in load(name)["frames"]:
        if entry["from"] != other:
            continue
        receiver.receive_data(bytes.fromhex(entry["frame"]))
        with life_of(name):
            events = collect(receiver)
        for event in events:
            seen.append(type(event))
            if isinstance(event, MessagesReceived):
                assert described(event) == {
                    "level": entry["level"],
                    "messages": entry["messages"],
                }
    assert seen.count(Established) == 1
    assert seen.count(MessagesReceived) == sum(
        "messages" in each for each in load(name)["frames"] if each["from"] == other
    )
    assert seen[-1] is PeerClosed
    assert receiver.state is SessionState.CLOSED


# By hand.  Nothing below uses the product but to cut frames.


def _hello(frames: list[dict[str, Any]], by: str) -> dict[str, Any]:
    body = next(
        frame_of(entry).body
        for entry in frames
        if entry["type"] == "HELLO" and entry["from"] == by
    )
    read: dict[str, Any] = msgspec.msgpack.decode(body)
    return read


@pytest.mark.parametrize("name", NAMES)
def test_hello_is_what_the_document_says(name: str) -> None:
    vector = load(name)
    frames, suite = vector["frames"], suite_of(name)
    keys = {
        end: bytes.fromhex(vector["schedule"][f"{end}_public"])
        if name in AEAD
        else None
        for end in ("client", "server")
    }
    assert _hello(frames, "client") == {
        "magic": "signetrpc",
        "versions": [1],
        "suites": [suite],
        "levels": [0, 1, 2],
        "max_record": 65536,
        "max_message": 16384,
        "protocol": "" if suite == "channel" else "kerberos",
        "target": "" if suite == "channel" else "host/server",
        "impersonation": 1,
        "nonce": bytes(range(32)),
        "key": keys["client"],
        "features": [],
    }
    assert _hello(frames, "server") == {
        "magic": "signetrpc",
        "version": 1,
        "suite": suite,
        "minimum": 0,
        "max_record": 32768,
        "max_message": 8192,
        "nonce": bytes(range(255, 223, -1)),
        "key": keys["server"],
        "features": [],
    }


def _nonce(by: str, count: int) -> bytes:
    return by[:1].encode() + count.to_bytes(11, "big")


class _GssReader:
    """Another implementation of suite gss, over the scripted mechanism."""

    def __init__(self, vector: Vector) -> None:
        self._key = bytes.fromhex(vector["key"])
        self._protected = {"client": 0, "server": 0}
        self._counted = {"client": 0, "server": 0}

    def _next(self, by: str) -> bytes:
        self._protected[by] += 1
        return _nonce(by, self._protected[by] - 1)

    def check_mic(self, by: str, data: bytes, mic: bytes) -> None:
        assert mic == digest(self._key, self._next(by) + data, "sha256")

    def plaintext(self, by: str, encoded: bytes) -> bytes:
        kind, level, reserved, length = unpack(">BBHI", encoded[:8])
        body = encoded[8:]
        assert (reserved, length) == (0, len(body))
        count = self._counted[by]
        self._counted[by] += 1
        if level == 0:
            return body
        if level == 1:
            (size,) = unpack(">H", body[:2])
            mic, plaintext = body[2 : 2 + size], body[2 + size :]
            prefix = pack(">BBHIQ", kind, 1, 0, len(plaintext), count)
            self.check_mic(by, prefix + plaintext, mic)
            return plaintext
        opened = AESGCM(self._key).decrypt(self._next(by), body, None)
        prefix = pack(">BBHIQ", kind, 2, 0, len(opened) - 16, count)
        assert opened[:16] == prefix
        return opened[16:]


class _AeadReader(_GssReader):
    """Another implementation of suite aes256gcm; FINISHED is the mechanism's."""

    def __init__(self, vector: Vector) -> None:
        super().__init__(vector)
        self._unprotected = {"client": 0, "server": 0}
        listed = vector["schedule"]
        self._keys = {
            (by, level): bytes.fromhex(listed[f"{way} {level}"])
            for by, way in (("client", "c2s"), ("server", "s2c"))
            for level in ("sign", "seal")
        }

    def plaintext(self, by: str, encoded: bytes) -> bytes:
        header, body = encoded[:8], encoded[8:]
        _, level, reserved, length = unpack(">BBHI", header)
        assert (reserved, length) == (0, len(body))
        nonce = pack(">IQ", self._unprotected[by], self._counted[by])
        self._counted[by] += 1
        if level == 0:
            self._unprotected[by] += 1
            return body
        if level == 2:
            seal = AESGCM(self._keys[by, "seal"])
            return seal.decrypt(nonce, body, header)
        plaintext, tag = body[:-16], body[-16:]
        sign = AESGCM(self._keys[by, "sign"])
        assert sign.decrypt(nonce, tag, header + plaintext) == b""
        return plaintext

    def change_keys(self, by: str) -> None:
        for name in ("sign", "seal"):
            self._keys[by, name] = expand(self._keys[by, name], b"signetrpc1 rekey")


def _run(plaintext: bytes) -> list[str]:
    messages: list[str] = []
    while plaintext:
        (size,) = unpack(">I", plaintext[:4])
        messages.append(plaintext[4 : 4 + size].hex())
        plaintext = plaintext[4 + size :]
    return messages


@pytest.mark.parametrize("name", [*GSS, *AEAD])
def test_another_implementation_agrees(name: str) -> None:
    vector = load(name)
    reader = _GssReader(vector) if name in GSS else _AeadReader(vector)
    transcript = sha256()
    finished: list[str] = []
    for entry in vector["frames"]:
        by, encoded = entry["from"], bytes.fromhex(entry["frame"])
        match entry["type"]:
            case "HELLO" | "TOKEN":
                assert not finished
                assert encoded[1] == 0
                transcript.update(encoded)
            case "FINISHED":
                assert encoded[:2] == b"\x03\x01"
                statement = (
                    f"signetrpc1 finished {by}".encode()
                    + transcript.digest()
                    + bytes(32)
                )
                reader.check_mic(by, statement, encoded[8:])
                finished.append(by)
            case "RECORD":
                assert len(finished) == 2
                messages = _run(reader.plaintext(by, encoded))
                assert messages == entry["messages"]
                assert ["NONE", "SIGN", "SEAL"][encoded[1]] == entry["level"]
            case "REKEY":
                assert isinstance(reader, _AeadReader)
                assert encoded[1] == 1
                assert reader.plaintext(by, encoded) == b""
                reader.change_keys(by)
            case "CLOSE":
                assert encoded[1] == 1
                assert reader.plaintext(by, encoded) == b""
            case other:
                raise AssertionError(other)


def test_a_vector_has_every_kind_of_frame_and_level() -> None:
    for name in (*GSS, *AEAD):
        entries = load(name)["frames"]
        kinds = {entry["type"] for entry in entries} - {"REKEY"}
        assert kinds == {"HELLO", "TOKEN", "FINISHED", "RECORD", "CLOSE"}
        levels = {entry["level"] for entry in entries if entry["type"] == "RECORD"}
        assert levels == {"NONE", "SIGN", "SEAL"}


# The key schedule.


@pytest.mark.parametrize("name", AEAD)
def test_the_key_schedule_follows_from_the_secrets(name: str) -> None:
    vector = load(name)
    listed = vector["schedule"]
    assert listed == schedule(
        client_secret=bytes.fromhex(listed["client_secret"]),
        server_secret=bytes.fromhex(listed["server_secret"]),
        session_key=bytes.fromhex(listed["session_key"]),
        handshake=[bytes.fromhex(entry["frame"]) for entry in vector["frames"]],
    )
    assert len({listed[name] for name in listed if name[:3] in ("c2s", "s2c")}) == 8


@pytest.mark.parametrize("name", AEAD)
def test_the_product_derives_the_same(name: str) -> None:
    listed = load(name)["schedule"]
    secret, peer = (
        bytes.fromhex(listed[name]) for name in ("client_secret", "server_public")
    )
    assert public_key(secret).hex() == listed["client_public"]
    assert shared_secret(secret, peer).hex() == listed["x"]


def test_x25519_is_that_of_rfc_7748() -> None:
    # Section 5.2, the iterated test.
    k = u = b"\x09" + bytes(31)
    k, u = x25519(k, u), k
    assert k.hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    for _ in range(999):
        k, u = x25519(k, u), k
    assert k.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_keys_change_both_ways_in_the_exchange_that_is_about_it() -> None:
    vector = load("aes256gcm-rekey")
    since = {"client": 0, "server": 0}
    changes = {"client": 0, "server": 0}
    for entry in vector["frames"]:
        if entry["type"] not in ("RECORD", "REKEY", "CLOSE"):
            continue
        by = entry["from"]
        if entry["type"] == "REKEY":
            assert since[by] == vector["life"]["frames"]
            since[by] = 0
            changes[by] += 1
        else:
            since[by] += 1
            assert since[by] <= vector["life"]["frames"]
    assert min(changes.values()) >= 2
