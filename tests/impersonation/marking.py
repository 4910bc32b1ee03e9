"""An interceptor that tells which process it runs in, and for whom."""

import os

from signetrpc.rpc import (
    CallContext,
    RpcError,
    StatusCode,
    current_caller,
)

__all__ = ["Marking"]


class Marking:
    """Marks each call with a user's number, and refuses those that ask for it."""

    def __init__(self) -> None:
        self.calls = 0

    async def on_start(self, context: CallContext) -> int:
        """Refuse, or return the number of the call in this process."""
        if ("refuse", "yes") in context.metadata:
            name = current_caller().name
            raise RpcError(StatusCode.PERMISSION_DENIED, f"{os.getuid()} {name}")
        self.calls += 1
        return self.calls

    async def on_end(
        self, number: int, context: CallContext, error: Exception | None
    ) -> None:
        """Mark it."""
        mark = f"{os.getuid()} {os.getpid()} {number}"
        context.set_trailers([*context.trailers, ("mark", mark)])
