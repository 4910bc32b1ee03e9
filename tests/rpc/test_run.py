"""A run of a server: who is sent away when it ends."""

from collections.abc import Awaitable, Callable

import pytest

from signetrpc.rpc._run import Run
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop


class Source:
    """Where nobody comes from."""

    address = "nowhere"

    def __init__(self) -> None:
        self.closed = 0

    async def serve_links(
        self, loop: Loop, handler: Callable[[Link], Awaitable[None]]
    ) -> None:
        raise AssertionError

    def close(self) -> None:
        self.closed += 1


class Caller:
    """A connection that notes how long it is given."""

    busy = False

    def __init__(self) -> None:
        self.graces: list[float] = []
        self.ended = False

    def retire(self, grace: float) -> None:
        self.graces.append(grace)

    def cut_off(self) -> None:
        self.ended = True


@pytest.mark.anyio
async def test_draining_sends_away_who_is_there_and_who_still_comes() -> None:
    source = Source()
    run = Run(source)
    here, gone, late = Caller(), Caller(), Caller()
    run.enter(here)
    run.enter(gone)
    run.connections.discard(gone)
    assert here.graces == [] and source.closed == 0
    run.drain(7.0)
    run.enter(late)
    assert [source.closed] == [1]
    assert here.graces == late.graces == [7.0] and gone.graces == []
    assert run.connections == {here, late} and not run.over.is_set()


def test_stopping_ends_who_is_still_there() -> None:
    run = Run(Source())
    here, gone = Caller(), Caller()
    run.enter(here)
    run.enter(gone)
    run.connections.discard(gone)
    run.stop()
    assert here.ended and not gone.ended
