"""The main job, to look at: a server process, a client process, signed and sealed.

    python run.py               over NTLM, with a throw-away account file
    python run.py --kerberos    over Kerberos, with a throw-away KDC

The server is examples/bank, the client demo_client.py beside this file.  Everything
that is made for it is in one temporary folder, which is deleted in the end.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kdc import KdcError, running_kdc
from processes import SECONDS, stop, wait_for_line

HERE = Path(__file__).resolve().parent
BANK = HERE.parent / "bank"
DOMAIN, NAME = "CORP", "alice"
USER = rf"{DOMAIN}\{NAME}"
SERVICE = "host/localhost"


class DemoFailed(Exception):
    """A process did not do what it should have done."""


def over_ntlm(folder: Path) -> None:
    """Serve with an account file and call with its password."""
    password = secrets.token_urlsafe(16)
    accounts = folder / "accounts.txt"
    accounts.touch(mode=0o600)
    accounts.write_text(f"{DOMAIN}:{NAME}:{password}\n")
    print(f"accounts {accounts}: {USER}, a random password, mode 0600")
    environment = dict(os.environ)
    with server(folder, environment, "--ntlm-accounts", str(accounts)) as address:
        call(address, environment | {"DEMO_PASSWORD": password}, "--user", USER)


def over_kerberos(folder: Path) -> None:
    """Start a KDC, serve with a keytab and call with a signed-in user's tickets."""
    with running_kdc(folder) as kdc:
        keytab = kdc.keytab(SERVICE)
        kdc.add_service("host/other")
        alice = kdc.sign_in("alice")
        print(f"KDC      MIT krb5kdc in {folder}; alice is signed in")
        with server(folder, kdc.environment, "--keytab", str(keytab)) as address:
            call(address, alice, "--service-principal", SERVICE)


@contextmanager
def server(
    folder: Path, environment: Mapping[str, str], *arguments: str
) -> Generator[str]:
    """Run the bank's server and give its address; then stop it and show its log."""
    log = folder / "server.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [
                sys.executable,
                str(BANK / "bank_server.py"),
                "--listen=127.0.0.1:0",
                *arguments,
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        line = wait_for_line(process)
        if not line:
            raise DemoFailed("the server did not start")
        print(f"server   process {process.pid}, {line}", flush=True)
        yield line.split()[-1]
        if process.poll() is not None:
            raise DemoFailed(f"the server ended with {process.returncode}")
    finally:
        stop(process)
        print("\nWhat the server logged meanwhile:", flush=True)
        for line in log.read_text().splitlines():
            print(f"  {line}")


def call(address: str, environment: Mapping[str, str], *arguments: str) -> None:
    """Run the client, which shows what it does."""
    # The generated client is there.
    path = os.pathsep.join(filter(None, [str(BANK), environment.get("PYTHONPATH")]))
    environment = {**environment, "PYTHONPATH": path}
    try:
        done = subprocess.run(
            [sys.executable, HERE / "demo_client.py", address, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise DemoFailed(f"the client took more than {SECONDS} seconds") from None
    if done.returncode:
        raise DemoFailed(f"the client ended with {done.returncode}")


def main() -> int:
    """Run the demo; 1 if anything is not as it must be."""
    parser = argparse.ArgumentParser(description="A server and a client, to look at.")
    parser.add_argument(
        "--kerberos", action="store_true", help="with a throw-away KDC, not over NTLM"
    )
    kerberos = parser.parse_args().kerberos
    # So that the processes are stopped and the folder deleted then too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    mechanism = "Kerberos" if kerberos else "NTLM"
    print(f"signetrpc over {mechanism}: a server process and a client process\n")
    try:
        with tempfile.TemporaryDirectory(prefix="signetrpc-demo-") as folder:
            (over_kerberos if kerberos else over_ntlm)(Path(folder))
    except (DemoFailed, KdcError) as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nAll as it should be, in {time.monotonic() - start:.1f} seconds.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
