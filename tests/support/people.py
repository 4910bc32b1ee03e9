r"""Real users for one test run: lines in the private `/etc` of a namespace.

They are all in the NTLM domain PEOPLE, each with a password of its own, so that any of
them can call a server.  Some are people, the rest is whom no handler may ever run as:

- `alice` and `bob` share the group `projects`; each has an own one too;
- `u00` to `u49`, in `evens` or `odds`;
- `server` is for a service that is not root's; its id alone would not keep a handler
  from being it;
- `toor` has the id 0, `gidzero` the primary group 0, `inroot` is in the group 0;
- `system` has an id, `lowprimary` the primary group, `lowgroup` a group below what the
  defaults of `LinuxImpersonation` allow;
- `nobody`, `overflow`, `nogroupprimary`, `innogroup`: ids that stand for nobody.

Their ids are above 21000 where nothing else is said.  NSS knows files alone, and no
cache of it runs.
"""

import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from signetrpc.rpc import AccountFile, Password
from tests.support.kdc import Kdc
from tests.support.namespace import is_inside

DOMAIN: Final = "PEOPLE"
PROJECTS, EVENS, ODDS = 21900, 21901, 21902
CROWD: Final = 50

_FOLDER: Final = Path("/run/people")
SET_UID_ID: Final = _FOLDER / "id"
"""A copy of id(1) that the kernel runs as root, group root, for everybody."""
_NSSWITCH: Final = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
_NAMES: Final = {PROJECTS: "projects", EVENS: "evens", ODDS: "odds"}
# Of a machine that lacks them.
_BASE_PASSWD: Final = {
    "root": "root:x:0:0:root:/root:/bin/sh",
    "nobody": "nobody:x:65534:65534:nobody:/nonexistent:/bin/false",
}
_BASE_GROUP: Final = {"root": "root:x:0:", "nogroup": "nogroup:x:65534:"}


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the machine, who has an account for NTLM and a home.

    Attributes:
        name: The login name, the same in the domain.
        uid: The user's id.
        gid: The primary group's.
        more: The ids of further groups.
    """

    name: str
    uid: int
    gid: int
    more: tuple[int, ...] = ()

    @property
    def groups(self) -> tuple[int, ...]:
        """The ids of all groups, sorted."""
        return tuple(sorted({self.gid, *self.more}))

    @property
    def home(self) -> Path:
        """The home folder, for nobody else: mode 0700."""
        return Path("/home") / self.name

    @property
    def secret(self) -> Path:
        """A file in the home that holds `of NAME`: mode 0600."""
        return self.home / "secret"

    @property
    def credentials(self) -> Password:
        """What a client gives to `connect` as this user."""
        return Password(f"{DOMAIN}\\{self.name}", f"{self.name}-Passw0rd")


def _person(name: str, at: int, *more: int) -> Person:
    return Person(name, 21000 + at, 21000 + at, more)


ALICE: Final = _person("alice", 1, PROJECTS)
BOB: Final = _person("bob", 2, PROJECTS)
CROWD_OF: Final = tuple(
    _person(f"u{n:02}", 100 + n, ODDS if n % 2 else EVENS) for n in range(CROWD)
)
"""u00 to u49."""
SERVER: Final = _person("server", 90)
"""Whom a service runs as that is not root's."""
TOOR: Final = Person("toor", 0, 21003)
GIDZERO: Final = Person("gidzero", 21004, 0)
INROOT: Final = _person("inroot", 5, 0)
SYSTEM: Final = Person("system", 900, 21006)
LOWPRIMARY: Final = Person("lowprimary", 21007, 60)
LOWGROUP: Final = _person("lowgroup", 8, 60)
NOBODY: Final = Person("nobody", 65534, 65534)
OVERFLOW: Final = Person("overflow", 2**32 - 2, 21009)
NOGROUPPRIMARY: Final = Person("nogroupprimary", 21010, 65534)
INNOGROUP: Final = _person("innogroup", 11, 65534)

PLAIN: Final = (ALICE, BOB, *CROWD_OF)
"""Those whom handlers may run as."""
FORBIDDEN: Final = (
    TOOR,
    GIDZERO,
    INROOT,
    SYSTEM,
    LOWPRIMARY,
    LOWGROUP,
    NOBODY,
    OVERFLOW,
    NOGROUPPRIMARY,
    INNOGROUP,
)
"""Those whom nothing may run as, with the defaults."""


