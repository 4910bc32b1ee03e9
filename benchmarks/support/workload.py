"""What every subject is asked to do, and how it is counted.

A subject connects and gives an `echo` of 100 bytes.  The typed subjects carry them in
a dataclass with a deadline and run a task per call; gRPC's carry bare bytes without
protobuf, which is in its favour.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from typing import Any

import anyio

__all__ = ["Echo", "Load", "Measured", "measure", "measure_connecting"]

Echo = Callable[[], Awaitable[object]]
"""One call on one connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many calls are under way at once.

    Attributes:
        connections: Connections opened.
        in_flight: Calls under way on each; 0 measures connecting instead: each round is
            a connection, its handshake and one call.
        seconds: How long to go on.
        warm_up: Calls before that.
    """

    connections: int
    in_flight: int
    seconds: float
    warm_up: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement.

    Attributes:
        calls_per_second: Calls that ended, by the seconds they took.
        p50_us: Half of the calls took at most so many microseconds.
        p99_us: 99 in 100 did.
        cpu_us: Processor time of the client process for each call.
    """

    calls_per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


async def measure_connecting(
    connect: Callable[[], AbstractAsyncContextManager[list[Echo]]], load: Load
) -> Measured:
    """Connect, call once and close, one after the other, and count."""
    durations: list[float] = []
    clock = time.perf_counter
    cpu = time.process_time()
    began = clock()
    while clock() - began < load.seconds or len(durations) < 3:
        start = clock()
        async with connect() as (echo,):
            await echo()
            durations.append(clock() - start)
    return _measured(durations, clock() - began, time.process_time() - cpu)


async def measure(echoes: list[Echo], load: Load) -> Measured:
    """Keep `in_flight` calls going on each connection and count."""
    durations: list[float] = []
    clock = time.perf_counter
    end = 0.0

    async def caller(echo: Echo) -> None:
        while (start := clock()) < end:
            await echo()
            durations.append(clock() - start)

    for echo in echoes:
        for _ in range(load.warm_up // len(echoes)):
            await echo()
    start = clock()
    cpu = time.process_time()
    end = start + load.seconds
    async with anyio.create_task_group() as group:
        for echo in echoes:
            for _ in range(load.in_flight):
                group.start_soon(caller, echo)
    elapsed = clock() - start
    cpu = time.process_time() - cpu
    return _measured(durations, elapsed, cpu)


def _measured(durations: list[float], elapsed: float, cpu: float) -> Measured:
    durations.sort()
    return Measured(
        calls_per_second=len(durations) / elapsed,
        p50_us=durations[len(durations) // 2] * 1e6,
        p99_us=durations[len(durations) * 99 // 100] * 1e6,
        cpu_us=cpu / len(durations) * 1e6,
    )
