"""A server that signals drain: `python -m tests.e2e.signalled BACKEND GRACE FOLDER`.

Prints its address, `begun` when a call waits, and `over` when it has ended.  A call
waits for a line of input.
"""

import signal
import sys
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread

from signetrpc.rpc import Protection, Server, method, service
from tests.support.negotiation import account_file

__all__ = ["Slow"]

_go: anyio.Event


@service("test.Signalled", protection=Protection.SIGN)
class Slow:
    """A call that goes on until the test says."""

    @method
    async def wait(self) -> int:
        print("begun", flush=True)
        await _go.wait()
        return 2


async def _serve(grace: float, folder: str) -> None:
    global _go
    _go = anyio.Event()
    server = Server([Slow], accept=[account_file(Path(folder))])

    async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
        await server.serve(
            "tcp://127.0.0.1:0",
            drain_on=[signal.SIGTERM],
            grace=grace,
            task_status=task_status,
        )
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        print(await group.start(serve), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        _go.set()
    print("over", flush=True)


if __name__ == "__main__":
    anyio.run(_serve, float(sys.argv[2]), sys.argv[3], backend=sys.argv[1])
