"""What the connections of a server share, and what each keeps of a running call."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from signetrpc.transport import Protection
from signetrpc.transport._loops import Task

from ._assembly import Buffers
from ._audit import Audit
from ._authorization import Authorizer, authenticated
from ._chain import Chain
from ._context import CallContext
from ._crossing import Crossing
from ._error_registry import ErrorRegistry
from ._flow import CONNECTION_WINDOW
from ._handlers import BoundHandler, Handler
from ._inbox import Inbox
from ._keepalive import KeepalivePolicy
from ._metadata import DEFAULT_MAX_METADATA_BYTES
from ._outbox import Outbox

if TYPE_CHECKING:
    from ._relay import Relay, RelayLink
    from ._workers import Workers

__all__ = ["Endpoint", "RunningCall", "Serving"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method, and the object's own function that serves it.

    Attributes:
        handler: What is known of the method.
        function: Runs it here.
        relayed: True if it runs in the identity worker of its caller instead.
        chain: The interceptors around it, if there are any.
    """

    handler: Handler
    function: BoundHandler
    relayed: bool = False
    chain: Chain | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What all connections of a server share."""

    endpoints: Mapping[str, Endpoint]
    max_body_bytes: int
    max_calls: int
    buffers: Buffers
    threads: anyio.CapacityLimiter
    authorize: Authorizer = authenticated
    audit: Audit | None = None
    workers: "Workers | None" = None
    max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES
    window: int = CONNECTION_WINDOW
    keepalive: KeepalivePolicy | None = None
    errors: ErrorRegistry = field(default_factory=ErrorRegistry)
    counted: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(math.inf)
    )
    """For threads that `threads` counts already."""
    waiting: anyio.CapacityLimiter = field(init=False)
    """For those of them that may wait for a caller, as long as it likes: half."""

    def __post_init__(self) -> None:
        most = self.threads.total_tokens
        half = most if most == math.inf else max(1, int(most) // 2)
        object.__setattr__(self, "waiting", anyio.CapacityLimiter(half))


class RunningCall:
    """A call that has arrived and not ended.

    Attributes:
        task: What runs its handler here.
        relay: What passes it to its caller's identity worker.
        link: The way to the worker, once it has been passed on.
        inbox: Where the caller's items wait; for arguments in parts, what counts them.
        outbox: Where items of the result, or its parts, are sent.
        answering: True while a reply is on its way in parts.
        begun: True once a task has begun to run its handler; None if it is not to.
        crossing: Of a relayed call: what caller and worker may say next.
    """

    __slots__ = (
        "answering",
        "begun",
        "context",
        "crossing",
        "endpoint",
        "id",
        "inbox",
        "level",
        "link",
        "outbox",
        "relay",
        "task",
    )

    def __init__(
        self, call_id: int, level: Protection, endpoint: Endpoint, context: CallContext
    ) -> None:
        self.id = call_id
        self.level = level
        self.endpoint = endpoint
        self.context = context
        self.task: Task | None = None
        self.relay: Relay | None = None
        self.link: RelayLink | None = None
        self.inbox: Inbox | None = None
        self.outbox: Outbox | None = None
        self.answering = False
        self.begun: bool | None = False
        self.crossing: Crossing | None = None

    def close(self, error: Callable[[], Exception]) -> None:
        """Let its streams end with an error, for whoever still reads or writes."""
        if self.inbox is not None:
            self.inbox.fail(error)
        if self.outbox is not None:
            self.outbox.close(error)
