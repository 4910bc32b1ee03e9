"""What the connections of a server share, and what each keeps of a running call."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio

from signetrpc.transport import Protection
from signetrpc.transport._loops import Task

from ._assembly import Buffers
from ._context import CallContext
from ._handlers import BoundHandler, Handler

__all__ = ["Endpoint", "RunningCall", "Serving"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method bound to the object that serves it."""

    handler: Handler
    function: BoundHandler


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What all connections of a server share."""

    endpoints: Mapping[str, Endpoint]
    max_body_bytes: int
    max_calls: int
    buffers: Buffers
    threads: anyio.CapacityLimiter
    counted: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(math.inf)
    )
    """For threads that `threads` counts already."""


class RunningCall:
    """A call that has arrived and not ended."""

    __slots__ = ("context", "endpoint", "id", "level", "task")

    def __init__(
        self, call_id: int, level: Protection, endpoint: Endpoint, context: CallContext
    ) -> None:
        self.id = call_id
        self.level = level
        self.endpoint = endpoint
        self.context = context
        self.task: Task | None = None
