"""The interceptors of the example are around its calls, at both ends."""

import re
from pathlib import Path

from tests.examples.programs import EXAMPLES, run, running

README = (EXAMPLES / "interceptor" / "README.md").read_text()


def _shown(command: str) -> str:
    found = re.search(
        rf"^\$ NOTES_TOKEN=open-sesame {re.escape(command)}\n(.*?)^```",
        README,
        re.MULTILINE | re.DOTALL,
    )
    assert found is not None
    return found[1]


def test_interceptor(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.txt"
    accounts.touch(mode=0o600)
    accounts.write_text("CORP:alice:secret\n")
    token = {"NOTES_TOKEN": "open-sesame"}
    with running(
        "interceptor/notes_server.py", "127.0.0.1:0", folder=tmp_path, **token
    ) as server:
        first = server.line()
        address = first.split()[-1]
        called = run("interceptor/call_notes.py", address, **token)
        logged = "".join(f"{server.line()}\n" for _ in range(4))
    assert _shown("python notes_server.py").startswith(first.rpartition(":")[0])
    assert called.stdout == _shown("python call_notes.py")
    assert (called.returncode, called.stderr) == (0, "")
    assert f"```text\n{logged}" in README


def test_a_wrong_token_is_refused(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.txt"
    accounts.touch(mode=0o600)
    accounts.write_text("CORP:alice:secret\n")
    with running(
        "interceptor/notes_server.py",
        "127.0.0.1:0",
        folder=tmp_path,
        NOTES_TOKEN="open-sesame",
    ) as server:
        address = server.line().split()[-1]
        called = run("interceptor/call_notes.py", address, NOTES_TOKEN="sesame")
        assert server.line() == "notes.Notes/add for alice: PERMISSION_DENIED"
    assert called.returncode == 1
    assert called.stdout == "notes.Notes/add for me: PERMISSION_DENIED\n"
    assert "PERMISSION_DENIED: the token is missing or wrong" in called.stderr
