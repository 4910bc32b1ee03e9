"""A server as a process of its own: `python -m tests.impersonation.serving OPTIONS`.

Prints its address, serves until its input ends, and logs to its error output.
"""

import importlib
import json
import logging
import sys
from typing import Any, TypedDict

import anyio
import anyio.to_thread

from signetrpc.rpc import (
    AccountFile,
    AuthToLocal,
    DoorLimits,
    Keytab,
    LinuxImpersonation,
    Mechanism,
    SecurityPolicy,
    Server,
    ServerCredentials,
    UserTable,
)
from tests.support.people import DOMAIN, PLAIN

__all__ = ["Options"]


class Options(TypedDict, total=False):
    """What a server is told, as JSON.

    `services` and `interceptors` are classes or functions as `module:name`.
    `impersonation` goes to `LinuxImpersonation`; its `mapping` is a table of (name in
    the domain PEOPLE, local user), by default of each plain person as itself, before
    `AuthToLocal()`.  None: no impersonation.  `errors` is the server's mapping of them
    as `module:name`.  `server` goes to `Server` as it is.
    """

    services: list[str]
    interceptors: list[str]
    flavour: str
    target: str
    accounts: str
    keytab: str
    delegate_to: list[str]
    errors: str
    impersonation: dict[str, Any] | None
    server: dict[str, Any]


def _found(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _accept(options: Options) -> list[ServerCredentials]:
    accept: list[ServerCredentials] = []
    if "accounts" in options:
        accept.append(AccountFile(options["accounts"]))
    if "keytab" in options:
        targets = tuple(options.get("delegate_to", ()))
        accept.append(Keytab(options["keytab"], delegate_to=targets))
    return accept


def _impersonation(options: Options) -> LinuxImpersonation | None:
    asked = options.get("impersonation", {})
    if asked is None:
        return None
    given = dict(asked)
    themselves = {each.name: each.name for each in PLAIN}
    table: dict[str, str] = given.pop("mapping", themselves)
    users = {
        (Mechanism.NTLM, DOMAIN, name): local_name for name, local_name in table.items()
    }
    return LinuxImpersonation(mapping=[UserTable(users), AuthToLocal()], **given)


async def _serve(options: Options) -> None:
    given: dict[str, Any] = options.get("server", {})
    server = Server(
        [_found(name) for name in options.get("services", [])],
        accept=_accept(options),
        policy=SecurityPolicy.allow_ntlm(),
        door=DoorLimits(failures=1_000_000),
        impersonate=_impersonation(options),
        interceptors=[_found(name)() for name in options.get("interceptors", [])],
        errors=_found(options["errors"]) if "errors" in options else None,
        **given,
    )
    async with anyio.create_task_group() as group:
        target = options.get("target", "tcp://127.0.0.1:0")
        print(await group.start(server.serve, target), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        group.cancel_scope.cancel()


def _main() -> None:
    options: Options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    flavour = options.get("flavour", "asyncio")
    anyio.run(
        _serve,
        options,
        backend="trio" if flavour == "trio" else "asyncio",
        backend_options={"use_uvloop": True} if flavour == "uvloop" else {},
    )


if __name__ == "__main__":
    _main()
