"""A throw-away MIT Kerberos KDC: own realm, own port, own folder.

It speaks to MIT's commands directly and knows nothing of pytest, so that anything may
use it.  This process's environment never changes: `Kdc.environment` returns one for a
subprocess, and the fixture `kerberos_environment` sets it for a single test.
"""

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.parts import faketime_library, which

REALM = "KRBTEST.COM"
USERS = {"alice": "alice-Wonder1and", "bob": "bob-Bui1der"}
SERVICE = "host/localhost"
# In the KDC's database, so clients get tickets, and in no keytab but those asked for.
OTHER_SERVICE = "other/localhost"

# Neither the resolver nor reverse look-ups may change a name: DNS is the attacker's.
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

# What no client or KDC should have.
_WEAK = """\
[libdefaults]
    allow_weak_crypto = true
    allow_rc4 = true
    permitted_enctypes = arcfour-hmac aes256-cts
"""

_KDC_CONF = """\
[kdcdefaults]
    kdc_listen = 127.0.0.1:{port}
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
        max_life = 7d
        max_renewable_life = 7d
    }}
[logging]
    kdc = FILE:{folder}/kdc.log
    default = FILE:{folder}/other.log
"""


class Kdc:
    """A running KDC with the users of `USERS` and two services.

    Attributes:
        folder: Holds everything of this KDC; deleted by `stop`.
        krb5_config: The clients' configuration file.
        keytab_file: The keys of `SERVICE`.
    """

    def __init__(self) -> None:
        """Make the database and start the KDC; on an error nothing stays behind."""
        self.folder = Path(tempfile.mkdtemp(prefix="signetrpc-kdc-"))
        self._numbers = itertools.count()
        self._process: subprocess.Popen[str] | None = None
        try:
            port = free_port()
            self.krb5_config = self._write("krb5.conf", _KRB5_CONF, port)
            self._write("kdc.conf", self.profile, port)
            self.create_database()
            self._process = self._start()
            self.keytab_file = self.keytab(SERVICE)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the KDC and delete its folder."""
        if self._process is not None:
            end(self._process)
            self._process = None
        shutil.rmtree(self.folder)

    @property
    def profile(self) -> str:
        """The KDC's own configuration, to be filled in; for subclasses to replace."""
        return _KDC_CONF

    @property
    def realm(self) -> str:
        """The realm's name, such as `KRBTEST.COM`."""
        return REALM

    def principal(self, name: str) -> str:
        """Return `name` with the realm, such as `alice@KRBTEST.COM`."""
        return f"{name}@{REALM}"

    def environment(
        self,
        *,
        ccache: Path | None = None,
        keytab: Path | None = None,
        clock_offset: timedelta = timedelta(0),
    ) -> dict[str, str]:
        """Return a whole environment for a subprocess: this one's, with Kerberos set.

        Args:
            ccache: Where the process finds its tickets; by default it has none.
            keytab: The keys it accepts with; by default it has none.
            clock_offset: Added to the time of day that the process sees.
        """
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("KRB5") and name != "NTLM_USER_FILE"
        }
        env |= self.variables(ccache=ccache, keytab=keytab)
        return env | clock_variables(clock_offset)

    def variables(
        self, *, ccache: Path | None = None, keytab: Path | None = None
    ) -> dict[str, str]:
        """Return only the variables that Kerberos reads; arguments as above."""
        return {
            "KRB5_CONFIG": str(self.krb5_config),
            "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
            "KRB5CCNAME": f"FILE:{ccache or self.folder / 'no-tickets'}",
            "KRB5_KTNAME": f"FILE:{keytab or self.folder / 'no-keys'}",
            "KRB5_CLIENT_KTNAME": f"FILE:{self.folder / 'no-client-keys'}",
            "KRB5RCACHEDIR": str(self.folder),
        }

    def kinit(
        self,
        user: str,
        *,
        lifetime: timedelta = timedelta(hours=1),
        forwardable: bool = False,
        clock_offset: timedelta = timedelta(0),
        service: str | None = None,
        initial: bool = False,
    ) -> Path:
        """Log `user` in and return a new credential cache.

        Args:
            user: A key of `USERS`, or a principal added with that password.
            lifetime: Of the ticket, in whole seconds.
            forwardable: Whether the ticket may be delegated.
            clock_offset: The ticket is issued at that time from now, by a KDC and to a
                client that both believe in it: -2 h makes one that has expired, +2 h
                one that is not yet valid.
            service: Also fetch a ticket for this service, such as `host/localhost`.
            initial: Fetch that one with the password, and no ticket-granting ticket:
                there is then nothing to forward.
        """
        ccache = self._new_file("ccache")
        flags = ["-f" if forwardable else "-F"]
        flags += ["-l", f"{int(lifetime.total_seconds())}s"]
        with self._issuer(ccache, clock_offset) as env:
            if service is not None and initial:
                flags += ["-S", self.principal(service)]
            run("kinit", *flags, self.principal(user), env=env, text=USERS[user])
            if service is not None and not initial:
                run("kvno", self.principal(service), env=env)
        return ccache

    def log_in_service(self, principal: str) -> Path:
        """Log a service in, forwardable, and return a new credential cache."""
        ccache, keytab = self._new_file("ccache"), self.keytab(principal)
        env = self.environment(ccache=ccache)
        run("kinit", "-f", "-k", "-t", str(keytab), self.principal(principal), env=env)
        return ccache

    def keytab(self, *principals: str) -> Path:
        """Return a new keytab file with the current keys of `principals`."""
        keytab = self._new_file("keytab")
        for principal in principals:
            self.kadmin(f"ktadd -k {keytab} -norandkey {self.principal(principal)}")
        return keytab

    def add_service(self, principal: str) -> None:
        """Add a principal with random keys, such as `http/localhost`."""
        self.kadmin(f"addprinc -randkey {self.principal(principal)}")

    def weak_ticket(self, ccache: Path) -> tuple[str, Path]:
        """Add a service with an arcfour key and fetch a ticket with an arcfour key.

        Args:
            ccache: Of a user who is logged in; the ticket is added to it.

        Returns:
            The service, and the configuration under which both ends take arcfour.
        """
        service = f"weak-{next(self._numbers)}/localhost"
        name = self.principal(service)
        self.kadmin(f"addprinc -e arcfour-hmac:normal -randkey {name}")
        self.kadmin(f"setstr {name} session_enctypes arcfour-hmac")
        env = self.environment(ccache=ccache)
        port = free_port()
        weak = _KRB5_CONF.replace("[libdefaults]\n", _WEAK)
        config = self._write("krb5-weak.conf", weak, port)
        profile = self._write("kdc-weak.conf", self.profile, port)
        env |= {"KRB5_CONFIG": str(config), "KRB5_KDC_PROFILE": str(profile)}
        process = _start_kdc(env)
        try:
            run("kvno", name, env=env)
        finally:
            end(process)
        return service, config

    def create_database(self) -> None:
        """Make the database, still without principals; for subclasses to replace."""
        run("kdb5_util", "create", "-s", "-P", "master", env=self.environment())

    def kadmin(self, query: str) -> None:
        """Have the KDC's administrator do something."""
        run("kadmin.local", "-r", REALM, "-q", query, env=self.environment())

    def _start(self) -> subprocess.Popen[str]:
        for user, password in USERS.items():
            self.kadmin(f"addprinc -pw {password} {self.principal(user)}")
        for service in (SERVICE, OTHER_SERVICE):
            self.add_service(service)
        return _start_kdc(self.environment())

    @contextmanager
    def _issuer(
        self, ccache: Path, clock_offset: timedelta
    ) -> Generator[dict[str, str]]:
        """Yield the environment of a client that asks a KDC of the same clock."""
        env = self.environment(ccache=ccache, clock_offset=clock_offset)
        if not clock_offset:
            yield env
            return
        # The KDC's clock is in every ticket it issues.  A second one, over the same
        # database, lives in another time for as long as this client does.
        port = free_port()
        env["KRB5_CONFIG"] = str(self._write("krb5-shifted.conf", _KRB5_CONF, port))
        profile = self._write("kdc-shifted.conf", self.profile, port)
        env["KRB5_KDC_PROFILE"] = str(profile)
        process = _start_kdc(env)
        try:
            yield env
        finally:
            end(process)

    def _new_file(self, name: str) -> Path:
        return self.folder / f"{name}-{next(self._numbers)}"

    def _write(self, name: str, template: str, port: int) -> Path:
        path = self.folder / name
        path.write_text(template.format(realm=REALM, folder=self.folder, port=port))
        return path


