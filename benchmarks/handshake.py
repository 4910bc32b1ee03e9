"""Handshakes: connecting and one call, beside a TLS handshake of grpc.aio.

    python benchmarks/handshake.py [--rounds 4] [--seconds 2]

Each round is a new connection, its handshake, one call and the end, one after the
other.  Prints milliseconds until the call's answer and the client's processor time, as
medians, and as ratios to grpc.aio with TLS in the same run.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.runner import Subject, environment, interleave
from benchmarks.support.workload import Load

PEER = "grpc.aio TLS"


def product(name: str, mechanism: str, form: str | None = None) -> Subject:
    """Return the product with a mechanism, and the form of its tokens."""
    options = {"subject": "product", "level": "SEAL", "suites": "aes256gcm,gss"}
    options["mechanism"] = mechanism
    if form is not None:
        options["form"] = form
    return Subject(name=name, options=options)


SUBJECTS = [
    Subject(name=PEER, options={"subject": "grpc"}),
    product("Kerberos, cached ticket", "kerberos", "kerberos"),
    product("Negotiate, cached ticket", "kerberos", "negotiate"),
    product("NTLM", "ntlm", "ntlm"),
    product("TLS", "tls"),
]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Handshakes beside grpc.aio")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    loads = {"connect": Load(connections=1, in_flight=0, seconds=given.seconds)}
    with environment() as around:
        found = interleave(SUBJECTS, loads, given.rounds, around)
    peer = found[PEER]["connect"]
    print(f"{'':26} {'p50 ms':>8} {'ratio':>7} {'p99 ms':>8} {'cpu ms':>8}")
    for name, by_load in found.items():
        figures = by_load["connect"]
        print(
            f"{name:26} {figures['p50_us'] / 1e3:8.2f} "
            f"{figures['p50_us'] / peer['p50_us']:7.2f} "
            f"{figures['p99_us'] / 1e3:8.2f} {figures['cpu_us'] / 1e3:8.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
