"""The golden exchanges: how they are made, written and read.

Each file in `vectors/` holds every frame of one scripted exchange in hexadecimal, in
the order in which they were sent, and what they mean.  They change only with the
wire (docs/wire.md); to write them anew, on purpose:

    python -m tests.conformance.regenerate
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from signetrpc.transport import _aead
from signetrpc.transport._config import Channel, Limits
from signetrpc.transport._events import Event, MessagesReceived
from signetrpc.transport._frames import Frame, FrameType
from signetrpc.transport._protection import Protection, SuiteName
from signetrpc.transport._session import Session
from signetrpc.transport.testing import ScriptedContext, scripted_facts
from tests.conformance.schedule import schedule
from tests.support.sessions import collect, config, frames, session

FOLDER: Final = Path(__file__).parent / "vectors"
NAMES: Final = (
    "aes256gcm-2-legs",
    "aes256gcm-3-legs",
    "aes256gcm-rekey",
    "channel-none",
    "gss-2-legs",
    "gss-3-legs",
)
KEY: Final = bytes(range(32))
SECRETS: Final = {True: bytes(range(32, 64)), False: bytes(range(64, 96))}
"""The X25519 secrets of the client and of the server."""
SESSION_KEY: Final = bytes(range(96, 128))

LIFE: Final = {"REKEY_FRAMES": 3, "_FEWEST_FRAMES": 2}
"""The exchange with a REKEY is made as though keys were used up after so few frames,
and a REKEY allowed after so few: all else in it is as the wire has it."""

NONE, SIGN, SEAL = Protection

# What each end sends once the session is open, in turns.
SCRIPT: Final[tuple[tuple[bool, list[tuple[bytes, Protection]]], ...]] = (
    (True, [(b"ping", SIGN), (b"second in one record", SIGN)]),
    (False, [(b"pong", SEAL), (b"x", NONE)]),
    (True, [(b"in clear", NONE), (b"sealed", SEAL), (b"\x00\xff", SIGN)]),
)

# And once more where a REKEY has to come.
LONGER: Final = (
    *SCRIPT,
    (True, [(b"under new keys", SEAL), (b"signed", SIGN)]),
    (False, [(b"a", SIGN), (b"b", SEAL), (b"c", SIGN), (b"d", SEAL)]),
)

Vector = dict[str, Any]


@contextmanager
def life_of(name: str) -> Generator[None]:
    """Give the keys the short life that the exchange of that name has."""
    with pytest.MonkeyPatch.context() as patch:
        if name.endswith("rekey"):
            for constant, value in LIFE.items():
                patch.setattr(_aead, constant, value)
        yield


def suite_of(name: str) -> str:
    """Return the suite that the exchange of that name is about."""
    return name.partition("-")[0]


def end(name: str, *, initiator: bool) -> Session:
    """Return one end of the exchange of that name, with everything in it fixed."""
    nonce = bytes(range(32)) if initiator else bytes(range(255, 223, -1))
    brings = replace(
        config(initiator=initiator, minimum=NONE),
        nonce=nonce,
        secret=SECRETS[initiator],
        limits=Limits(
            max_record_bytes=65536 if initiator else 32768,
            max_message_bytes=16384 if initiator else 8192,
        ),
    )
    suite = suite_of(name)
    if suite == SuiteName.CHANNEL:
        brings = replace(brings, channel=Channel(provides=NONE), target="", protocol="")
        return session(initiator=initiator, given=brings)
    brings = replace(brings, policy=replace(brings.policy, suites=(suite,)))
    legs = 2 if name.endswith("rekey") else int(name.split("-")[1])
    reported = replace(scripted_facts(initiator=initiator), session_key=SESSION_KEY)
    return session(
        initiator=initiator,
        given=brings,
        context=lambda _: ScriptedContext(
            initiator=initiator, legs=legs, key=KEY, token_bytes=24, reported=reported
        ),
    )


def play(name: str) -> list[tuple[bool, Frame]]:
    """Let the ends talk and return each frame with True if the client sent it."""
    client, server = end(name, initiator=True), end(name, initiator=False)
    sent: list[tuple[bool, Frame]] = []

    def settle() -> None:
        moved = True
        while moved:
            moved = False
            for here, there in ((client, server), (server, client)):
                collect(here)
                if data := here.data_to_send():
                    moved = True
                    sent.extend((here is client, frame) for frame in frames(data))
                    there.receive_data(data)

    settle()
    for by_client, messages in LONGER if name.endswith("rekey") else SCRIPT:
        for message, level in messages:
            if suite_of(name) == SuiteName.CHANNEL:
                level = NONE
            (client if by_client else server).send(message, level)
        settle()
    client.close()
    settle()
    server.close()
    settle()
    return sent


def described(event: Event) -> dict[str, Any] | None:
    """Return what a vector says of an event; None for what it leaves out."""
    match event:
        case MessagesReceived(protection, messages):
            return {
                "level": protection.name,
                "messages": [message.hex() for message in messages],
            }
        case _:
            return None


def vector(name: str) -> Vector:
    """Return what the file of that name should hold."""
    sent = play(name)
    ends = {True: end(name, initiator=True), False: end(name, initiator=False)}
    for each in ends.values():
        collect(each)
    entries: list[dict[str, Any]] = []
    for by_client, frame in sent:
        receiver = ends[not by_client]
        receiver.receive_data(frame.encoded)
        entry: dict[str, Any] = {
            "from": "client" if by_client else "server",
            "type": frame.kind.name,
            "frame": frame.encoded.hex(),
        }
        for event in collect(receiver):
            entry |= described(event) or {}
        entries.append(entry)
    written: Vector = {"name": name, "key": KEY.hex()}
    if suite_of(name) == SuiteName.AES256GCM:
        written["schedule"] = schedule(
            client_secret=SECRETS[True],
            server_secret=SECRETS[False],
            session_key=SESSION_KEY,
            handshake=[frame.encoded for _, frame in sent],
        )
    if name.endswith("rekey"):
        written["life"] = {
            "frames": LIFE["REKEY_FRAMES"],
            "at_least": LIFE["_FEWEST_FRAMES"],
        }
    return written | {"frames": entries}


def load(name: str) -> Vector:
    """Read the file of that name."""
    read: Vector = json.loads((FOLDER / f"{name}.json").read_text())
    return read


def frame_of(entry: dict[str, Any]) -> Frame:
    """Return the frame of one entry of a vector."""
    (frame,) = frames(bytes.fromhex(entry["frame"]))
    assert frame.kind is FrameType[entry["type"]]
    return frame
