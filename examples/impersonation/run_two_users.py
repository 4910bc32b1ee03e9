"""Two users, one file tree, and the kernel decides: to look at.

    sudo python run_two_users.py

Serves files.py by `signet serve --impersonate` and calls it by call_files.py.  Only
root may become other users.  All of it happens in a namespace: the users are in a list
of users that nobody outside sees, the files in a file system that goes with the last
process, and nothing of the machine changes.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "demo"))

from processes import SECONDS, stop, wait_for_line

HERE = Path(__file__).resolve().parent
UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
INSIDE = "--inside"

PRIVATE = Path("/run")
TREE = PRIVATE / "files"
USERS = {"alice": 21001, "bob": 21002}
COMMON = 21900
"""The ids of the users and their groups, and of the group that both are in."""
ACCOUNTS = ("alice", "bob", "carol")
"""Who has a password.  carol is no user of the machine."""
SIGNET = [sys.executable, "-c", "from signetrpc.idl.cli import main; main()"]


class ExampleFailed(Exception):
    """A process did not do what it should have done."""


def outside() -> int:
    """Start the same program in a namespace; 2 if that is not possible here."""
    line = f"sudo {sys.executable} {Path(__file__).resolve()}"
    if sys.platform != "linux" or not shutil.which("unshare"):
        print("run_two_users: this needs Linux and its unshare", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print(
            "run_two_users: only root may run programs as other users.\n"
            f"Nothing of the machine is changed: {line}",
            file=sys.stderr,
        )
        return 2
    attempt = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    if attempt.returncode:
        said = attempt.stderr.strip()
        print(f"run_two_users: no namespace here: {said}", file=sys.stderr)
        return 2
    process = subprocess.Popen([*UNSHARE, sys.executable, __file__, INSIDE])
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        process.kill()  # and with it everything inside
        process.wait()


def inside() -> int:
    """Make the users and the tree, serve, call; 1 if anything is not as it must be."""
    make_users()
    make_tree()
    passwords = {name: secrets.token_urlsafe(16) for name in ACCOUNTS}
    accounts = PRIVATE / "accounts.txt"
    accounts.touch(mode=0o600)
    accounts.write_text(
        "".join(f"CORP:{name}:{passwords[name]}\n" for name in passwords)
    )
    print(f"files    {TREE}, in a namespace of its own:")
    show_tree()
    try:
        serve_and_call(accounts, passwords)
    except ExampleFailed as error:
        print(f"run_two_users: failed: {error}", file=sys.stderr)
        return 1
    return 0


def make_users() -> None:
    """Cover the lists of users and groups by others, for this namespace alone."""
    # Also hides the caches of name services, which would know the machine's own.
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "mode=755", "none", PRIVATE], check=True
    )
    users = [
        f"{name}:x:{uid}:{uid}::{TREE}/{name}:/bin/sh" for name, uid in USERS.items()
    ]
    groups = [f"{name}:x:{uid}:" for name, uid in USERS.items()]
    groups.append(f"common:x:{COMMON}:{','.join(USERS)}")
    cover("/etc/passwd", ["root:x:0:0::/root:/bin/sh", *users])
    cover("/etc/group", ["root:x:0:", *groups])
    if os.path.exists("/etc/nsswitch.conf"):
        cover("/etc/nsswitch.conf", ["passwd: files", "group: files"])


def cover(path: str, lines: list[str]) -> None:
    """Put another file over one of the system's."""
    own = PRIVATE / Path(path).name
    own.write_text("".join(f"{line}\n" for line in lines))
    subprocess.run(["mount", "--bind", own, path], check=True)


def make_tree() -> None:
    """Make a folder for each user, one for both, and a file of root's."""
    TREE.mkdir()
    for name, uid in USERS.items():
        (TREE / name).mkdir()
        diary = TREE / name / "diary"
        diary.write_text(f"{name}'s own")
        for path, mode in ((diary, 0o600), (TREE / name, 0o700)):
            os.chown(path, uid, uid)
            path.chmod(mode)
    (TREE / "common").mkdir()
    os.chown(TREE / "common", 0, COMMON)
    (TREE / "common").chmod(0o770)
    (TREE / "of-root").touch(mode=0o600)


def show_tree() -> None:
    """Print the tree, as root sees it."""
    done = subprocess.run(["ls", "-lR", "."], cwd=TREE, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line and not line.startswith("total"):
            print(f"  {line}")


def serve_and_call(accounts: Path, passwords: dict[str, str]) -> None:
    """Run the server and the client."""
    command = ["serve", "files:Files", "--listen", "127.0.0.1:0", "--impersonate"]
    command += ["--users", "users.toml", "--ntlm-accounts", str(accounts)]
    server = subprocess.Popen(
        [*SIGNET, *command],
        cwd=HERE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = wait_for_line(server, "serving files.Files at")
        if " at tcp://" not in line:
            raise ExampleFailed(f"the server did not start: {line}")
        print(f"\nserver   process {server.pid} of root, {line}")
        print(f"server   {wait_for_line(server)}\n", flush=True)
        call(line.split()[-1], passwords)
        if server.poll() is not None:
            raise ExampleFailed(f"the server ended with {server.returncode}")
        print("\nThe files afterwards, as root sees them:")
        show_tree()
    finally:
        print("\nWhat the server logged meanwhile:")
        for line in stop(server).splitlines():
            print(f"  {line}")


def call(address: str, passwords: dict[str, str]) -> None:
    """Run the client, which shows what it does."""
    secret = {f"{name.upper()}_PASSWORD": each for name, each in passwords.items()}
    try:
        done = subprocess.run(
            [sys.executable, HERE / "call_files.py", address],
            env=os.environ | secret,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ExampleFailed(f"the client took more than {SECONDS} seconds") from None
    if done.returncode:
        raise ExampleFailed(f"the client ended with {done.returncode}")


def main() -> int:
    """Run the example, outside or inside the namespace."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sys.argv[1:] == [INSIDE]:
        return inside()
    start = time.monotonic()
    code = outside()
    if code == 0:
        print(f"\nAll as it should be, in {time.monotonic() - start:.1f} seconds.")
    return code


if __name__ == "__main__":
    sys.exit(main())
