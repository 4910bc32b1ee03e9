"""The service's end of a worker's control socket: what it is told, and what it says.

What comes from there is a stranger's word; only to begin with it is waited for.
"""

import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import anyio

from signetrpc.transport import (
    ANONYMOUS,
    DelegatedCredential,
    Identity,
    TransportError,
    open_channel,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._sockets import pipe_over

from ._packets import packet_pair
from ._worker_log import Allowance, log_record, safe
from ._worker_messages import (
    LINK_POLICY,
    Begin,
    Log,
    NewLink,
    Refused,
    Running,
    encode,
    link_channel,
    read_from_worker,
)

__all__ = ["WorkerControl"]

_log: Final = logging.getLogger("signetrpc.rpc")


class WorkerControl:
    """One worker's.

    Attributes:
        packets: The socket.
        far: The worker's end, to be given away and closed.
    """

    def __init__(self, worker: object, time: Callable[[], float]) -> None:
        """Make both ends.

        Args:
            worker: Who is at the other end, for the log.
            time: A monotonic clock.
        """
        self._worker = worker
        self._time = time
        self._allowance = Allowance()
        self.packets, self.far = packet_pair()

    def begin(self, credential: DelegatedCredential | None) -> None:
        """Say what is for the worker alone; it waits there for it.

        Raises:
            OSError: There is no room for it.
        """
        self.packets.send(encode(Begin(credential)))

    async def first_word(self) -> bool:
        """Wait until the worker can serve; False if it cannot.

        Raises:
            OSError: It cannot be heard.
            ValueError: It says what no worker does.
        """
        while True:
            message = await self._hear()
            if isinstance(message, Refused):
                text = safe(message.text)
                _log.error("%s cannot serve: %s", self._worker, text)
            if not isinstance(message, Log):
                return isinstance(message, Running)
            self._note(message)

    async def listen(self) -> None:
        """Log what it says, until it ends.

        Raises:
            OSError: It cannot be heard.
            ValueError: It says what no worker does, or not then.
        """
        while (message := await self._hear()) is not None:
            if isinstance(message, Refused):
                _log.error("%s gave up: %s", self._worker, safe(message.text))
                return
            if not isinstance(message, Log):
                raise ValueError(f"{type(message).__name__} at the wrong moment")
            self._note(message)
            if self._allowance.refused:
                # What does not fit waits with it, and is counted there.
                await anyio.sleep(1)

    async def _hear(self) -> Running | Refused | Log | None:
        data, _ = await self.packets.receive()
        return read_from_worker(data) if data else None

    def _note(self, message: Log) -> None:
        log_record(str(self._worker), message, self._allowance, self._time())

    async def link(self, caller: Identity, seconds: float) -> Link:
        """Open a connection to the worker, for a caller's calls.

        Raises:
            OSError: The worker does not take it, or not in so many seconds.
            TransportError: It does otherwise than it should.
        """
        near, far = socket.socketpair()
        try:
            with far:
                told = replace(caller, delegated=None)
                self.packets.send(encode(NewLink(told)), far.fileno())
            pipe = await pipe_over(near)
            with anyio.fail_after(seconds):
                return await open_channel(
                    pipe,
                    link_channel(ANONYMOUS),
                    initiator=True,
                    policy=LINK_POLICY,
                    start=anyio.current_time(),
                )
        except (OSError, TransportError):
            near.close()
            raise

    def close(self) -> None:
        """Close this end, which tells the worker to end.  Nobody may be listening."""
        self.packets.close()
