"""A service: notes, which everybody adds to and reads."""

from collections.abc import AsyncIterator

from signetrpc.rpc import method, service


@service("notes.Notes")
class Notes:
    """Notes in the order that they were made."""

    def __init__(self) -> None:
        """Begin without any."""
        self._notes: list[str] = []

    @method
    async def add(self, text: str) -> int:
        """Keep a note; return how many there are."""
        self._notes.append(text)
        return len(self._notes)

    @method
    async def all(self) -> AsyncIterator[str]:
        """Give all notes, the oldest first."""
        for note in self._notes:
            yield note
