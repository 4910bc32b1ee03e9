"""Who callers are on this machine and what they may call: files of the command line."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, assert_never

import msgspec

from signetrpc.rpc import (
    AccountFile,
    AuditRecord,
    AuthToLocal,
    DomainNames,
    Impersonation,
    Keytab,
    LinuxImpersonation,
    LocalUsers,
    MappingError,
    NameMapping,
    Rules,
    RulesError,
    ServerCredentials,
    UserTable,
    Winbind,
)
from signetrpc.rpc._handlers import ServiceDefinition

from ._exits import ExitCode, fail
from ._tls_files import check_file

__all__ = ["AuditFile", "caller_options", "runs_as"]


def caller_options(
    definitions: Sequence[ServiceDefinition],
    accept: Sequence[ServerCredentials],
    impersonate: bool,
    *,
    users: Path | None,
    authorize: Path | None,
    audit: Path | None,
) -> dict[str, Any]:
    """Return what the options mean to `Server`; exit if they do not fit.

    Args:
        definitions: Of what is served.
        accept: What callers are authenticated against.
        impersonate: Run handlers as their callers.
        users: A table of which local user a caller is.
        authorize: Rules of who may call what.
        audit: Where to tell of each call.
    """
    options: dict[str, Any] = {}
    rules = None
    if authorize is not None:
        options["authorize"] = rules = _rules(authorize, definitions)
    if impersonate:
        options["impersonate"] = LinuxImpersonation(mapping=_mapping(users, accept))
    elif rules is not None and rules.uses_groups:
        options["local_users"] = LocalUsers(_mapping(users, accept))
    elif users is not None:
        fail("--users needs --impersonate, or --authorize with rules about groups")
    if audit is not None:
        options["audit"] = AuditFile(audit)
    return options


def _rules(path: Path, definitions: Sequence[ServiceDefinition]) -> Rules:
    check_file(path)
    try:
        rules = Rules.from_toml(path)
        rules.check(name for each in definitions for name in each.handlers)
    except (OSError, RulesError) as error:
        fail(str(error))
    return rules


def _mapping(
    users: Path | None, accept: Sequence[ServerCredentials]
) -> list[NameMapping]:
    if users is not None:
        check_file(users)
        try:
            return [UserTable.from_file(users)]
        except (OSError, MappingError) as error:
            fail(str(error))
    rules: list[NameMapping] = []
    for each in accept:
        match each:
            case Keytab():
                rules.append(AuthToLocal())
            case Winbind():
                rules.append(DomainNames())
            case AccountFile():
                fail(
                    "no account of --ntlm-accounts is a user of this machine by itself",
                    hint="give --users FILE, which says who is: "
                    '[ntlm.CORP] and below it alice = "alice"',
                )
            case _:
                assert_never(each)
    return rules


def runs_as(definitions: Sequence[ServiceDefinition], *, impersonate: bool) -> str:
    """Return who the handlers run as; exit if one would have to run as its caller.

    Args:
        definitions: Of what is served.
        impersonate: True if the server runs handlers as their callers.
    """
    wanted = {
        name: handler.method.impersonate
        for each in definitions
        for name, handler in each.handlers.items()
    }
    itself = f"this process (uid {os.getuid()})" if os.name == "posix" else "itself"
    if not impersonate:
        for name, wish in wanted.items():
            if wish is Impersonation.REQUIRED:
                fail(f"{name} has to run as its caller", hint="add --impersonate")
        return f"handlers run as {itself}; --impersonate runs them as their callers"
    own = [name for name, wish in wanted.items() if wish is Impersonation.NOT_ALLOWED]
    if len(own) == len(wanted):
        return f"handlers run as {itself}: all methods are declared NOT_ALLOWED"
    also = f"; as {itself}: {', '.join(own)}" if own else ""
    return f"handlers run as their callers{also}"


class AuditFile:
    """Appends a line of JSON to a file for each call that has ended.

    A file that was moved away (by logrotate, for one) is not written to any longer.
    """

    _FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT

    def __init__(self, path: Path) -> None:
        """Open the file, or make one for its owner alone; exit if that cannot be."""
        self._path: Final = path
        try:
            self._open()
        except OSError as error:
            fail(f"cannot write {path}: {error.strerror}", code=ExitCode.FAILED)

    def __call__(self, record: AuditRecord) -> None:
        """Write a record.

        Raises:
            OSError: It cannot be written.
        """
        if self._moved():
            os.close(self._descriptor)
            self._open()
        os.write(self._descriptor, _json_line(record))

    def _open(self) -> None:
        self._descriptor = os.open(self._path, self._FLAGS, 0o600)

    def _moved(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptor))


def _json_line(record: AuditRecord) -> bytes:
    """Return a record as JSON, with names in place of the numbers of enums."""
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    values |= {"protection": record.protection.name, "status": record.status.name}
    return msgspec.json.encode(values) + b"\n"
