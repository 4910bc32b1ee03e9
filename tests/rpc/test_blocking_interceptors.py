"""Interceptors around the calls of threads."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from signetrpc.rpc import Server, connect_blocking
from tests.support.around import Changing
from tests.support.kinds import CHANGED, Numbers, of
from tests.support.negotiation import ALICE, account_file

COUNT: Any = of("count")
SCALED: Any = of("scaled")
TOTAL: Any = of("total")


@pytest.fixture
def address(tmp_path: Path) -> Generator[str]:
    server = Server([Numbers()], accept=[account_file(tmp_path)])
    with start_blocking_portal("asyncio") as portal:
        serving, where = portal.start_task(server.serve, "tcp://127.0.0.1:0")
        yield str(where)
        serving.cancel()


def test_interceptors_are_around_the_calls_of_threads(address: str) -> None:
    twice: Any = of("twice")
    around = [Changing()]
    with connect_blocking(address, credentials=ALICE, interceptors=around) as channel:
        for number in range(3):
            doubled = (number + 1) * 20
            assert channel.unary(twice, twice.arguments(number=number)) == doubled
        total: Any = channel.client_stream(
            TOTAL, TOTAL.arguments(number=2), iter([1, 2, 3])
        )
        assert [total] == CHANGED["total"]
        with channel.server_stream(COUNT, COUNT.arguments(number=2)) as items:
            assert list(items) == CHANGED["count"]
        assert dict(items.trailers) == {"from": "handler"}
        given = SCALED.arguments(number=2)
        with channel.bidirectional(SCALED, given, [1, 2, 3]) as replies:
            assert list(replies) == CHANGED["scaled"]
        with channel.bidirectional(SCALED, given) as talk:
            for number in (1, 2, 3):
                talk.send(number)
                assert next(talk) == CHANGED["scaled"][number - 1]
            talk.end()
            assert list(talk) == []


def test_what_intercepts_nothing_is_refused_to_threads(address: str) -> None:
    around: Any = [object()]
    with pytest.raises(TypeError, match="^object intercepts nothing$"):
        with connect_blocking(address, credentials=ALICE, interceptors=around):
            raise AssertionError
