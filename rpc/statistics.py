"""The service `signet.Statistics`: what a server does, after gRPC's channelz.

    server = Server([Accounts, Statistics], ...)

It names everybody who is connected: say in the server's rules who may ask.

Its client is `signetrpc.rpc.statistics_client.StatisticsClient`.

Source: https://github.com/grpc/proposal/blob/master/A14-channelz.md.
"""

from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from ._aware import Served, ServerAware
from ._decorators import method, service
from ._impersonation import Impersonation
from ._schema import CallKind
from ._statistics import Counted, Counts, Ledger
from ._status import StatusCode
from .errors import RpcError

__all__ = [
    "ConnectionStatistics",
    "ServerStatistics",
    "Statistics",
    "Traffic",
    "WorkerStatistics",
]

_MOST_AT_ONCE: Final = 1000


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What has passed over one connection or all of them.

    Attributes:
        calls_started: Calls that have come, those included that were refused.
        calls_open: Those of them that have not ended.
        streams_open: Those of these that are no unary calls.
        calls_succeeded: Those that ended with OK.
        calls_failed: Those that ended otherwise, by the name of their status.
        messages_received: Messages of the protocol of calls.
        messages_sent: The same, in the other direction.
        bytes_received: Bytes after the handshakes, as they travel.
        bytes_sent: The same, in the other direction.
    """

    calls_started: int
    calls_open: int
    streams_open: int
    calls_succeeded: int
    calls_failed: dict[str, int]
    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int


class WorkerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs handlers as its user.

    Attributes:
        user: The local user's name.
        calls_open: Calls under way in it.
    """

    user: str
    calls_open: int


class ServerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A server as a whole.

    Attributes:
        since: When it began to serve.
        connections_open: Connections whose callers are authenticated.
        connections_accepted: The same, since the beginning.
        traffic: Of all connections since the beginning.
        workers: The processes in which calls run as their callers.
    """

    since: datetime
    connections_open: int
    connections_accepted: int
    traffic: Traffic
    workers: list[WorkerStatistics]


class ConnectionStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """An open connection.

    Attributes:
        number: From 1, in the order in which they came.
        since: When its handshake was over.
        principal: Who is at the other end, as its mechanism writes it.
        mechanism: What proved that.
        suite: What protects the messages.
        minimum_protection: The lowest level of anything: `none`, `sign` or `seal`.
        traffic: What has passed over it.
    """

    number: int
    since: datetime
    principal: str
    mechanism: str
    suite: str
    minimum_protection: str
    traffic: Traffic


@service("signet.Statistics", impersonate=Impersonation.NOT_ALLOWED)
class Statistics(ServerAware):
    """Tells what the server does, and who is connected."""

    def __init__(self) -> None:
        self._ledger = Ledger()

    @method(inline=True)
    def server(self) -> ServerStatistics:
        """Return what the server as a whole does."""
        ledger = self._ledger
        assert ledger.started is not None  # or nobody could call
        open_now = [entry.connection for entry in ledger.entries()]
        return ServerStatistics(
            since=ledger.started,
            connections_open=len(ledger),
            connections_accepted=ledger.accepted,
            traffic=_traffic(ledger.totals(), open_now),
            workers=[
                WorkerStatistics(user=worker.user.name, calls_open=worker.calls)
                for crew in ledger.crews
                for worker in crew.running
            ],
        )

    @method(inline=True)
    def connections(
        self, after: int = 0, limit: int = 100
    ) -> list[ConnectionStatistics]:
        """Return the open connections, the oldest first.

        For more than `limit`, ask again with the last one's number for `after`.

        Args:
            after: Leave out those up to this number.
            limit: How many at the most, 1 to 1000; else INVALID_ARGUMENT.
        """
        if not 1 <= limit <= _MOST_AT_ONCE:
            raise RpcError(
                StatusCode.INVALID_ARGUMENT,
                f'argument "limit": {limit} is not from 1 to {_MOST_AT_ONCE}',
            )
        return [
            ConnectionStatistics(
                number=entry.number,
                since=entry.since,
                principal=entry.connection.established.peer.principal,
                mechanism=entry.connection.established.peer.mechanism.value,
                suite=entry.connection.established.suite,
                minimum_protection=entry.connection.established.minimum.name.lower(),
                traffic=_traffic(entry.connection.counts, [entry.connection]),
            )
            for entry in islice(self._ledger.entries(after), limit)
        ]

    def attach(self, server: Served) -> None:
        """Take the server's ledger."""
        self._ledger = server.ledger


def _traffic(counts: Counts, open_now: list[Counted]) -> Traffic:
    calls = [call for each in open_now for call in each.calls]
    streams = sum(
        call.endpoint.handler.method.kind is not CallKind.UNARY for call in calls
    )
    ended = sum(counts.ended)
    return Traffic(
        # Worked out, so that each call costs one addition and no more.
        calls_started=ended + len(calls),
        calls_open=len(calls),
        streams_open=streams,
        calls_succeeded=counts.ended[StatusCode.OK],
        calls_failed={
            StatusCode(code).name: count
            for code, count in enumerate(counts.ended)
            if code and count
        },
        messages_received=counts.received_messages,
        messages_sent=counts.sent_messages,
        bytes_received=counts.received_bytes,
        bytes_sent=counts.sent_bytes,
    )
