"""Bulk: 1 MiB bodies up and down, sealed, beside grpc.aio with TLS.

    python benchmarks/bulk.py [--rounds 4] [--seconds 2]

Prints megabytes per second with one and with four calls under way on one connection, as
medians over the rounds and as ratios to grpc.aio with TLS in the same run.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.runner import Subject, environment, interleave
from benchmarks.support.workload import Load

SIZE = 1 << 20
PEER = "grpc.aio TLS"
BAR = "Kerberos, aes256gcm"

# What must hold of `BAR` beside `PEER`, with one call under way.
BARS = {"upload": 1.5, "download": 1.2}


def subjects(call: str) -> list[Subject]:
    """Return the subjects, each set to `upload` or `download`."""
    common = {"call": call, "size": str(SIZE)}
    product = common | {"subject": "product", "level": "SEAL", "mechanism": "kerberos"}
    return [
        Subject(name=PEER, options=common | {"subject": "grpc"}),
        Subject(name=BAR, options=product | {"suites": "aes256gcm"}),
        Subject(name="Kerberos, gss", options=product | {"suites": "gss"}),
        Subject(
            name="NTLM, gss", options=product | {"suites": "gss", "mechanism": "ntlm"}
        ),
    ]


def main() -> int:
    """Measure and print; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="Bulk beside grpc.aio")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    loads = {
        "1 in flight": Load(connections=1, in_flight=1, seconds=given.seconds),
        "4 in flight": Load(connections=1, in_flight=4, seconds=given.seconds),
    }
    missed = 0
    with environment() as around:
        for call, bar in BARS.items():
            found = interleave(subjects(call), loads, given.rounds, around)
            print(f"{call:24} {'1 in flight':>18} {'4 in flight':>18}")
            print(f"{'':24} {'MB/s':>10} {'ratio':>7} {'MB/s':>10} {'ratio':>7}")
            for name, by_load in found.items():
                columns = f"{name:24}"
                for load in loads:
                    rate = by_load[load]["calls_per_second"]
                    ratio = rate / found[PEER][load]["calls_per_second"]
                    columns += f" {rate * SIZE / 1e6:10.0f} {ratio:7.2f}"
                print(columns)
            one = "1 in flight"
            rates = (found[BAR][one], found[PEER][one])
            ratio = rates[0]["calls_per_second"] / rates[1]["calls_per_second"]
            held = ratio >= bar
            verdict = "holds" if held else "MISSED"
            print(f"{BAR}, {call}: {ratio:.2f}, bar at least {bar:g}: {verdict}\n")
            missed += not held
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
