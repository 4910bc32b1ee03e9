"""Runs the programs of the examples as their reader would, each in its own process."""

import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 60
"""A program that is waited for longer is killed, and its test fails."""


class Program:
    """A program that goes on to run."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Watch a process whose output is a pipe."""
        self._process = process

    def line(self) -> str:
        """Return the next line it prints, without its end; waits for it."""
        assert self._process.stdout is not None
        watchdog = threading.Timer(SECONDS, self._process.kill)
        watchdog.start()
        try:
            return self._process.stdout.readline().rstrip("\n")
        finally:
            watchdog.cancel()


@contextmanager
def running(
    program: str, *arguments: str, folder: Path, **variables: str
) -> Generator[Program]:
    """Start a program in a folder, and end it.

    Args:
        program: Its path below `examples`.
        arguments: Of its command line.
        folder: Where it runs; what it logs is left there in `log`.
        variables: Added to its environment.
    """
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, EXAMPLES / program, *arguments],
            cwd=folder,
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield Program(process)
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


def run(
    program: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it printed; arguments as above."""
    return subprocess.run(
        [sys.executable, EXAMPLES / program, *arguments],
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
