"""docs/howto/active-directory.md, followed to the letter by an administrator of Samba.

Only the answers that a person would type, and the second of the two ports, come from
here.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.samba import USERS, DomainController
from tests.support.snippets import Reader, Snippet, snippets

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "howto" / "active-directory.md"

_TYPED = {"kinit alice": USERS["alice"]}


class _Administrator(Reader):
    """A reader who types passwords where they are asked for."""

    def _run(self, command: list[str]) -> str:
        typed = _TYPED.get(command[-1], "")
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._env,
            input=typed,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


@pytest.fixture
def document() -> list[Snippet]:
    return snippets(DOCUMENT.read_text())


def test_each_command_is_marked_to_be_run(document: list[Snippet]) -> None:
    commands = [snippet for snippet in document if snippet.language == "console"]
    assert len(commands) > 6
    assert {snippet.marker for snippet in commands} == {"run"}


def test_the_page_is_followed_to_the_letter(
    dc: DomainController,
    document: list[Snippet],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'tickets'}")
    with _Administrator(tmp_path) as reader:
        for snippet in document:
            if snippet.marker:
                reader.follow(snippet)


def test_the_messages_it_explains_are_those_that_are_said() -> None:
    """What its table quotes stands somewhere in the code, but for what is filled in."""
    table = DOCUMENT.read_text().partition("## If it does not work")[2]
    rows = re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)[1:]
    folder = ROOT / "transport"
    code = " ".join(path.read_text() for path in folder.glob("*.py"))
    said = re.sub(r'"\s+f?"', "", code)
    for quoted in rows:
        words = re.split(r" the service principal| 23|, for every user", quoted)[0]
        assert words in said, quoted
