"""What the documents show is what happens; the links between them hold."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.snippets import Reader, snippets

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs", "examples", "benchmarks")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md")]
    + [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")]
)

# Documents whose snippets need more than a folder, and who follows them.
FOLLOWED_ELSEWHERE = {"docs/howto/active-directory.md": "tests/ad/test_howto.py"}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _anchors(document: Path) -> set[str]:
    """Return the anchors that a page of Markdown gives its headings."""
    anchors: set[str] = set()
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.M | re.S)
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        assert words not in anchors, f"{_name(document)}: {heading} twice"
        anchors.add(words)
    return anchors


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_marked_snippets_run(document: Path, tmp_path: Path) -> None:
    if follower := FOLLOWED_ELSEWHERE.get(_name(document)):
        assert document.name in (ROOT / follower).read_text()
        return
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
    text = document.read_text()
    for path, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text):
        if "://" in path:
            continue
        target = document.parent / path if path else document
        assert target.exists(), path
        if anchor:
            assert anchor in _anchors(target), f"{path}#{anchor}"


def test_links_of_the_code_lead_somewhere() -> None:
    """Docstrings name places of the documents: `Wire: docs/wire.md#record`."""
    found = 0
    for folder in ("transport", "rpc", "idl"):
        for path in (ROOT / folder).rglob("*.py"):
            for page, anchor in re.findall(
                r"(docs/[\w/-]+\.md)(?:#([\w-]+))?", path.read_text()
            ):
                found += 1
                assert (ROOT / page).exists(), f"{_name(path)}: {page}"
                if anchor:
                    assert anchor in _anchors(ROOT / page), f"{_name(path)}: {anchor}"
    assert found > 10


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
