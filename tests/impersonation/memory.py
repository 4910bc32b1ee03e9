"""What is in another process's memory; root can look."""

import os
from pathlib import Path
from typing import Final

__all__ = ["found_in"]

_PIECE: Final = 1024 * 1024


def found_in(pid: int, *secrets: bytes) -> set[bytes]:
    """Return which texts are somewhere in what a process can write.

    Args:
        pid: The process.
        secrets: Each of up to a page.
    """
    found: set[bytes] = set()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue  # out of a file, as it is there for everybody
            start, end = (int(each, 16) for each in place.split("-"))
            found |= _found_between(memory.fileno(), start, end, secrets)
    return found


def _found_between(
    memory: int, start: int, end: int, secrets: tuple[bytes, ...]
) -> set[bytes]:
    found: set[bytes] = set()
    before = b""
    while start < end:
        try:
            piece = os.pread(memory, min(_PIECE, end - start), start)
        except OSError:
            return found  # a page that is not there
        if not piece:
            return found
        text = before + piece
        found.update(each for each in secrets if each in text)
        before = text[-4096:]
        start += len(piece)
    return found