def clock_variables(offset: timedelta) -> dict[str, str]:
    """Return the variables that shift the time of day of a subprocess by `offset`.

    Raises:
        FileNotFoundError: libfaketime is not installed.
    """
    if not offset:
        return {}
    library = faketime_library()
    if library is None:
        raise FileNotFoundError("libfaketime.so.1 is not installed")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{offset.total_seconds():+.0f}",
        # Event loops measure by the monotonic clock, which must not move.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def _start_kdc(env: dict[str, str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [command("krb5kdc"), "-n", "-r", REALM],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output: list[str] = []
    for line in process.stdout:
        output.append(line)
        if "starting..." in line:  # printed once its ports are bound
            return process
    process.stdout.close()
    raise RuntimeError(f"krb5kdc ended with {process.wait()}: {''.join(output)}")


def end(process: "subprocess.Popen[str]") -> None:
    """End a process that was started here, and wait for it."""
    process.terminate()
    process.communicate()


def run(name: str, *arguments: str, env: dict[str, str], text: str = "") -> None:
    """Run a command to its end.

    Raises:
        RuntimeError: It failed; the text is its output.
    """
    done = subprocess.run(
        [command(name), *arguments],
        env=env,
        input=text + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # kadmin.local reports a failed query in its output alone.
    failed = done.returncode != 0 or "while " in done.stdout
    if failed:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stdout}")


def command(name: str) -> str:
    """Return where a command is.

    Raises:
        FileNotFoundError: It is not installed.
    """
    path = which(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed")
    return path


def free_port() -> int:
    """Return a port that is free for TCP and for UDP on the loopback interface."""
    for _ in range(100):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue  # taken for UDP alone
            return port
    raise RuntimeError("no port is free for both TCP and UDP")
