"""A plain mutational driver: a corpus, a seed, and as many inputs as asked for.

It needs nothing but Python and gives the same inputs for the same seed, so that a
failure can be had again.  `harness` is the one that is led by coverage.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

__all__ = ["corpus", "inputs"]

FOLDER: Final = Path(__file__).parent / "corpus"

_LONGEST: Final = 8192
# Edges of the numbers that lengths, counts and tags are written in.
_EDGES: Final = (
    b"\x00",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff",
    b"\x00\x00\x10\x00",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\xc0",
    b"\xc1",
    b"\xdf\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
)


def corpus(target: str) -> list[bytes]:
    """Return the inputs in the tree that a target starts from."""
    return [path.read_bytes() for path in sorted((FOLDER / target).iterdir())]


def inputs(seeds: Sequence[bytes], count: int, *, seed: int) -> Iterator[bytes]:
    """Give the seeds themselves and then `count` mutations of them."""
    random = Random(seed)
    yield from seeds
    for _ in range(count):
        data = bytearray(random.choice(seeds))
        for _ in range(random.choice((1, 1, 1, 2, 2, 4, 8))):
            _mutate(data, seeds, random)
        yield bytes(data[:_LONGEST])


def _mutate(data: bytearray, seeds: Sequence[bytes], random: Random) -> None:
    at = random.randrange(len(data)) if data else 0
    size = random.choice((1, 1, 2, 4, 8, 32))
    match random.randrange(9):
        case 0 if data:
            data[at] ^= 1 << random.randrange(8)
        case 1 if data:
            data[at] = random.randrange(256)
        case 2:
            edge = random.choice(_EDGES)
            data[at : at + len(edge)] = edge
        case 3:
            data[at:at] = random.randbytes(size)
        case 4:
            del data[at : at + size]
        case 5:
            data[at:at] = data[at : at + size] * random.choice((1, 2, 40))
        case 6:
            del data[at:]
        case 7:
            other = random.choice(seeds)
            data[at:] = other[random.randrange(len(other) + 1) :]
        case _:
            data += random.randbytes(size)