class People:
    """The users, present on this machine.

    Attributes:
        accounts: Their NTLM accounts; the file is `SERVER`'s.
        square: A folder where everybody may make files: mode 1777.
    """

    def __init__(self) -> None:
        """Make the users, in a namespace only."""
        assert is_inside()  # or /etc would be the machine's own
        self._passwd = _lines(Path("/etc/passwd"), _BASE_PASSWD)
        self._group = _lines(Path("/etc/group"), _BASE_GROUP)
        self._present = {each.name: each for each in (*PLAIN, SERVER, *FORBIDDEN)}
        self.accounts = _FOLDER / "accounts"
        self.square = _FOLDER / "square"
        _FOLDER.mkdir(mode=0o755)
        self.square.mkdir()
        self.square.chmod(0o1777)
        shutil.copy(shutil.which("id") or "id", SET_UID_ID)
        SET_UID_ID.chmod(0o6755)
        _replace(Path("/etc/nsswitch.conf"), _NSSWITCH)
        self._write()
        for person in self._present.values():
            self._furnish(person)
        self.accounts.write_text("".join(map(_account, self._present.values())))
        _give(self.accounts, SERVER, 0o600)

    @property
    def account_file(self) -> AccountFile:
        """The accounts, for `Server(accept=...)`."""
        return AccountFile(self.accounts)

    @contextmanager
    def without(self, person: Person) -> Generator[None]:
        """Delete a user, and bring it back afterwards.  Its home and account stay."""
        del self._present[person.name]
        self._write()
        try:
            yield
        finally:
            self._present[person.name] = person
            self._write()

    @contextmanager
    def changed(self, person: Person) -> Generator[None]:
        """Give the user of that name other ids and groups for a time."""
        before = self._present[person.name]
        self._present[person.name] = person
        self._write()
        try:
            yield
        finally:
            self._present[person.name] = before
            self._write()

    def open_kerberos(self, kdc: Kdc, *realm_lines: str) -> Path:
        """Have everybody on this machine be a client of a KDC.

        The KDC's own files are in a folder that is closed to others.

        Args:
            kdc: The KDC.
            realm_lines: More lines for its realm in krb5.conf, such as
                `auth_to_local = DEFAULT`.

        Returns:
            A keytab with the keys of the KDC's service; the file is `SERVER`'s.
        """
        text = kdc.krb5_config.read_text()
        head = f"    {kdc.realm} = {{\n"
        assert head in text
        more = "".join(f"        {line}\n" for line in realm_lines)
        _replace(Path("/etc/krb5.conf"), text.replace(head, head + more))
        keytab = _FOLDER / "service.keytab"
        shutil.copy(kdc.keytab_file, keytab)
        _give(keytab, SERVER, 0o600)
        return keytab

    def _write(self) -> None:
        people = self._present.values()
        ids = {str(each.uid) for each in people if each.uid}
        names = set(self._present)
        kept = [
            line
            for name, line in self._passwd.items()
            if name not in names and line.split(":")[2] not in ids
        ]
        _replace(Path("/etc/passwd"), "\n".join([*kept, *map(_user, people), ""]))
        _replace(Path("/etc/group"), "\n".join([*self._groups(people), ""]))

    def _groups(self, people: Iterable[Person]) -> list[str]:
        """Return the machine's groups and those of people, with their members."""
        taken = {*_NAMES.values(), *(each.name for each in people)}
        lines = {
            line.split(":")[2]: line
            for name, line in self._group.items()
            if name not in taken
        }
        members: dict[int, list[str]] = {}
        for each in people:
            members.setdefault(each.gid, [])
            for gid in each.more:
                members.setdefault(gid, []).append(each.name)
            if each.gid not in _NAMES and str(each.gid) not in lines:
                lines[str(each.gid)] = f"{each.name}:x:{each.gid}:"
        for gid, names in members.items():
            name, password, *_ = lines.get(str(gid), f"{_NAMES.get(gid)}:x").split(":")
            lines[str(gid)] = f"{name}:{password}:{gid}:{','.join(names)}"
        return list(lines.values())

    def _furnish(self, person: Person) -> None:
        if person is NOBODY:
            return
        person.home.mkdir()
        person.secret.write_text(f"of {person.name}")
        _give(person.secret, person, 0o600)
        _give(person.home, person, 0o700)


def _lines(path: Path, base: dict[str, str]) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if ":" in line]
    return base | {line.split(":")[0]: line for line in lines}


def _user(person: Person) -> str:
    ids = f"{person.uid}:{person.gid}"
    return f"{person.name}:x:{ids}::{person.home}:/bin/sh"


def _account(person: Person) -> str:
    return f"{DOMAIN}:{person.name}:{person.credentials.password}\n"


def _give(path: Path, person: Person, mode: int) -> None:
    os.chown(path, person.uid, person.gid)
    path.chmod(mode)


def _replace(path: Path, text: str) -> None:
    """Write a file at once: no look-up may find half of it."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)
