"""A throw-away KDC whose database is an LDAP server's.

MIT's own database cannot say towards whom a service may act for its callers (S4U2Proxy,
MS-SFU section 3.2.5.2); its LDAP backend can, in `krbAllowedToDelegateTo`.
"""

import gzip
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from tests.support.kdc import REALM, SERVICE, Kdc, command, end, run
from tests.support.parts import ldap_schema

__all__ = ["BACK", "FRONT", "LdapKdc"]

FRONT = SERVICE
"""The service that may act for its callers."""

BACK = "back/localhost"
"""The one service towards which `FRONT` may."""

_SUFFIX, _ADMIN, _SECRET = "dc=t", "cn=admin,dc=t", "secret"

_SLAPD_CONF = f"""\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include {{folder}}/kerberos.schema
pidfile {{folder}}/slapd.pid
argsfile {{folder}}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
directory {{folder}}/ldap
suffix "{_SUFFIX}"
rootdn "{_ADMIN}"
rootpw {_SECRET}
index objectClass eq
index krbPrincipalName eq,pres,sub
"""

_KDC_CONF = """\
[kdcdefaults]
    kdc_listen = 127.0.0.1:{port}
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_module = ldap
        key_stash_file = {folder}/stash
        max_life = 7d
        max_renewable_life = 7d
    }}
[dbmodules]
    ldap = {{
        db_library = kldap
        ldap_servers = "{url}"
        ldap_kdc_dn = "cn=admin,dc=t"
        ldap_kadmind_dn = "cn=admin,dc=t"
        ldap_kerberos_container_dn = "cn=krb,dc=t"
        ldap_service_password_file = {folder}/password
    }}
[logging]
    kdc = FILE:{folder}/kdc.log
    default = FILE:{folder}/other.log
"""


class LdapKdc(Kdc):
    """A KDC as `Kdc` is, with an LDAP server of its own, that knows delegation."""

    def __init__(self) -> None:
        """Start the LDAP server and the KDC; on an error nothing stays behind."""
        self._slapd: subprocess.Popen[str] | None = None
        super().__init__()

    @property
    def profile(self) -> str:
        """The KDC's own configuration, to be filled in."""
        return _KDC_CONF.replace("{url}", self._url)

    def stop(self) -> None:
        """End both and delete the folder."""
        if self._slapd is not None:
            # The database is not to be kept, and an orderly end takes a second.
            self._slapd.kill()
            end(self._slapd)
            self._slapd = None
        super().stop()

    def create_database(self) -> None:
        """Start the LDAP server and make an empty database in it."""
        (self.folder / "ldap").mkdir()
        schema = gzip.decompress(ldap_schema().read_bytes())
        (self.folder / "kerberos.schema").write_bytes(schema)
        config = self.folder / "slapd.conf"
        config.write_text(_SLAPD_CONF.format(folder=self.folder))
        self._slapd = self._start_slapd(config)
        self._ldap("ldapadd", f"dn: {_SUFFIX}\nobjectClass: domain\ndc: t\n")
        env = self.environment()
        secret = f"{_SECRET}\n{_SECRET}"
        stash = ["stashsrvpw", "-f", f"{self.folder}/password", _ADMIN]
        run("kdb5_ldap_util", *stash, env=env, text=secret)
        login = ["-D", _ADMIN, "-w", _SECRET, "-H", self._url]
        create = ["create", "-subtrees", _SUFFIX, "-r", REALM, "-s", "-P", "master"]
        run("kdb5_ldap_util", *login, *create, env=env)

    def allow_delegation(self, service: str, targets: Iterable[str]) -> None:
        """Let `service` act for its callers towards these services."""
        entry = (
            f"krbPrincipalName={self.principal(service)},cn={REALM},cn=krb,{_SUFFIX}"
        )
        values = [f"krbAllowedToDelegateTo: {self.principal(name)}" for name in targets]
        lines = [f"dn: {entry}", "changetype: modify", "add: krbAllowedToDelegateTo"]
        self._ldap("ldapmodify", "\n".join([*lines, *values, ""]))

    @property
    def _url(self) -> str:
        return f"ldapi://{quote(f'{self.folder}/ldapi', safe='')}"

    def _ldap(self, tool: str, text: str) -> None:
        login = ["-x", "-H", self._url, "-D", _ADMIN, "-w", _SECRET]
        run(tool, *login, env=self.environment(), text=text)

    def _listens(self, process: "subprocess.Popen[str]") -> bool:
        """Wait until it does, or has ended: a thread of its listens after its word."""
        while process.poll() is None:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(f"{self.folder}/ldapi") == 0:
                    return True
            time.sleep(0.01)
        return False

    def _start_slapd(self, config: Path) -> "subprocess.Popen[str]":
        # "-d" keeps it in the foreground, and "none" has it say when it starts.
        process = subprocess.Popen(
            [command("slapd"), "-f", str(config), "-h", self._url, "-d", "none"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        output: list[str] = []
        for line in process.stdout:
            output.append(line)
            if "slapd starting" in line and self._listens(process):
                return process
        process.stdout.close()
        raise RuntimeError(f"slapd ended with {process.wait()}: {''.join(output)}")
