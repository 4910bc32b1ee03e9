"""Interceptors: a log and counts, for either side; and a token, a class for each side.

Each is of the simple form, something before a call and something after.  So each is
around calls of all four kinds.
"""

import hmac
import logging
from collections import Counter, defaultdict

from signetrpc.rpc import CallContext, ClientCall, RpcError, StatusCode

Call = CallContext | ClientCall
"""A call as the server sees it, or as the client does."""


def status_of(error: Exception | None) -> StatusCode:
    """Return the status that a call ended with."""
    match error:
        case None:
            return StatusCode.OK
        case RpcError():
            return error.status
        case _:
            return StatusCode.INTERNAL


class CallLog:
    """Logs each call and how it ended; not what it says, which may be secret."""

    def __init__(self, name: str) -> None:
        """Log to the logger of that name."""
        self._log = logging.getLogger(name)

    async def on_start(self, call: Call) -> None:
        """Wait for the end, which says it all."""

    async def on_end(self, _: None, call: Call, error: Exception | None) -> None:
        """Log it."""
        self._log.info("%s for %s: %s", call.method, _who(call), status_of(error).name)


def _who(call: Call) -> str:
    return call.caller.name if isinstance(call, CallContext) else "me"


class CallCounts:
    """Counts calls by method and status, and the time they took.

    Attributes:
        calls: How many, by method and status.
        seconds: How long all calls of a method took together.
    """

    def __init__(self) -> None:
        """Count from zero."""
        self.calls: Counter[tuple[str, StatusCode]] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)

    async def on_start(self, call: Call) -> None:
        """Wait for the end."""

    async def on_end(self, _: None, call: Call, error: Exception | None) -> None:
        """Count it."""
        self.calls[call.method, status_of(error)] += 1
        self.seconds[call.method] += call.age()


class TokenCheck:
    """At the server: lets calls through that bring the token."""

    def __init__(self, token: str) -> None:
        """Know the token."""
        self._token = token.encode()

    async def on_start(self, call: CallContext) -> None:
        """Refuse the call, or let it go on."""
        given = dict(call.metadata).get("token-bin", b"")
        # Not ==, which takes longer the more of it is right.
        if not isinstance(given, bytes) or not hmac.compare_digest(given, self._token):
            raise RpcError(
                StatusCode.PERMISSION_DENIED, "the token is missing or wrong"
            )

    async def on_end(self, _: None, call: CallContext, error: Exception | None) -> None:
        """Leave it at that."""


class TokenGiver:
    """At the client: sends the token along."""

    def __init__(self, token: str) -> None:
        """Know the token."""
        self._token = token.encode()

    async def on_start(self, call: ClientCall) -> None:
        """Add it."""
        call.set_metadata({"token-bin": self._token})

    async def on_end(self, _: None, call: ClientCall, error: Exception | None) -> None:
        """Leave it at that."""
