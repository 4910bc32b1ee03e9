"""Streams: the product beside grpc.aio with TLS, and what a stream leaves to others.

    python benchmarks/streaming.py [--rounds 4] [--seconds 2]

Prints, as medians over the rounds and as ratios in the same run: messages of 100 bytes
per second of one server stream and of one bidirectional stream that echoes, each
sealed; and the p99 of a small call alone and while a stream of large items runs on the
same connection.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.runner import Subject, environment, interleave
from benchmarks.support.workload import Load

PEER = "grpc.aio TLS"
MESSAGES = 5000
"""In one stream."""
LARGE = 64 * 1024
"""Bytes of an item of the stream beside which small calls are made."""

BAR = "Kerberos, gss"

# What must hold of `BAR` beside `PEER`, by kind.
BARS = {"stream": 10.0, "talk": 10.0}
KINDS = {"stream": "server stream", "talk": "bidirectional"}
FAIRNESS = 5.0
"""A small call's p99 beside a stream is at most so many times its p99 alone."""

_PRODUCT = {"subject": "product", "level": "SEAL", "mechanism": "kerberos"}


def subjects(call: str) -> list[Subject]:
    """Return the subjects, each set to a kind of stream."""
    common = {"call": call, "size": str(MESSAGES)}
    product = common | _PRODUCT
    return [
        Subject(name=PEER, options=common | {"subject": "grpc"}),
        Subject(name=BAR, options=product | {"suites": "gss"}),
        Subject(name="Kerberos, aes256gcm", options=product | {"suites": "aes256gcm"}),
        Subject(
            name="Kerberos, gss, trio",
            options=product | {"suites": "gss", "backend": "trio"},
        ),
    ]


def main() -> int:
    """Measure and print; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Streams beside grpc.aio")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    missed = 0
    with environment() as around:
        load = Load(connections=1, in_flight=1, seconds=given.seconds, warm_up=2)
        for call, bar in BARS.items():
            found = interleave(subjects(call), {call: load}, given.rounds, around)
            missed += _streams(call, bar, found)
        small = Load(connections=1, in_flight=1, seconds=given.seconds)
        for suite in ("gss", "aes256gcm"):
            product = _PRODUCT | {"suites": suite}
            pair = [
                Subject(name="alone", options=product),
                Subject(name="beside", options=product | {"beside": str(LARGE)}),
            ]
            found = interleave(pair, {"small": small}, given.rounds, around)
            missed += _fairness(suite, found)
    return 1 if missed else 0


_Found = dict[str, dict[str, dict[str, float]]]


def _streams(call: str, bar: float, found: _Found) -> bool:
    peer = found[PEER][call]["calls_per_second"]
    print(f"{KINDS[call]:24} {'messages/s':>12} {'ratio':>7}")
    for name, by_load in found.items():
        rate = by_load[call]["calls_per_second"]
        print(f"{name:24} {rate * MESSAGES:12.0f} {rate / peer:7.1f}")
    ratio = found[BAR][call]["calls_per_second"] / peer
    held = ratio >= bar
    verdict = "holds" if held else "MISSED"
    print(f"{BAR}, {KINDS[call]}: {ratio:.1f}, bar at least {bar:g}: {verdict}\n")
    return not held


def _fairness(suite: str, found: _Found) -> bool:
    alone, beside = (found[name]["small"]["p99_us"] for name in ("alone", "beside"))
    ratio = beside / alone
    held = ratio <= FAIRNESS
    verdict = "holds" if held else "MISSED"
    print(
        f"{suite}: a small call's p99 {alone:.0f} us alone, {beside:.0f} us beside a "
        f"stream: {ratio:.1f}, bar at most {FAIRNESS:g}: {verdict}"
    )
    return not held


if __name__ == "__main__":
    sys.exit(main())
