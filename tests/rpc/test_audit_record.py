"""The line of a record: whole, and nothing in it passes for something else."""

from dataclasses import replace

import pytest

from tests.support.audits import RECORD

LINE = (
    "principal=alice@EXAMPLE.COM mechanism=kerberos method=bank.Accounts/balance "
    "status=OK seconds=0.250000 protection=SEAL channel_bound=no delegated=no"
)
SESSION = f"session={RECORD.session_id}"


def test_a_line_has_what_there_is() -> None:
    assert str(RECORD) == f"{LINE} {SESSION}"
    assert str(replace(RECORD, session_id="")) == LINE
    more = replace(RECORD, impersonated_as="alice", reason="r.toml, line 3 denies it")
    assert str(more) == (
        f'{LINE} impersonated_as=alice {SESSION} reason="r.toml, line 3 denies it"'
    )
    proud = str(replace(RECORD, channel_bound=True, delegated=True))
    assert "channel_bound=yes delegated=yes" in proud


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("host/a.example.com@R-1", "host/a.example.com@R-1"),
        ("machine$@R:2+3_4", "machine$@R:2+3_4"),
        ("", '""'),
        ("CORP\\bob", r'"CORP\\bob"'),
        ("a status=OK", '"a status=OK"'),
        ("a=b", '"a=b"'),
        ('a"b', r'"a\"b"'),
        ("a\nINFO signetrpc.audit b", r'"a\nINFO signetrpc.audit b"'),
        ("a\r\0\x1b[2J\x7f\x9b", r'"a\r\u0000\u001b[2J\u007f\u009b"'),
        ("a\u2028\u202eb", r'"a\u2028\u202eb"'),
        ("ällä", r'"\u00e4ll\u00e4"'),
        ("\ud800", r'"\ud800"'),
        ("%s%d", '"%s%d"'),
    ],
)
def test_no_word_of_a_peer_passes_for_another(text: str, written: str) -> None:
    record = replace(
        RECORD, principal=text, method=text, impersonated_as=text, reason=text
    )
    line = str(record)
    assert line.isascii() and line.isprintable()
    assert line.startswith(f"principal={written} mechanism=kerberos method={written} ")
    assert f" impersonated_as={written} session=" in line
    assert not text or line.endswith(f" reason={written}")
