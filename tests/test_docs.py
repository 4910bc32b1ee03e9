"""What the documents show is what happens; the links between them hold."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.snippets import Reader, snippets

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_marked_snippets_run(document: Path, tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        for snippet in snippets(document.read_text()):
            if snippet.marker:
                reader.follow(snippet)


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_unmarked_python_is_python(document: Path) -> None:
    for snippet in snippets(document.read_text()):
        if snippet.language == "python" and not snippet.marker:
            name = f"{_name(document)}, from line {snippet.line}"
            compile(snippet.body, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_a_document_is_followed_to_the_letter(tmp_path: Path) -> None:
    text = (
        "<!-- file: greet.py -->\n```python\nprint('hello', 7420)\n```\n"
        "```python\nnever run\n```\n"
        "<!-- run -->\n```console\n$ tail -f greet.py &\n$ echo a; echo b\na\nb\n```\n"
        "<!-- run -->\n```python\nprint('first')\n```\n"
        "<!-- output -->\n```text\nfirst\n```\n"
    )
    found = snippets(text)
    assert [snippet.line for snippet in found] == [2, 5, 9, 16, 20]
    with Reader(tmp_path) as reader:
        for snippet in found:
            if snippet.marker:
                reader.follow(snippet)
        wrong = snippets("<!-- output -->\n```text\nsecond\n```\n")
        with pytest.raises(AssertionError):
            reader.follow(wrong[0])
        misspelt = snippets("<!-- rnu -->\n```python\n```\n")
        with pytest.raises(ValueError, match="line 2: marker 'rnu'"):
            reader.follow(misspelt[0])
    assert "7420" not in (tmp_path / "greet.py").read_text()
