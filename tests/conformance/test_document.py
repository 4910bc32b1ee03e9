"""docs/wire.md names the numbers, keys and places that the code has."""

import re
from pathlib import Path

import msgspec
import pytest

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
