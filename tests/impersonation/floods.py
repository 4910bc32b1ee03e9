"""Ways in which a handler takes all that it can get."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Final

__all__ = ["CHILDREN", "FLOODS", "LINES"]

LINES: Final = 20_000
"""So much is logged or printed."""
CHILDREN: Final = 20
"""So many programs are started in each way."""

_PIECE: Final = 16 * 1024 * 1024
_kept: list[object] = []


def _spin() -> str:
    while True:
        pass


def _memory() -> str:
    pieces: list[bytes] = []
    try:
        while True:
            pieces.append(bytes(_PIECE))
    except MemoryError as error:
        return type(error).__name__


def _files() -> str:
    """Leave nothing for the next who needs one."""
    try:
        while True:
            _kept.append(open(os.devnull))
    except OSError as error:
        return str(error.errno)


def _children() -> str:
    """Start programs, some of which their parents leave behind."""
    for _ in range(CHILDREN):
        _kept.append(subprocess.Popen(["sleep", "1000"], start_new_session=True))
        subprocess.run(["setsid", "sh", "-c", "sleep 1000 & sleep 1000 &"], check=True)
    return ""


def _log() -> str:
    for number in range(LINES):
        logging.getLogger("flood").critical("line %d of a flood", number)
    return ""


def _print() -> str:
    for number in range(LINES):
        print(f"line {number} of a flood")
    print("one that has no end " * 1_000_000, end="")
    sys.stderr.write("another " * 1_000_000)
    return ""


FLOODS: Final[dict[str, Callable[[], str]]] = {
    "spin": _spin,
    "memory": _memory,
    "files": _files,
    "children": _children,
    "log": _log,
    "print": _print,
}
