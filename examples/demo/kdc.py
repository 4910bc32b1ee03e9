"""A throw-away Kerberos realm for the demo: MIT's KDC on a free port of this machine.

Everything is in one temporary folder, and nobody else's configuration is read.
"""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from processes import SECONDS, stop, wait_for_line

REALM = "DEMO.TEST"
# Debian has the KDC's commands outside a plain user's PATH.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

# No DNS: whoever answers there could choose the service to trust.
_KRB5_CONF = """\
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    localhost = {realm}
"""

_KDC_CONF = """\
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
    }}
[logging]
    kdc = FILE:{folder}/kdc.log
    default = FILE:{folder}/other.log
"""


class KdcError(Exception):
    """The KDC or one of its commands is missing or failed; the text says which."""


class Kdc:
    """A realm with its KDC.  Made by `running_kdc`.

    Attributes:
        environment: A whole environment for a process that is to be in this realm.
    """

    def __init__(self, folder: Path) -> None:
        """Write the configuration and an empty database into `folder`."""
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for name, text in (("krb5.conf", _KRB5_CONF), ("kdc.conf", _KDC_CONF)):
            content = text.format(realm=REALM, folder=folder, port=port)
            (folder / name).write_text(content)
        self.environment = os.environ | {
            "PATH": _PATH,
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            # Nobody is signed in: there is no such file.
            "KRB5CCNAME": f"FILE:{folder / 'tickets'}",
            "KRB5RCACHEDIR": str(folder),
        }
        self._passwords: dict[str, str] = {}
        master = secrets.token_urlsafe(16)
        self._run("kdb5_util", "create", "-s", typed=f"{master}\n{master}\n")

    def keytab(self, service: str) -> Path:
        """Add a service such as `host/localhost` and return a file with its keys."""
        self.add_service(service)
        path = self._folder / f"{service.replace('/', '-')}.keytab"
        self._kadmin(f"ktadd -k {path} {service}@{REALM}")
        return path

    def add_service(self, service: str) -> None:
        """Add a service that clients get tickets for."""
        self._kadmin(f"addprinc -randkey {service}@{REALM}")

    def sign_in(self, user: str, *, forwardable: bool = False) -> dict[str, str]:
        """Fetch a user's tickets, as a login would; the user is added first.

        Returns:
            An environment for a process of that user's.
        """
        principal = f"{user}@{REALM}"
        if user not in self._passwords:
            password = self._passwords[user] = secrets.token_urlsafe(16)
            self._kadmin(f"addprinc {principal}", typed=f"{password}\n{password}\n")
        kind = "forwardable" if forwardable else "plain"
        cache = f"FILE:{self._folder}/tickets-{user}-{kind}"
        option = "-f" if forwardable else "-F"
        password = self._passwords[user]
        self._run("kinit", option, "-c", cache, principal, typed=f"{password}\n")
        return self.environment | {"KRB5CCNAME": cache}

    def start(self) -> subprocess.Popen[str]:
        """Start the KDC and return when it answers."""
        process = subprocess.Popen(
            [_command("krb5kdc"), "-n", "-r", REALM],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # It says so when its port is bound.
        said = wait_for_line(process, "starting...")
        if "starting..." not in said:
            stop(process)
            raise KdcError(f"krb5kdc did not start: {said}")
        return process

    def _kadmin(self, query: str, *, typed: str = "") -> None:
        self._run("kadmin.local", "-r", REALM, "-q", query, typed=typed)

    def _run(self, name: str, *arguments: str, typed: str = "") -> None:
        # Secrets are typed: a command line can be seen by every user.
        try:
            done = subprocess.run(
                [_command(name), *arguments],
                env=self.environment,
                input=typed,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise KdcError(f"{name} took more than {SECONDS} seconds") from None
        # kadmin.local tells of a failed query in its output alone.
        if done.returncode or "while " in done.stdout:
            raise KdcError(f"{name} ended with {done.returncode}: {done.stdout}")


@contextmanager
def running_kdc(folder: Path) -> Generator[Kdc]:
    """Start a KDC whose files are in `folder`, and stop it in the end.

    Raises:
        KdcError: There is none on this machine, or it failed.
    """
    kdc = Kdc(folder)
    process = kdc.start()
    try:
        yield kdc
    finally:
        stop(process)


def _command(name: str) -> str:
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise KdcError(
            f"{name} is not installed (Debian: krb5-kdc krb5-admin-server krb5-user)"
        )
    return path
