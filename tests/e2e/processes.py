"""Servers and clients as processes of their own."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self, Unpack

import anyio

from signetrpc.rpc import (
    Channel,
    ClientCredentials,
    Password,
    SecurityPolicy,
    connect,
)
from tests.e2e.serving import Options
from tests.support.kdc import SERVICE
from tests.support.negotiation import ALICE

__all__ = ["FLAVOURS", "PATIENCE", "ServerProcess", "connected", "start_module"]

ROOT = Path(__file__).parent.parent.parent

FLAVOURS = ["asyncio", "trio"]
"""The event loops that a server runs on."""
if importlib.util.find_spec("uvloop") is not None:
    FLAVOURS.append("uvloop")

PATIENCE = 60.0
"""Seconds after which a test that waits is a test that hangs."""

# What Python says when something was left lying about.
_LITTER = ("never retrieved", "Exception ignored", "ResourceWarning", "never awaited")


def start_module(
    module: str, *arguments: str, env: Mapping[str, str] | None, errors: IO[str]
) -> "subprocess.Popen[str]":
    """Start a module of the tests in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "always::ResourceWarning", "-m", module, *arguments],
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )


class ServerProcess:
    """A server in a process of its own.  A context manager, which stops it.

    Attributes:
        address: Where it listens, as text for `connect`.
    """

    def __init__(
        self, *, env: Mapping[str, str] | None = None, **options: Unpack[Options]
    ) -> None:
        """Start it and wait until it listens.

        Args:
            env: Its environment; None for this process's.
            options: See `Options`.
        """
        self._options = options
        self._log = tempfile.TemporaryFile("w+")
        self._process = start_module(
            "tests.e2e.serving", json.dumps(options), env=env, errors=self._log
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, self.log()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.address.rpartition(":")[2])

    def log(self) -> str:
        """Return what it has logged until now."""
        self._log.seek(0)
        return self._log.read()

    def kill(self) -> None:
        """End it without warning, as a crash would."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """End it in an orderly way; it must leave nothing lying about."""
        self._process.communicate()
        log = self.log()
        assert self._process.returncode == 0, log
        for litter in _LITTER:
            assert litter not in log, log

    def close(self) -> None:
        """Be sure that it has ended, after `kill` too."""
        if self._process.poll() is None:
            self.stop()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()
            self._log.close()


@asynccontextmanager
async def connected(
    address: str,
    *,
    credentials: ClientCredentials = ALICE,
    policy: SecurityPolicy | None = None,
    service_principal: str | None = None,
    default_timeout: float = 30.0,
) -> AsyncGenerator[Channel]:
    """Connect to a server; fail the test if it takes for ever.

    Args:
        address: `ServerProcess.address`, or a proxy's.
        credentials: NTLM's alice, unless told otherwise.
        policy: As for `connect`.
        service_principal: As for `connect`; the KDC's service by default, unless
            the credentials are for NTLM alone.
        default_timeout: As for `connect`.
    """
    ntlm = isinstance(credentials, Password) and credentials.principal is None
    if service_principal is None and not ntlm:
        service_principal = SERVICE
    with anyio.fail_after(PATIENCE):
        async with connect(
            address,
            credentials=credentials,
            policy=policy or SecurityPolicy(),
            service_principal=service_principal,
            default_timeout=default_timeout,
        ) as channel:
            yield channel
