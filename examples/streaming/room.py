"""A service with all four kinds of calls: a room in which people talk."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
from signetrpc.rpc import (
    Protection,
    current_call,
    current_caller,
    method,
    raised,
    service,
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """What somebody said."""

    number: int
    who: str
    text: str
    private: bool


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What has come of a file."""

    name: str
    size: int
    sha256: str


@service("room.Room", protection=Protection.SIGN)
class Room:
    """Keeps what is said, and tells it to whoever listens."""

    def __init__(self) -> None:
        """Begin with silence."""
        self._lines: list[Line] = []
        self._said = anyio.Event()

    @method
    async def say(self, text: str) -> int:
        """Say something; return its number.

        What comes in a sealed call stays sealed on its way to those who listen.
        """
        return self._keep(text).number

    @method
    async def listen(self, after: int = 0) -> AsyncIterator[Line]:
        """Give what was said after a line, and then what will be, without end."""
        while True:
            said = self._said
            for line in self._after(after):
                after = line.number
                yield self._as_it_came(line)
            await said.wait()

    @method
    async def upload(self, name: str, chunks: AsyncIterator[bytes]) -> Receipt:
        """Take a file, piece by piece; return what has arrived."""
        digest, size = hashlib.sha256(), 0
        async for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
        return Receipt(name=name, size=size, sha256=digest.hexdigest())

    @method
    async def talk(self, texts: AsyncIterator[str]) -> AsyncIterator[Line]:
        """Say something each time, and hear what was said since the last time."""
        heard = len(self._lines)
        async for text in texts:
            self._keep(text)
            for line in self._after(heard):
                heard = line.number
                yield self._as_it_came(line)

    def _keep(self, text: str) -> Line:
        line = Line(
            number=len(self._lines) + 1,
            who=current_caller().name,
            text=text,
            private=current_call().protection is Protection.SEAL,
        )
        self._lines.append(line)
        self._said.set()
        self._said = anyio.Event()
        return line

    def _after(self, number: int) -> list[Line]:
        return self._lines[number:]

    def _as_it_came(self, line: Line) -> Line:
        return raised(line, Protection.SEAL) if line.private else line
