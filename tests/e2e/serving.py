"""A server as a process of its own: `python -m tests.e2e.serving OPTIONS`.

Prints its address, serves what the tests call until its input ends, and
logs to its error output.
"""

import json
import logging
import sys
from typing import Any, TypedDict

import anyio
import anyio.to_thread

from signetrpc.rpc import (
    AccountFile,
    DoorLimits,
    Keytab,
    Mechanism,
    Protection,
    SecurityPolicy,
    Server,
    ServerCredentials,
)
from tests.conformance.interop.connect_service import ConformanceService
from tests.conformance.interop.service import TestService
from tests.e2e.hops import Hop
from tests.e2e.ledger import Ledger
from tests.e2e.trial import Trial

__all__ = ["Options"]


class Options(TypedDict, total=False):
    """What a server is told, as JSON.

    `server` goes to `Server` as it is; `handshake_seconds`, `minimum` and
    `mechanisms` make its policy; `failures` is how many handshakes in a row may fail
    before the door closes, as many as a test likes by default.
    """

    flavour: str
    target: str
    accounts: str
    keytab: str
    principal: str
    delegate_to: list[str]
    minimum: str
    mechanisms: list[str]
    handshake_seconds: float
    failures: int
    server: dict[str, int]


def _policy(options: Options) -> SecurityPolicy:
    given: dict[str, Any] = {}
    if "mechanisms" in options:
        given["mechanisms"] = frozenset(map(Mechanism, options["mechanisms"]))
    if "minimum" in options:
        given["minimum_protection"] = Protection[options["minimum"]]
    if "handshake_seconds" in options:
        given["handshake_seconds"] = options["handshake_seconds"]
    return SecurityPolicy(**given)


def _accept(options: Options) -> list[ServerCredentials]:
    accept: list[ServerCredentials] = []
    if "accounts" in options:
        accept.append(AccountFile(options["accounts"]))
    if "keytab" in options:
        targets = tuple(options.get("delegate_to", ()))
        principal = options.get("principal")
        accept.append(Keytab(options["keytab"], principal, delegate_to=targets))
    return accept


async def _serve(options: Options) -> None:
    given: dict[str, Any] = options.get("server", {}).copy()
    server = Server(
        [Trial, Hop, TestService, ConformanceService, Ledger],
        accept=_accept(options),
        policy=_policy(options),
        # The tests are one address whose handshakes fail all the time.
        door=DoorLimits(failures=options.get("failures", 1_000_000)),
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
