"""The demo shows the main job and what must be refused, and leaves nothing behind."""

from pathlib import Path

import pytest

from tests.examples.programs import run
from tests.support.parts import Part, require

REFUSED_CALL = (
    "bank.Accounts/statement demands level SEAL; the call came at SIGN",
    "PERMISSION_DENIED",
)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """An empty folder for the demo's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def _rows(output: str) -> list[list[str]]:
    return [line.split(maxsplit=4) for line in output.splitlines()]


def test_over_ntlm(temporary: Path) -> None:
    done = run("demo/run.py", TMPDIR=str(temporary))
    assert (done.returncode, done.stderr) == (0, "")
    rows = _rows(done.stdout)
    for balance in ("12.50", "25.00"):  # the second after everything refused
        assert ["balance", "SIGN", "ntlm", r"CORP\alice", balance] in rows
    entries = [row[4].split()[0] for row in rows if row[:2] == ["statement", "SEAL"]]
    assert entries == ["1", "2"]
    assert "the server did not prove itself: NTLM cannot" in done.stdout
    assert "wrong password           the peer refused the handshake" in done.stdout
    assert all(text in done.stdout for text in REFUSED_CALL)
    assert "NTLM logon of 'alice' in domain 'CORP' refused" in done.stdout
    assert not list(temporary.iterdir())


def test_over_kerberos(temporary: Path) -> None:
    require(Part.KDC, Part.GSSAPI)
    done = run("demo/run.py", "--kerberos", TMPDIR=str(temporary))
    assert (done.returncode, done.stderr) == (0, "")
    rows = _rows(done.stdout)
    for balance in ("12.50", "25.00"):
        assert ["balance", "SIGN", "kerberos", "alice@DEMO.TEST", balance] in rows
    entries = [row[4].split()[0] for row in rows if row[:2] == ["statement", "SEAL"]]
    assert entries == ["1", "2"]
    assert "the server proved to be host/localhost (mutual)" in done.stdout
    assert "wrong service principal  the peer refused the handshake" in done.stdout
    assert all(text in done.stdout for text in REFUSED_CALL)
    assert "the ticket is for a service not served here" in done.stdout
    assert not list(temporary.iterdir())


def test_a_failure_is_told_and_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    # A package of this name before the real one, which the server fails to import.
    broken = tmp_path / "signetrpc"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('broken on purpose')\n")
    done = run("demo/run.py", TMPDIR=str(temporary), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "ImportError: broken on purpose" in done.stdout
    assert done.stderr == "demo: failed: the server did not start\n"
    assert not list(temporary.iterdir())
