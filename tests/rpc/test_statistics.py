"""What a server counts, and `signet.Statistics`, which tells it."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from signetrpc.rpc import (
    BidirectionalMethod,
    Impersonation,
    LocalUser,
    Protection,
    RpcError,
    Server,
    StatusCode,
    UnaryMethod,
    connect,
    method,
    service,
)
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._messages import encode_ping
from signetrpc.rpc._serving import RunningCall
from signetrpc.rpc._statistics import Counts, Ledger
from signetrpc.rpc.health import Health
from signetrpc.rpc.health_client import BlockingHealthClient, ServingStatus
from signetrpc.rpc.reflection import Reflection
from signetrpc.rpc.reflection_client import BlockingReflectionClient
from signetrpc.rpc.statistics import Statistics
from signetrpc.rpc.statistics_client import BlockingStatisticsClient, StatisticsClient
from signetrpc.rpc.testing import CALLER, blocking_channel_for, channel_for
from signetrpc.transport import ANONYMOUS
from signetrpc.transport._events import Established
from tests.rpc.test_testing import Nothing
from tests.support.calls import server_end
from tests.support.negotiation import ALICE, account_file
from tests.support.turns import settle

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@service("test.Desk", protection=Protection.SIGN)
class Desk:
    """Calls that end in different ways, and some that do not."""

    def __init__(self) -> None:
        self.waiting = anyio.Event()

    @method
    async def ok(self) -> None:
        return None

    @method
    async def fail(self) -> None:
        raise RpcError(StatusCode.ABORTED, "no")

    @method
    async def wait(self) -> None:
        self.waiting.set()
        await anyio.sleep_forever()

    @method
    async def echo(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield number


def unary(name: str) -> UnaryMethod[Nothing, None]:
    return UnaryMethod[Nothing, None](
        service="test.Desk",
        name=name,
        protection=Protection.SIGN,
        arguments=Nothing,
        result=type(None),
    )


OK, FAIL, WAIT, NONE_SUCH = (unary(name) for name in ("ok", "fail", "wait", "no"))
ECHO = BidirectionalMethod[Nothing, int, int](
    service="test.Desk",
    name="echo",
    protection=Protection.SIGN,
    arguments=Nothing,
    item=int,
    result=int,
)


class Line:
    """A connection that has counted something."""

    def __init__(self, *, calls: int = 0) -> None:
        self.established = Established(
            peer=ANONYMOUS,
            suite="none",
            minimum=Protection.SIGN,
            max_message_bytes=1,
        )
        self.counts = Counts()
        self.counts.ended[StatusCode.OK] = calls
        self.counts.sent_bytes = 10 * calls

    @property
    def calls(self) -> list[RunningCall]:
        return []


class Hand:
    """An identity worker."""

    def __init__(self, name: str, calls: int) -> None:
        self.user = LocalUser(name=name, uid=1001, gid=1001, groups=(1001,))
        self.calls = calls


class Crew:
    """Two of them."""

    running = (Hand("al", 2), Hand("bo", 0))


# The ledger.


def test_a_ledger_keeps_what_connections_have_counted_that_are_gone() -> None:
    ledger = Ledger()
    lines = [Line(calls=1), Line(calls=2), Line(calls=4)]
    numbers = [
        ledger.enter(line, NOON + timedelta(minutes=minute))
        for minute, line in enumerate(lines)
    ]
    assert numbers == [1, 2, 3] and len(ledger) == 3
    ledger.leave(2)
    assert len(ledger) == 2 and ledger.accepted == 3
    assert [entry.number for entry in ledger.entries()] == [1, 3]
    assert [entry.number for entry in ledger.entries(1)] == [3]
    (last,) = ledger.entries(2)
    assert last.connection is lines[2] and last.since == NOON + timedelta(minutes=2)
    for _ in range(2):  # asking changes nothing
        totals = ledger.totals()
        assert totals.ended[StatusCode.OK] == 7 and totals.sent_bytes == 70
    assert ledger.enter(Line(), NOON) == 4


def test_counts_add_up() -> None:
    one, two = Counts(), Counts()
    for number, name in enumerate(Counts.__slots__):
        if name != "ended":
            setattr(one, name, number)
            setattr(two, name, 100)
    one.ended[StatusCode.INTERNAL] = 3
    two.ended[StatusCode.INTERNAL] = 4
    two.add(one)
    assert two.ended[StatusCode.INTERNAL] == 7 and sum(two.ended) == 7
    for number, name in enumerate(Counts.__slots__):
        if name != "ended":
            assert getattr(two, name) == 100 + number


@pytest.mark.anyio
async def test_a_connection_counts_messages_and_bytes_both_ways() -> None:
    async with server_end(Desk()) as (connection, far, _):
        counts = connection.counts
        far.say(encode_ping(1), encode_ping(2), level=Protection.SIGN)
        sent = len(far.pipe.sent)
        assert counts.received_messages == 2 and counts.received_bytes > 0
        assert counts.sent_messages == 2 and counts.sent_bytes == sent > 0
        assert len(connection.calls) == 0 and sum(counts.ended) == 0


# The service.


def test_the_ready_services_are_called_from_code_that_blocks() -> None:
    with blocking_channel_for(Health, Reflection, Statistics) as channel:
        health = BlockingHealthClient(channel)
        assert health.check() is ServingStatus.SERVING
        with health.watch("a.B") as statuses:
            assert next(iter(statuses)) is ServingStatus.SERVICE_UNKNOWN
        reflection = BlockingReflectionClient(channel)
        assert len(reflection.services()) == 3
        assert reflection.describe("signet.Health").name == "signet.Health"
        statistics = BlockingStatisticsClient(channel)
        (connection,) = statistics.connections()
        assert connection.principal == CALLER.principal
        assert statistics.server().connections_open == 1


def test_it_seals_and_runs_as_the_server() -> None:
    schema = service_definition(Statistics).schema
    assert schema.name == "signet.Statistics"
    for each in schema.methods:
        assert each.protection is Protection.SEAL
        assert each.impersonate is Impersonation.NOT_ALLOWED


@pytest.mark.anyio
async def test_calls_are_counted_by_how_they_end() -> None:
    async with channel_for(Desk, Statistics) as channel:
        client = StatisticsClient(channel)
        for _ in range(3):
            await channel.unary(OK, Nothing())
        for failing in (FAIL, FAIL, NONE_SUCH):
            with pytest.raises(RpcError):
                await channel.unary(failing, Nothing())
        traffic = (await client.server()).traffic
        assert traffic.calls_succeeded == 3
        assert traffic.calls_failed == {"ABORTED": 2, "UNIMPLEMENTED": 1}
        # The call that asks is one of them, and the only one under way.
        assert traffic.calls_started == 7 and traffic.calls_open == 1
        assert traffic.streams_open == 0


@pytest.mark.anyio
async def test_what_is_under_way_is_counted() -> None:
    desk = Desk()
    async with channel_for(desk, Statistics) as channel:
        client = StatisticsClient(channel)
        traffic = (await client.server()).traffic
        assert traffic.calls_open == 1 and traffic.messages_sent == 0
        async with anyio.create_task_group() as group:
            group.start_soon(channel.unary, WAIT, Nothing())
            await desk.waiting.wait()
            async with channel.bidirectional(ECHO, Nothing()) as stream:
                await stream.send(1)
                assert await anext(stream) == 1
                traffic = (await client.server()).traffic
                assert traffic.calls_open == 3 and traffic.streams_open == 1
            group.cancel_scope.cancel()
        await settle()
        after = (await client.server()).traffic
        assert after.calls_open == 1 and after.streams_open == 0
        assert after.calls_failed == {"CANCELLED": 2}
        assert after.calls_started == 5 and after.calls_succeeded == 2
        assert after.messages_received > traffic.messages_received > 3
        assert after.messages_sent > traffic.messages_sent > 0
        assert after.bytes_received > traffic.bytes_received > 50
        assert after.bytes_sent > traffic.bytes_sent > 0


@pytest.mark.anyio
async def test_a_connection_in_memory() -> None:
    alice = dataclasses.replace(CALLER, name="alice")
    async with channel_for(Statistics, caller=alice) as channel:
        client = StatisticsClient(channel)
        (connection,) = await client.connections()
        server = await client.server()
    assert connection.number == 1
    assert connection.principal == "alice@TEST" and connection.mechanism == "kerberos"
    assert connection.suite == "channel" and connection.minimum_protection == "sign"
    assert server.since <= connection.since <= datetime.now(UTC)
    assert server.connections_open == server.connections_accepted == 1
    assert server.workers == []


@pytest.mark.anyio
async def test_several_connections_over_a_network(tmp_path: Path) -> None:
    server = Server([Desk, Statistics], accept=[account_file(tmp_path)])
    async with anyio.create_task_group() as group:
        address = str(await group.start(server.serve, "tcp://127.0.0.1:0"))
        async with connect(address, credentials=ALICE) as channel:
            client = StatisticsClient(channel)
            async with connect(address, credentials=ALICE) as other:
                for _ in range(5):
                    await other.unary(OK, Nothing())
                one, two = await client.connections()
                assert (one.number, two.number) == (1, 2)
                assert one.principal == two.principal != ""
                assert one.mechanism == "ntlm" and one.suite == "aes256gcm"
                assert one.traffic.calls_open == 1 and two.traffic.calls_open == 0
                assert two.traffic.calls_started == two.traffic.calls_succeeded == 5
                (rest,) = await client.connections(after=1)
                assert rest.number == 2 and rest.since == two.since
                (first,) = await client.connections(limit=1)
                assert first.number == 1
            while (told := await client.server()).connections_open > 1:
                await anyio.lowlevel.checkpoint()
            assert told.connections_accepted == 2
            # What the other did is not forgotten.
            assert told.traffic.calls_succeeded >= 5 + 3
        group.cancel_scope.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_that_is_none(limit: int) -> None:
    async with channel_for(Statistics) as channel:
        with pytest.raises(RpcError) as caught:
            await StatisticsClient(channel).connections(limit=limit)
        assert caught.value.status is StatusCode.INVALID_ARGUMENT
        assert f"{limit} is not from 1 to 1000" in caught.value.message


def test_identity_workers_are_told() -> None:
    statistics = Statistics()
    server = Server([statistics])
    server.ledger.started = NOON
    server.ledger.crews.add(Crew())
    told = statistics.server()
    assert [(each.user, each.calls_open) for each in told.workers] == [
        ("al", 2),
        ("bo", 0),
    ]
    assert told.since == NOON and told.traffic.calls_started == 0
