"""Half-open connections: strangers that begin a handshake and say no more.

    python benchmarks/half_open.py [--connections 5000] [--seconds 3]

Measures a legitimate client's calls before and while so many are held, on one server,
and prints the ratio of its p99 (bar: at most 2) and the memory of each half-open
connection.
"""

import argparse
import os
import resource
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.runner import Subject, environment, load_once, serving
from benchmarks.support.workload import Load

BAR = 2.0

# A client's HELLO frame announced and half sent: the server waits for the rest.
HALF_A_HELLO = b"\x01\x00\x00\x00\x00\x00\x01\x00" + bytes(100)

SUBJECT = Subject(
    name="Kerberos, aes256gcm",
    options={
        "subject": "product",
        "mechanism": "kerberos",
        "suites": "aes256gcm",
        "level": "SEAL",
        "handshake_seconds": "600",
    },
)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS in /proc")


def main() -> int:
    """Measure and print; return 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description="Calls beside half-open connections")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    needed = given.connections + 500
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < needed:
        print(f"{needed} descriptors are needed, the limit is {hard}", file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))  # the server inherits it
    processors = sorted(os.sched_getaffinity(0))
    first, last = processors[0], processors[-1]
    load = Load(connections=1, in_flight=8, seconds=given.seconds)
    with environment() as around, serving(SUBJECT, around, first) as server:
        load_once(SUBJECT, around, server.address, load, last)  # warm
        before = load_once(SUBJECT, around, server.address, load, last)
        memory = resident_bytes(server.pid)
        host, _, port = server.address.removeprefix("tcp://").rpartition(":")
        with ExitStack() as held:
            for _ in range(given.connections):
                stranger = socket.create_connection((host, int(port)), timeout=30)
                held.enter_context(stranger)
                stranger.sendall(HALF_A_HELLO)
            during = load_once(SUBJECT, around, server.address, load, last)
            each = (resident_bytes(server.pid) - memory) / given.connections
    ratio = during["p99_us"] / before["p99_us"]
    print(f"p99 alone {before['p99_us']:.0f} us, beside them {during['p99_us']:.0f} us")
    print(f"memory of each half-open connection: {each / 1024:.1f} KiB")
    verdict = "holds" if ratio <= BAR else "MISSED"
    print(f"{given.connections} half-open: p99 x {ratio:.2f}, bar at most 2: {verdict}")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
