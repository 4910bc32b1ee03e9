"""Waiting until nothing more happens, without a clock."""

import anyio
import anyio.lowlevel

__all__ = ["settle"]

# A callback can ask for another, and that one wake a task: each takes a turn.
_TURNS = 8


async def settle() -> None:
    """Let the event loop run until its tasks wait for something from outside."""
    for _ in range(_TURNS):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
