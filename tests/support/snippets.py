"""Reads and runs the snippets of a document, as its reader would.

A comment on the line before a fenced block says what is done with it:

    <!-- file: bank.py -->     write it to that file
    <!-- run -->               run it; a line of console that starts with "$ " is a
                               command, what follows it is exactly its output
    <!-- output -->            exactly the output of the python block run before it

All of one document's snippets share a folder.  A command that ends in "&" goes on to
run: it is waited for until it prints its first line, and ended with the document.
Port 7420, which the documents use, is replaced by a free one.
"""

import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

PORT = "7420"

_BLOCK = re.compile(
    r"^(?:<!-- (?P<marker>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One fenced block.

    Attributes:
        marker: What the comment before it says, or an empty text.
        language: What follows the opening fence, such as `python`.
        body: Its lines, each with its line end.
        line: Of the opening fence, from 1.
    """

    marker: str
    language: str
    body: str
    line: int


def snippets(text: str) -> list[Snippet]:
    """Return the fenced blocks of a Markdown text, in order."""
    return [
        Snippet(
            marker=found["marker"] or "",
            language=found["language"],
            body=found["body"],
            line=text.count("\n", 0, found.start("language")) + 1,
        )
        for found in _BLOCK.finditer(text)
    ]


class Reader:
    """Does what one document says, in one folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._exit = ExitStack()
        self._output = ""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = str(probe.getsockname()[1])
        scripts = Path(sys.executable).parent
        self._env = os.environ | {
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",  # a server's first line is waited for
            "NO_COLOR": "1",
        }

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def follow(self, snippet: Snippet) -> None:
        """Write, run or compare one snippet as its marker says."""
        body = snippet.body.replace(PORT, self._port)
        kind, _, name = snippet.marker.partition(": ")
        match kind, snippet.language:
            case "file", _:
                (self._folder / name).write_text(body)
            case "run", "python":
                self._output = self._run([sys.executable, "-c", body])
            case "run", "console":
                self._console(body)
            case "output", _:
                assert self._output == body
            case _:
                raise ValueError(f"line {snippet.line}: marker {snippet.marker!r}")

    def _console(self, body: str) -> None:
        for session in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, _, expected = session.partition("\n")
            if command.endswith("&"):
                self._serve(command.removesuffix("&").strip())
            else:
                assert self._run(["sh", "-c", command]) == expected, command

    def _serve(self, command: str) -> None:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._exit.callback(process.communicate)
        self._exit.callback(process.terminate)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert process.poll() is None, first + process.stdout.read()

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout
