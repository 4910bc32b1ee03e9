"""Unary calls: the product at each level beside grpc.aio with TLS.

    python benchmarks/unary.py [--rounds 4] [--seconds 2]

Prints, as medians over the rounds and as ratios to grpc.aio with TLS in the same run:
p50 and p99 with one call under way, calls per second with 64 on one connection and
with 16 connections of 4 each.  Server and client are processes of their own, each on
a processor of its own.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.runner import Subject, environment, interleave
from benchmarks.support.workload import Load

PEER = "grpc.aio TLS"

# What must hold of `BAR` beside `PEER`: column, comparison, ratio.
BAR = "Kerberos seal, gss"
BARS = (
    ("64 in flight", "calls_per_second", 8.0),
    ("16 x 4", "calls_per_second", 5.0),
    ("1 in flight", "p50_us", 0.6),
)


def product(name: str, **options: str) -> Subject:
    """Return the product with options."""
    fixed = {"subject": "product", "mechanism": "kerberos", "suites": "gss"}
    return Subject(name=name, options=fixed | {"level": "SEAL"} | options)


SUBJECTS = [
    Subject(name=PEER, options={"subject": "grpc"}),
    product(BAR),
    product("Kerberos sign, gss", level="SIGN"),
    product("Kerberos, no protection", level="NONE"),
    product("NTLM seal, gss", mechanism="ntlm"),
    product("Kerberos seal, gss, trio", backend="trio"),
    product("Kerberos seal, gss, uvloop", backend="uvloop"),
]


def main() -> int:
    """Measure and print; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Unary calls beside grpc.aio")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", help="only subjects that contain this text")
    given = parser.parse_args()
    seconds = given.seconds
    loads = {
        "1 in flight": Load(connections=1, in_flight=1, seconds=seconds),
        "64 in flight": Load(connections=1, in_flight=64, seconds=seconds),
        "16 x 4": Load(connections=16, in_flight=4, seconds=seconds),
    }
    subjects = [
        subject
        for subject in SUBJECTS
        if not given.only or given.only in subject.name or subject.name == PEER
    ]
    with environment() as around:
        found = interleave(subjects, loads, given.rounds, around)
    _print(found)
    return _judge(found)


def _print(found: dict[str, dict[str, dict[str, float]]]) -> None:
    peer = found[PEER]
    print(
        f"{'':28} {'1 in flight':>26} {'64 in flight':>18} {'16 x 4':>18} {'client':>8}"
    )
    print(
        f"{'':28} {'p50 us':>8} {'ratio':>7} {'p99 us':>9} "
        f"{'calls/s':>10} {'ratio':>7} {'calls/s':>10} {'ratio':>7} {'cpu us':>8}"
    )
    for name, loads in found.items():
        one, many, spread = loads.values()
        one_peer, many_peer, spread_peer = peer.values()
        print(
            f"{name:28} {one['p50_us']:8.0f} {one['p50_us'] / one_peer['p50_us']:7.2f} "
            f"{one['p99_us']:9.0f} "
            f"{many['calls_per_second']:10.0f} "
            f"{many['calls_per_second'] / many_peer['calls_per_second']:7.1f} "
            f"{spread['calls_per_second']:10.0f} "
            f"{spread['calls_per_second'] / spread_peer['calls_per_second']:7.1f} "
            f"{many['cpu_us']:8.1f}"
        )


def _judge(found: dict[str, dict[str, dict[str, float]]]) -> int:
    if BAR not in found:
        return 0
    missed = 0
    for load, figure, bar in BARS:
        ratio = found[BAR][load][figure] / found[PEER][load][figure]
        rate = figure == "calls_per_second"
        held = ratio >= bar if rate else ratio <= bar
        word = "at least" if rate else "at most"
        verdict = "holds" if held else "MISSED"
        print(f"{BAR}, {load}, {figure}: {ratio:.2f}, bar {word} {bar:g}: {verdict}")
        missed += not held
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
