"""docs/wire.md names the numbers, keys and places that the code has."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from signetrpc.rpc import _details, _flow, _messages
from signetrpc.rpc._context import CancellationCause
from signetrpc.rpc._keepalive import DEFAULT_KEEPALIVE, SERVER_KEEPALIVE
from signetrpc.transport import _acceptance, _aead, _agreement
from signetrpc.transport._config import Limits
from signetrpc.transport._frames import FrameType
from signetrpc.transport._hello import (
    HELLO_LIMIT,
    SIZES,
    ClientHello,
    RejectCode,
    ServerHello,
    rejection,
)
from signetrpc.transport._protection import Protection, SuiteName

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "wire.md").read_text()
SECTIONS = {
    title.lower().replace(" ", "-"): body
    for title, body in re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", TEXT, re.MULTILINE)
}


def rows(section: str) -> list[list[str]]:
    """The cells of all table rows of a section."""
    return [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in SECTIONS[section].splitlines()
        if line.startswith("|") and not line.startswith("|--")
    ]


def test_each_section_that_the_code_refers_to_exists() -> None:
    named = {
        anchor
        for layer in ("transport", "rpc", "idl")
        for path in (ROOT / layer).rglob("*.py")
        for anchor in re.findall(r"docs/wire\.md#([\w-]+)", path.read_text())
    }
    assert named <= set(SECTIONS)
    assert {
        "frames",
        "hello",
        "handshake",
        "acceptance",
        "reject",
        "suite-aes256gcm",
        "suite-gss",
        "suite-channel",
        "record",
        "close",
        "calls",
        "details",
        "flow-control",
    } <= set(SECTIONS)


def test_links_inside_the_document_hold() -> None:
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= set(SECTIONS)


def test_frame_types() -> None:
    named = {int(row[0]): row[1] for row in rows("frames") if row[0].isdigit()}
    assert named == {int(kind): kind.name for kind in FrameType}


def test_levels() -> None:
    for level in Protection:
        assert f"{level:d} is *{level.name.lower()}*" in SECTIONS["frames"]


def test_limits() -> None:
    assert f"| {HELLO_LIMIT} |" in SECTIONS["frames"]
    limits = Limits()
    assert f"| {limits.max_token_bytes}, settable" in SECTIONS["frames"]
    said = re.sub(r"\s+", " ", SECTIONS["hello"])
    assert f"are {limits.max_record_bytes} and {limits.max_message_bytes}." in said
    assert SIZES == (1024, 1 << 30)
    assert "from 1024 to 2^30" in said


@pytest.mark.parametrize(("kind", "part"), [(ClientHello, 0), (ServerHello, 1)])
def test_hello_keys(kind: type[msgspec.Struct], part: int) -> None:
    halves = SECTIONS["hello"].split("The server's:")
    keys = re.findall(r"^\| `(\w+)` \|", halves[part], re.MULTILINE)
    assert keys == [field.encode_name for field in msgspec.structs.fields(kind)]


def test_reject_codes_and_texts() -> None:
    said = {int(row[0]): row[1] for row in rows("reject") if row[0].isdigit()}
    assert set(said) == set(RejectCode)
    for code, text in said.items():
        whole = str(rejection(bytes((code,))))
        assert whole == f"the peer refused the handshake: {text}"


def test_acceptance_has_a_number_for_each_rule() -> None:
    numbered = re.findall(r"^(\d+)\. ", SECTIONS["acceptance"], re.MULTILINE)
    assert [int(number) for number in numbered] == (
        list(range(1, len(_acceptance.RULES) + 1))
    )


def test_suites() -> None:
    offered = {SuiteName.GSS, SuiteName.AES256GCM, SuiteName.CHANNEL}
    assert {f"suite-{name}" for name in offered} <= set(SECTIONS)
    for name in offered:
        assert f"`{name}`" in SECTIONS["hello"]
    assert f"`{_agreement.BINDING}`" in SECTIONS["handshake"]


def test_aes256gcm() -> None:
    said = re.sub(r"\s+", " ", SECTIONS["suite-aes256gcm"])
    suite = _aead.AeadSuite
    assert _aead.REKEY_FRAMES == 1 << 24 and _aead.REKEY_BYTES == 64 << 30
    assert "due before the frame that would follow 2^24 frames or 64 GiB" in said
    assert "a REKEY within 2^16 frames of the last change" in said
    assert "tag has 16 bytes" in said and suite.overhead == 16
    # The labels themselves are held to the document by the vectors.
    for label in ('"signetrpc1 aes256gcm " || way || level', '"signetrpc1 rekey"'):
        assert label in said
    assert "REKEY is a signed frame" in said and suite.control_level is Protection.SIGN


# Calls.


def test_call_messages() -> None:
    kinds = {
        message.__struct_config__.tag: (
            message.__name__.upper(),
            1 + len(message.__struct_fields__),
        )
        for message in get_args(_messages.Message)
    }
    said = {
        int(row[0]): (row[1], row[2].split("` or `")[-1].count(",") + 1)
        for row in rows("calls")
        if row[0].isdigit()
    }
    assert said == kinds


def test_what_each_end_may_say() -> None:
    by = {row[1]: row[3] for row in rows("calls") if row[0].isdigit()}
    assert set(by.values()) == {"client", "server", "both"}
    assert by["CALL"] == by["END"] == by["CANCEL"] == "client"


def test_causes_of_cancellation() -> None:
    said = re.sub(r"\s+", " ", SECTIONS["calls"])
    words = "caller gave it up", "time ran out", "connection is gone", "server stops"
    for cause, text in zip(CancellationCause, (*words, "a limit"), strict=True):
        assert re.search(rf"\b{cause:d} [a-z ]*{text}", said)


def test_flow_control() -> None:
    said = re.sub(r"\s+", " ", SECTIONS["flow-control"])
    assert f"A call's begins with {_flow.STREAM_WINDOW}," in said
    assert f"the connection's with {_flow.CONNECTION_WINDOW}." in said
    assert f"`body` and {_flow.ITEM_OVERHEAD} |" in said
    assert _flow.MOST_CREDIT == 2**31 - 1 and "beyond 2^31 - 1 is fatal" in said
    assert _messages.PART_BYTES == 64 << 10 and "at most 64 KiB" in SECTIONS["calls"]


def test_signs_of_life() -> None:
    said = re.sub(r"\s+", " ", SECTIONS["calls"])
    client, server = DEFAULT_KEEPALIVE, SERVER_KEEPALIVE
    assert f"a client after {client.idle_seconds:g} seconds while a call" in said
    assert f"a server after {server.idle_seconds:g} in any case" in said
    for policy in (client, server):
        assert f"both {policy.timeout_seconds:g} seconds later" in said
        assert f"less than {policy.min_ping_seconds:g} seconds after" in said
        assert policy.max_strikes == 2 and "may do so twice in a row" in said


def test_details() -> None:
    said = {
        row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1]))
        for row in _details_rows()
    }
    named = {}
    for kind, name in _details._NAMES.items():  # pyright: ignore[reportPrivateUsage]
        named[name] = _fields(kind)
    assert said == named
    assert f"at most {_details.MAX_DETAILS}, of 16 KiB together" in SECTIONS["details"]
    assert _details.MAX_DETAILS_BYTES == 16 << 10


def _details_rows() -> list[list[str]]:
    return [
        [cell.strip() for cell in line.split("|")[1:3]]
        for line in SECTIONS["details"].splitlines()
        if line.startswith("| `signet.")
    ]


def _fields(kind: type[msgspec.Struct]) -> set[str]:
    found: set[str] = set()
    for field in msgspec.structs.fields(kind):
        found.add(field.encode_name)
        for inner in get_args(field.type):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                found |= _fields(inner)
    return found
