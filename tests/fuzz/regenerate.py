"""Writes the corpus anew from what true ends say: python -m tests.fuzz.regenerate.

Inputs that a fuzzer found are kept beside these; their names begin with `found-`.
"""

import random

from signetrpc.rpc._messages import (
    encode_call,
    encode_cancel,
    encode_credit,
    encode_end,
    encode_go_away,
    encode_headers,
    encode_item,
    encode_metadata,
    encode_ping,
    encode_pong,
    encode_reply,
    encode_status,
    parts_of,
)
from signetrpc.transport._frames import FrameType
from signetrpc.transport._identity import Mechanism
from signetrpc.transport._security import NegotiationProtocol
from tests.fuzz.calls import METHODS
from tests.fuzz.mutation import FOLDER
from tests.fuzz.targets import exchange, ntlm_challenge
from tests.support.negotiation import ALICE, initiator
from tests.support.pacs import RECORDED, Group, logon_info
from tests.support.sessions import SUITES, answer, frames, hello_of, raw

NEGOTIATE = NegotiationProtocol.NEGOTIATE


def _envelopes() -> dict[str, bytes]:
    metadata = encode_metadata((("trace", "1"), ("key-bin", b"\0\xff")))
    long = b"x" * (64 * 1024 + 100)
    return {
        "call": encode_call(1, b"\xabbank/Method", 1.5, metadata, b"\x80"),
        "call-bare": encode_call(2, b"\xa1m", None, b"\xc0", b"", True),
        "part": list(parts_of(3, long))[-1],
        "reply": encode_reply(4, metadata, b"\xc3"),
        "status": encode_status(5, 3, "no such account", (("a", "b"),)),
        "cancel": encode_cancel(6),
        "cancel-cause": encode_cancel(6, 1),
        "item": encode_item(7, b"\xa3abc"),
        "end": encode_end(7),
        "credit": encode_credit(0, 1 << 19),
        "headers": encode_headers(8, (("trace", "1"), ("key-bin", b"\0\xff"))),
        "status-details": encode_status(9, 5, "", (), [("bank.Gone", b"\x80")]),
        "ping": encode_ping(7),
        "pong": encode_pong(7),
        "go-away": encode_go_away(30.0, 9),
    }


def _calls() -> dict[str, bytes]:
    """Conversations by the rules, in the form of `tests.fuzz.calls`."""
    call, part, item, end, reply, status, cancel, credit, headers = range(1, 10)

    def said(client: bool, *steps: tuple[int, int, int, int]) -> bytes:
        return bytes((128 * client, *(byte for step in steps for byte in step)))

    made = {
        f"server-{name}": said(
            False,
            (call, 0, 2, number),
            *[(item, 0, size, 1) for size in (0, 2, 3, 4, 3, 3)],
            (credit, 0, 99, 1),
            (end, 0, 0, 1),
            (credit, 0, 99, 1),
        )
        for number, name in enumerate(METHODS)
    }
    made["server-parts"] = said(
        False,
        (call, 1, 3, 4),
        (part, 1, 2, 1),
        (part, 0, 2, 1),
        (call, 2, 0, 2),
        (item, 1, 3, 2),
        (part, 1, 3, 2),
        (part, 0, 3, 2),
        (cancel, 0, 1, 2),
        (10, 0, 7, 0),
    )
    made["server-late"] = said(
        False, (call, 0, 0, 5), *[(item, 0, 3, 1)] * 3, *[(credit, 0, 9, 1)] * 9
    )
    made["client-items"] = said(
        True,
        (headers, 0, 0, 3),
        *[(item, 0, size, call_id) for size in (0, 2, 3) for call_id in (5, 6, 7)],
        *[(credit, 0, 80, call_id) for call_id in (0, 3, 4, 7)],
        (status, 0, 0, 5),
        (status, 0, 5, 6),
    )
    made["client-replies"] = said(
        True,
        (reply, 0, 2, 1),
        (reply, 1, 3, 2),
        (part, 1, 3, 2),
        (part, 0, 3, 2),
        (reply, 1, 3, 3),
        (part, 0, 3, 3),
        (12, 0, 0, 4),
        (status, 0, 4, 4),
    )
    return made


