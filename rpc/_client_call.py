"""What is known of a call at the client, for those who have something to do with it."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from signetrpc.transport import Identity, Protection

from ._call_info import CallInfo
from ._metadata import Metadata, MetadataInput, metadata
from ._status import StatusCode
from .errors import RpcError

__all__ = ["ClientCall"]


class ClientCall:
    """A call as interceptors at the client see it, and may change it before it goes.

    Attributes:
        method: The full name, `bank.Accounts/balance`.
        protection: The level that the call is made with.  It can be raised; a method's
            own level is never lowered.
        timeout: Seconds the call may take, counted from `started`; None for as long as
            it likes.
        metadata: The pairs that go along; see `set_metadata`.
        wait_for_ready: Whether it waits for a server that cannot be reached; None for
            the channel's habit.
        started: When the caller called, on the clock of `time_left`.
        headers: What the server sent ahead of its answer, once the call got that far.
        trailers: What it sent at the end.
        status: How the call ended, CANCELLED where it was given up; None before.  Of a
            call that was made again, how it ended the last time.
    """

    __slots__ = (
        "_peer",
        "_time",
        "headers",
        "metadata",
        "method",
        "protection",
        "started",
        "status",
        "timeout",
        "trailers",
        "wait_for_ready",
    )

    def __init__(
        self,
        *,
        method: str,
        protection: Protection,
        timeout: float | None,
        metadata: Metadata,
        wait_for_ready: bool | None = None,
        time: Callable[[], float],
        peer: Callable[[], Identity],
    ) -> None:
        self.method = method
        self.protection = protection
        self.timeout = timeout
        self.metadata = metadata
        self.wait_for_ready = wait_for_ready
        self.started = time()
        self.headers: Metadata = ()
        self.trailers: Metadata = ()
        self.status: StatusCode | None = None
        self._time = time
        self._peer = peer

    @property
    def peer(self) -> Identity:
        """Who the server is, as the channel's last connection proved it."""
        return self._peer()

    def time_left(self) -> float | None:
        """Return the seconds until the deadline, at least 0; None if there is none."""
        if self.timeout is None:
            return None
        return max(0.0, self.started + self.timeout - self._time())

    def age(self) -> float:
        """Return the seconds since the caller called."""
        return self._time() - self.started

    def set_metadata(self, given: MetadataInput) -> None:
        """Send pairs along, instead of those that have the same keys.

        Setting them again, as for a call that is made again, changes nothing.

        If that is too much in all, the call fails when it is made.

        Raises:
            ValueError: A rule of metadata is broken.
        """
        pairs = metadata(given, None)
        keys = {key for key, _ in pairs}
        kept = [pair for pair in self.metadata if pair[0] not in keys]
        self.metadata = (*kept, *pairs)

    @contextmanager
    def attempt(self, info: CallInfo) -> Generator[CallInfo]:
        """Note how the call ends that is made in the block.

        Args:
            info: What comes beside the answer is put into it there.
        """
        self.status = None
        self.headers = self.trailers = info.headers = info.trailers = ()
        try:
            yield info
        except RpcError as error:
            self.status = error.status
            raise
        except BaseException:
            self.status = StatusCode.CANCELLED
            raise
        else:
            self.status = StatusCode.OK
        finally:
            self.headers, self.trailers = info.headers, info.trailers
