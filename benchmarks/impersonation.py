"""Calls that run as their caller, beside plain ones and grpc.aio with TLS.

    python benchmarks/impersonation.py [--rounds 4] [--seconds 2]

Needs root and Linux: it runs in a namespace, with users of its own.  Kerberos, sealed,
in both suites; the plain server runs the same handlers as itself.  Prints, as medians
over the rounds: p50 with one call under way and calls per second with 64 on one
connection, and how many times a plain call the impersonated one takes.  Then, of 20
users who have not called before, the first call, and the memory of their workers.

A service, its template process and its workers have one processor together, the client
has the other, as the servers and clients they are compared with.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.machine import enter_namespace, make_users
from benchmarks.support.newcomers import Memory, worker_memory
from benchmarks.support.runner import (
    Environment,
    Subject,
    environment,
    interleave,
    newcomers_once,
    serving,
)
from benchmarks.support.users import NEWCOMERS
from benchmarks.support.workload import Load

PEER = "grpc.aio TLS"
SUITES = ("gss", "aes256gcm")

# What must hold with 64 calls under way.
MOST_TIMES_PLAIN = 3.0
LEAST_TIMES_PEER = 4.0

Found = dict[str, dict[str, dict[str, float]]]


def product(name: str, suite: str, **options: str) -> Subject:
    """Return the product in a suite, with further options."""
    fixed = {"subject": "product", "mechanism": "kerberos", "level": "SEAL"}
    return Subject(name=name, options=fixed | {"suites": suite} | options)


def plain(suite: str) -> str:
    """Return the name of the server that runs handlers as itself."""
    return f"plain, {suite}"


def impersonated(suite: str) -> str:
    """Return the name of the server that runs handlers as their callers."""
    return f"as the caller, {suite}"


def subjects() -> Iterator[Subject]:
    """Yield who is measured in turns."""
    yield Subject(name=PEER, options={"subject": "grpc"})
    for suite in SUITES:
        yield product(plain(suite), suite)
        yield product(impersonated(suite), suite, impersonate="linux")


def main() -> int:
    """Measure and print; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Impersonated calls beside plain ones")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    enter_namespace()
    make_users()
    loads = {
        "1 in flight": Load(connections=1, in_flight=1, seconds=given.seconds),
        "64 in flight": Load(connections=1, in_flight=64, seconds=given.seconds),
    }
    with environment() as around:
        found = interleave(list(subjects()), loads, given.rounds, around)
        _print(found)
        durations, memory = _newcomers(around)
    _print_newcomers(durations, memory)
    return _judge(found)


def _newcomers(around: Environment) -> tuple[dict[str, float], list[Memory]]:
    """Have each of `NEWCOMERS` call a new server; return durations and memory."""
    processors = sorted(os.sched_getaffinity(0))
    # By NTLM: how they authenticate is no part of what is measured.
    subject = product("", "aes256gcm", impersonate="linux", mechanism="ntlm")
    with serving(subject, around, processors[0]) as server:
        address, client = server.address, processors[-1]
        durations = newcomers_once(subject, around, address, client)
        memory = worker_memory(server.pid)
    if len(memory) != len(NEWCOMERS):
        raise RuntimeError(f"{len(memory)} workers for {len(NEWCOMERS)} users")
    return durations, memory


def _print(found: Found) -> None:
    peer = found[PEER]["64 in flight"]["calls_per_second"]
    print(f"{'':28} {'1 in flight':>18} {'64 in flight':>29} {'client':>8}")
    print(
        f"{'':28} {'p50 us':>8} {'x plain':>9} "
        f"{'calls/s':>10} {'x gRPC':>8} {'x plain':>9} {'cpu us':>8}"
    )
    for name, loads in found.items():
        one, many = loads["1 in flight"], loads["64 in flight"]
        rate = many["calls_per_second"]
        to_plain = ("", "")
        for suite in SUITES:
            if name == impersonated(suite):
                base = found[plain(suite)]
                to_plain = (
                    f"{one['p50_us'] / base['1 in flight']['p50_us']:.2f}",
                    f"{base['64 in flight']['calls_per_second'] / rate:.2f}",
                )
        print(
            f"{name:28} {one['p50_us']:8.0f} {to_plain[0]:>9} "
            f"{rate:10.0f} {rate / peer:8.1f} {to_plain[1]:>9} {many['cpu_us']:8.1f}"
        )


def _print_newcomers(durations: dict[str, float], memory: list[Memory]) -> None:
    print(f"{len(memory)} users, one after the other, p50:")
    print(
        f"  the first call, which waits for a process: {durations['first_us']:.0f} us"
    )
    print(f"  the first of a further connection: {durations['further_us']:.0f} us")
    print(f"  one after those: {durations['call_us']:.0f} us")
    resident, shared_out, private = (
        statistics.median(sizes) / 1024 / 1024
        for sizes in zip(
            *((each.resident, each.shared_out, each.private) for each in memory),
            strict=True,
        )
    )
    print(
        f"  memory of each of {len(memory)} processes: {private:.1f} MiB of its own, "
        f"{shared_out:.1f} MiB with its share of what all have (PSS), "
        f"{resident:.1f} MiB resident"
    )


def _judge(found: Found) -> int:
    missed = 0
    peer = found[PEER]["64 in flight"]["calls_per_second"]
    for suite in SUITES:
        name = impersonated(suite)
        rate = found[name]["64 in flight"]["calls_per_second"]
        times = found[plain(suite)]["64 in flight"]["calls_per_second"] / rate
        for ratio, held, bar in (
            (times, times <= MOST_TIMES_PLAIN, f"at most {MOST_TIMES_PLAIN:g} x plain"),
            (
                rate / peer,
                rate / peer >= LEAST_TIMES_PEER,
                f"at least {LEAST_TIMES_PEER:g} x gRPC's calls/s",
            ),
        ):
            verdict = "holds" if held else "MISSED"
            print(f"{name}, 64 in flight: {ratio:.2f}, bar {bar}: {verdict}")
            missed += not held
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
