"""A throw-away Active Directory domain: one Samba domain controller, filled with users.

It uses the system's own folders and ports, so it runs in a namespace alone
(`tests.support.namespace`).  The machine it makes is all of a domain at once: the
controller `dc1` at 127.0.0.10 with its KDC and winbindd, and, at 127.0.0.1, the server
under test, `rpc`, and its clients.
"""

import base64
import os
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.parts import which

REALM = "CORP.EXAMPLE.COM"
DOMAIN = "CORP"
HOST = "rpc.corp.example.com"
SERVICE = f"host/{HOST}"
# Known to the KDC, so that clients get tickets, and in no keytab.
OTHER_SERVICE = f"other/{HOST}"
USERS = {
    "alice": "alice-Wonder1and",
    "bob": "bob-Bui1der",
    "Carol": "Carol-Cap1tal",
    "grace": "grace-Group1es",  # in 300 groups
}
GROUPS = 300
# Of alice, in this order: her own, one that only the one before is in, and one of the
# controller's own domain, which a PAC tells apart.
NESTED_GROUPS = ("clerks", "staff")
LOCAL_GROUP = "archivists"
ADMINISTRATOR = "Passw0rd-of-corp"

_ADDRESS = "127.0.0.10"
_BASE = "DC=corp,DC=example,DC=com"
_NORMAL, _NEVER_EXPIRES = 0x200, 0x10000  # userAccountControl
_DOMAIN_LOCAL = -2147483644  # groupType; without it a group is global
_AES = 24  # msDS-SupportedEncryptionTypes; without it a service's tickets are RC4
_DEADLINE_PROBES = 1200

_HOSTS = f"""\
127.0.0.1 localhost {HOST} rpc bank.corp.example.com bank
{_ADDRESS} dc1.corp.example.com dc1
"""

# Neither the resolver nor reverse look-ups may change a name: DNS is the attacker's.
_KRB5_CONF = f"""\
[libdefaults]
    default_realm = {REALM}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {REALM} = {{
        kdc = {_ADDRESS}
    }}
[domain_realm]
    .corp.example.com = {REALM}
"""


class DomainController:
    """The running domain; a context manager.

    Attributes:
        folder: For tickets and keys; gone with the namespace.
        keytab_file: The keys of `SERVICE`.
        user_keytab_file: The keys of alice.
    """

    def __init__(self) -> None:
        self.folder = Path("/run/domain")
        self.keytab_file = self.folder / "service.keytab"
        self.user_keytab_file = self.folder / "alice.keytab"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir()
        Path("/etc/hosts").write_text(_HOSTS)
        Path("/etc/krb5.conf").write_text(_KRB5_CONF)
        Path("/etc/samba/smb.conf").unlink(missing_ok=True)
        for name in tuple(os.environ):
            if name.startswith("KRB5") or name == "NTLM_USER_FILE":
                del os.environ[name]
        # What libkrb5 would leave in the machine's folders for temporary files.
        os.environ["KRB5CCNAME"] = f"FILE:{self.folder / 'tickets'}"
        os.environ["KRB5RCACHEDIR"] = str(self.folder)
        self._provision()
        _add(_content())
        self._export(SERVICE, self.keytab_file)
        self._export("alice", self.user_keytab_file)
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()  # others of its processes end with the namespace
            self._process.wait()

    def kinit(self, user: str) -> Path:
        """Log a user of `USERS` in and return the new credential cache."""
        ccache = self.folder / f"tickets-{user}"
        run("kinit", "-c", str(ccache), user, text=USERS[user])
        return ccache

    def _provision(self) -> None:
        Path("/var/lib/samba/private").mkdir(exist_ok=True)
        run(
            "samba-tool",
            "domain",
            "provision",
            f"--realm={REALM}",
            f"--domain={DOMAIN}",
            f"--adminpass={ADMINISTRATOR}",
            f"--host-ip={_ADDRESS}",
            f"--option=interfaces={_ADDRESS}/8",
            "--host-name=dc1",
            "--server-role=dc",
            "--dns-backend=SAMBA_INTERNAL",
            "--option=bind interfaces only=yes",
        )

    def _export(self, principal: str, keytab: Path) -> None:
        name = f"--principal={principal}"
        run("samba-tool", "domain", "exportkeytab", str(keytab), name)

    def _start(self) -> None:
        log = Path("/var/log/samba/stdout")
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [_command("samba"), "--foreground", "--no-process-group"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        for _ in range(_DEADLINE_PROBES):
            try:
                # The interval between two probes, and an end to them if samba ends.
                self._process.wait(0.05)
                break
            except subprocess.TimeoutExpired:
                if _answers():
                    return
        raise RuntimeError(f"samba does not answer: {log.read_text()}")


def _answers() -> bool:
    """Return whether the KDC listens and winbindd reaches the domain."""
    try:
        socket.create_connection((_ADDRESS, 88)).close()
    except OSError:
        return False
    ping = [_command("wbinfo"), "--ping-dc"]
    return subprocess.run(ping, capture_output=True).returncode == 0


def _content() -> str:
    """Return the users, the service and the groups as LDIF."""
    never = f"userAccountControl: {_NORMAL | _NEVER_EXPIRES}"
    entries = [
        _entry("user", user, never, _secret(password))
        for user, password in USERS.items()
    ]
    aes = f"msDS-SupportedEncryptionTypes: {_AES}"
    for account, service in (("svc-rpc", SERVICE), ("svc-other", OTHER_SERVICE)):
        name = f"servicePrincipalName: {service}"
        entries.append(
            _entry("user", account, never, _secret("Serv1ce-key"), aes, name)
        )
    member = f"member: CN=grace,CN=Users,{_BASE}"
    entries += [_entry("group", f"group{n:03}", member) for n in range(GROUPS)]
    inner = "alice"
    for group in NESTED_GROUPS:
        entries.append(_entry("group", group, f"member: CN={inner},CN=Users,{_BASE}"))
        inner = group
    member = f"member: CN=alice,CN=Users,{_BASE}"
    kind = f"groupType: {_DOMAIN_LOCAL}"
    entries.append(_entry("group", LOCAL_GROUP, member, kind))
    return "\n".join(entries)


def _entry(kind: str, name: str, *attributes: str) -> str:
    head = (
        f"dn: CN={name},CN=Users,{_BASE}",
        f"objectClass: {kind}",
        f"sAMAccountName: {name}",
    )
    return "\n".join((*head, *attributes, ""))


def _secret(password: str) -> str:
    encoded = base64.b64encode(f'"{password}"'.encode("utf-16-le")).decode()
    return f"unicodePwd:: {encoded}"


def _add(ldif: str) -> None:
    run("ldbadd", "-H", "/var/lib/samba/private/sam.ldb", text=ldif)


def run(command: str, *arguments: str, text: str = "") -> str:
    """Run a command and return its output.

    Raises:
        RuntimeError: It failed; with its output.
    """
    done = subprocess.run(
        [_command(command), *arguments],
        input=text + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def _command(name: str) -> str:
    path = which(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed")
    return path
