"""The double hop: what the README shows, against a real KDC."""

import re
from pathlib import Path

from tests.examples.programs import EXAMPLES, run
from tests.support.parts import Part, require


def _calls(text: str) -> list[str]:
    return re.findall(r"^(?:alice|bob)\b.*  (?:DELEGATE|IMPERSONATE)  .*", text, re.M)


def test_calls_go_on_in_their_callers_name(tmp_path: Path) -> None:
    require(Part.KDC, Part.GSSAPI)
    done = run("double_hop/run_double_hop.py", TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    shown = _calls((EXAMPLES / "double_hop" / "README.md").read_text())
    assert len(shown) == 4
    assert _calls(done.stdout) == shown
    assert not list(tmp_path.iterdir())
