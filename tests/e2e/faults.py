"""What goes wrong on the way between two ends, at places of chance."""

import random
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import anyio

from tests.e2e.proxies import Cut, Proxy

__all__ = ["Fault", "Faults", "afflict"]

# Bytes between two faults, from those of a handshake to those of many calls: as
# exponents of 2, so that short distances are as likely as long ones.
_NEAREST, _FARTHEST = 10.0, 19.0
_LONGEST_SECONDS: Final = 0.01
_PIECES: Final = (1, 2, 7, 8, 9, 100, 4096)


class Fault(StrEnum):
    """One kind of trouble."""

    DELAYS = "delays"
    """Bytes come late, by up to 10 ms each time."""
    SPLITS = "splits"
    """They come in pieces of any length."""
    CUTS = "cuts"
    """The connection ends in the middle of a message."""
    STALLS = "stalls"
    """From some byte on nothing comes, and the connection stays open."""
    CORRUPTS = "corrupts"
    """A bit is another."""
    REPEATS = "repeats"
    """Some bytes come twice."""


class Faults:
    """Does one kind of fault to one direction.

    Attributes:
        struck: How often it did.
    """

    def __init__(self, fault: Fault, seed: int) -> None:
        """Begin.

        Args:
            fault: What to do.
            seed: The same faults come at the same bytes for the same one.
        """
        self.struck = 0
        self._fault = fault
        self._chance = random.Random(seed)
        self._left = self._distance()
        self._stalled = False

    def change(self, data: bytes) -> Iterable[bytes]:
        """Do it to a chunk."""
        if self._fault is Fault.SPLITS:
            yield from self._pieces(data)
            return
        while len(data) > self._left:
            before, data = data[: self._left], data[self._left :]
            self._left = self._distance()
            self.struck += 1
            if before:
                yield before
            match self._fault:
                case Fault.CUTS:
                    raise Cut
                case Fault.STALLS:
                    self._stalled = True
                case Fault.CORRUPTS:
                    flipped = data[0] ^ (1 << self._chance.randrange(8))
                    data = bytes([flipped]) + data[1:]
                case Fault.REPEATS:
                    yield before or data
                case _:
                    pass
        self._left -= len(data)
        yield data

    def _distance(self) -> int:
        return int(2 ** self._chance.uniform(_NEAREST, _FARTHEST))

    def _pieces(self, data: bytes) -> Iterable[bytes]:
        while data:
            size = self._chance.choice(_PIECES)
            yield data[:size]
            data = data[size:]
            self.struck += 1

    async def pause(self) -> None:
        """Wait before a piece, if that is the fault."""
        if self._stalled:
            # Of this connection alone: its task waits here, the others' do not.
            self._stalled = False
            await anyio.sleep_forever()
        if self._fault is Fault.DELAYS:
            self.struck += 1
            await anyio.sleep(self._chance.random() * _LONGEST_SECONDS)


def afflict(proxy: Proxy, fault: Fault, seed: int) -> tuple[Faults, Faults]:
    """Do one kind of fault to both directions from now on."""
    there, back = Faults(fault, seed), Faults(fault, seed + 1)
    for path, faults in ((proxy.to_server, there), (proxy.to_client, back)):
        path.change, path.pause = faults.change, faults.pause
    return there, back
