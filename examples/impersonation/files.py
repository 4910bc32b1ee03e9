"""Files, served to whom the kernel lets at them.

There is no rule in here of who may do what, and no check of a path.  Each handler runs
in a process of its caller's own, so the kernel asks for every file whether its caller
may have it, as it does in a shell.
"""

import os
import pwd
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from signetrpc.rpc import (
    Impersonation,
    RpcError,
    StatusCode,
    current_caller,
    method,
    service,
)


@dataclass(frozen=True, kw_only=True)
class Me:
    """Who a handler runs as, as the kernel says, and who called it."""

    principal: str
    user: str
    uid: int
    groups: list[int]
    process: int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file, as the kernel describes it."""

    name: str
    owner: str
    mode: str


@contextmanager
def passed_on() -> Generator[None]:
    """Let the caller have the kernel's answer.

    Any other exception of a handler ends as INTERNAL, and its text stays in the log.
    """
    try:
        yield
    except PermissionError as error:
        text = f"{error.strerror}: {error.filename}"
        raise RpcError(StatusCode.PERMISSION_DENIED, text) from error
    except FileNotFoundError as error:
        text = f"{error.strerror}: {error.filename}"
        raise RpcError(StatusCode.NOT_FOUND, text) from error


def entry(path: Path) -> Entry:
    """Return what the kernel says of a file."""
    found = path.lstat()
    return Entry(
        name=path.name,
        owner=pwd.getpwuid(found.st_uid).pw_name,
        mode=stat.filemode(found.st_mode),
    )


# REQUIRED: a server that would run these as itself refuses to start.
@service("files.Files", impersonate=Impersonation.REQUIRED)
class Files:
    """The machine's files, as far as they are the caller's."""

    @method
    async def whoami(self) -> Me:
        """Return who this handler runs as."""
        uid = os.getuid()
        return Me(
            principal=current_caller().principal,
            user=pwd.getpwuid(uid).pw_name,
            uid=uid,
            groups=os.getgroups(),
            process=os.getpid(),
        )

    @method
    def read(self, path: str) -> str:
        """Return what is in a file."""
        with passed_on():
            return Path(path).read_text()

    @method
    def write(self, path: str, text: str) -> Entry:
        """Write a file; a new one belongs to the caller."""
        with passed_on():
            Path(path).write_text(text)
            return entry(Path(path))

    @method
    def entries(self, path: str) -> list[Entry]:
        """Return what is in a folder."""
        with passed_on():
            return [entry(each) for each in sorted(Path(path).iterdir())]
