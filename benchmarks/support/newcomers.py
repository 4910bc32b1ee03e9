"""What an identity worker costs: until its first answer, and in memory."""

import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.product import connect_product
from benchmarks.support.users import NEWCOMERS
from benchmarks.support.workload import Echo

__all__ = ["Memory", "measure_newcomers", "worker_memory"]

_WARM_UP_CALLS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of one process, in bytes.

    Attributes:
        resident: All that it has in memory.
        shared_out: The same, but what several processes have is divided among them:
            what Linux calls PSS.
        private: What nobody else has; its end gives so much back.
    """

    resident: float
    shared_out: float
    private: float


def worker_memory(service: int) -> list[Memory]:
    """Return the memory of each identity worker of a service (Linux, as root).

    Args:
        service: The process's id.  Its one child is the warden, whose one child is
            the template process, whose children are the workers.
    """
    (warden,) = _children(service)
    (template,) = _children(warden)
    return [_memory(each) for each in _children(template)]


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]


def _memory(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    named = (line.split() for line in lines)
    sizes = {name: int(kilobytes) * 1024 for name, kilobytes, _ in named}
    return Memory(
        resident=sizes["Rss:"],
        shared_out=sizes["Pss:"],
        private=sizes["Private_Clean:"] + sizes["Private_Dirty:"],
    )


async def _timed(echo: Echo) -> float:
    start = time.perf_counter()
    await echo()
    return time.perf_counter() - start


async def measure_newcomers(options: dict[str, str], address: str) -> dict[str, float]:
    """Have each of `NEWCOMERS` call for the first time, and then again.

    Returns:
        As medians over them, in microseconds: `first_us`, the first call of all;
        `further_us`, the first one of a further connection; `call_us`, one after those.
    """
    by_name = [options | {"user": name} for name in NEWCOMERS]
    firsts: list[float] = []
    further: list[float] = []
    calls: list[float] = []
    for durations in firsts, further:
        async with AsyncExitStack() as stack:
            echoes: list[Echo] = []
            for each in by_name:
                connected = connect_product(address, each, 1)
                echoes += await stack.enter_async_context(connected)
            # One user after the other: nobody waits for anybody else's process.
            for echo in echoes:
                durations.append(await _timed(echo))
            for echo in echoes:
                for _ in range(_WARM_UP_CALLS):
                    await echo()
                calls.append(await _timed(echo))
    return {
        "first_us": statistics.median(firsts) * 1e6,
        "further_us": statistics.median(further) * 1e6,
        "call_us": statistics.median(calls) * 1e6,
    }