def _body(frame: bytes) -> bytes:
    return bytes(frames(frame)[0].body)


def _hellos() -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    for suite in SUITES:
        made[f"client-{suite}"] = _body(hello_of(suite=suite))
        made[f"server-{suite}"] = _body(answer(suite=suite))
    many = hello_of(features=["f"] * 32, versions=list(range(16)))
    return made | {"client-many": _body(many)}


def _exchanges(*, open_only: bool) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    for first in range(8):
        suite, legs, initiator = SUITES[first & 1], 2 + (first >> 1 & 1), first & 4
        stream = exchange(suite, legs).stream(initiator=bool(initiator))
        parts = [frame for frame in frames(stream) if not open_only or frame.kind >= 16]
        name = f"{suite}-{legs}-{'client' if initiator else 'server'}"
        made[name] = bytes((first,)) + b"".join(frame.encoded for frame in parts)
    return made


def _attacks() -> dict[str, bytes]:
    """What should be refused whole: the nearest to a way in that there is."""
    made: dict[str, bytes] = {}
    for name, stream in _exchanges(open_only=True).items():
        first, parts = stream[:1], [frame.encoded for frame in frames(stream[1:])]
        unprotected = raw(FrameType.RECORD, b"\0\0\0\4fake")
        made[f"{name}-repeated"] = first + parts[0] * 2
        made[f"{name}-unprotected"] = first + unprotected + parts[0]
        made[f"{name}-swapped"] = first + parts[1] + parts[0]
        made[f"{name}-closed-early"] = first + parts[-1] + parts[0]
    return made


def _tokens() -> dict[str, bytes]:
    # Of handshakes long over: well-formed, and worth nothing.
    made: dict[str, bytes] = {}
    for number, form in enumerate((NegotiationProtocol.NTLM, NEGOTIATE)):
        client = initiator(ALICE, form, allowed=frozenset({Mechanism.NTLM}))
        first = client.step(None) or b""
        server, challenge = ntlm_challenge(form)
        answer = client.step(challenge) or b""
        made[f"{form}-first"] = bytes((number,)) + first
        made[f"{form}-challenge"] = bytes((number | 2,)) + challenge
        made[f"{form}-answer"] = bytes((number | 4,)) + answer
        if last := server.step(answer):
            made[f"{form}-last"] = bytes((number | 2,)) + last
    return made


def _pacs() -> dict[str, bytes]:
    random.seed(7420)  # impacket's pointers
    made = {f"recorded-{name}": data for name, data in RECORDED.items()}
    some = [Group(513), Group(1200), Group(1201, 0)]
    foreign = [Group("S-1-5-21-7-8-9-500"), Group("S-1-18-1", 0x20000007)]
    made["bare"] = logon_info()
    made["groups"] = logon_info(groups=some, extra=foreign)
    made["resources"] = logon_info(resource_domain="S-1-5-21-4-5-6", resources=some)
    made["everything"] = logon_info(
        groups=some,
        extra=foreign,
        resource_domain="S-1-5-21-4-5-6",
        resources=some,
        texts=["a", "bc", "def", "", "g"] * 2,
    )
    made["foreign"] = logon_info(user=0, primary=0, domain=None, extra=foreign)
    return made


def main() -> None:
    """Write every input."""
    whole = _exchanges(open_only=False)
    made = {
        "calls": _calls(),
        "envelope": _envelopes(),
        "hello": _hellos(),
        "pac": _pacs(),
        "handshake": whole,
        "tokens": _tokens(),
        "session": _exchanges(open_only=True) | _attacks(),
        # In chunks of other sizes, each.
        "frames": {
            name: bytes((number * 36,)) + stream[1:]
            for number, (name, stream) in enumerate(whole.items())
        },
    }
    for target, entries in made.items():
        folder = FOLDER / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in entries.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
