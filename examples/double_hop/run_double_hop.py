"""A call that goes on in its caller's name, against a throw-away KDC: to look at.

    python run_double_hop.py

Serves payroll.py and portal.py by `signet serve`, each with a keytab of its own, and
calls the portal by call_portal.py: as two users at once, then with a ticket that cannot
be passed on, then without leave to pass it on.  Everything that is made for it is in
one temporary folder, which is deleted in the end.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "demo"))

from kdc import Kdc, KdcError, running_kdc
from processes import SECONDS, stop, wait_for_line

HERE = Path(__file__).resolve().parent
SIGNET = [sys.executable, "-c", "from signetrpc.idl.cli import main; main()"]
ROW = "{:<15}  {:<11}  {}"


class ExampleFailed(Exception):
    """Something is not as the example says it is."""


def show(kdc: Kdc) -> None:
    """Start both services and call."""
    payroll_keys = kdc.keytab("payroll/localhost")
    portal_keys = kdc.keytab("portal/localhost")
    alice = kdc.sign_in("alice", forwardable=True)
    bob = kdc.sign_in("bob", forwardable=True)
    plain = kdc.sign_in("alice")
    with served("payroll:Payroll", payroll_keys, kdc.environment) as back:
        knowing = kdc.environment | {"PAYROLL_ADDRESS": back}
        with served("portal:Portal", portal_keys, knowing) as front:
            print()
            print(ROW.format("CALLER", "ALLOWS", "ANSWER"))
            first, second = calling(front, alice), calling(front, bob)
            told("alice", "DELEGATE", first, "alice@DEMO.TEST earns 5200.00")
            told("bob", "DELEGATE", second, "bob@DEMO.TEST earns 4800.00")
            told("alice, kinit -F", "DELEGATE", calling(front, plain), "kinit -f")
            merely = calling(front, alice, "IMPERSONATE")
            told("alice", "IMPERSONATE", merely, "ImpersonationLevel.DELEGATE")


@contextmanager
def served(target: str, keytab: Path, environment: Mapping[str, str]) -> Generator[str]:
    """Serve a class and give its address; then stop."""
    process = subprocess.Popen(
        [*SIGNET, "serve", target, "--listen=127.0.0.1:0", f"--keytab={keytab}"],
        cwd=HERE,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = wait_for_line(process, " at tcp://")
        if " at tcp://" not in line:
            raise ExampleFailed(f"{target} is not served: {line}")
        print(f"process {process.pid}, {line}", flush=True)
        # By its name: a Kerberos service is asked for by name, never by address.
        yield f"localhost:{line.rpartition(':')[2]}"
        if process.poll() is not None:
            raise ExampleFailed(f"{target} ended with {process.returncode}")
    finally:
        stop(process)


def calling(
    address: str, environment: Mapping[str, str], *arguments: str
) -> subprocess.Popen[str]:
    """Start a client in a user's environment."""
    return subprocess.Popen(
        [sys.executable, HERE / "call_portal.py", address, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def told(user: str, level: str, client: subprocess.Popen[str], expected: str) -> None:
    """Print what a client was told, which must have the expected text in it."""
    try:
        said, _ = client.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        client.kill()
        client.communicate()
        raise ExampleFailed(f"a client took more than {SECONDS} seconds") from None
    print(ROW.format(user, level, said.strip()), flush=True)
    if expected not in said:
        raise ExampleFailed(f"not as it must be: {expected!r} is missing")


def main() -> int:
    """Run the example; 1 if anything is not as it must be."""
    # So that the processes are stopped and the folder deleted then too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="signetrpc-hops-") as folder:
            with running_kdc(Path(folder)) as kdc:
                show(kdc)
    except (ExampleFailed, KdcError) as error:
        print(f"run_double_hop: failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nAll as it should be, in {time.monotonic() - start:.1f} seconds.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
