"""What a service, its template process and its identity workers say to each other.

Each message is one packet over a local socket of its own.  What comes from a worker is
a stranger's word: its types and lengths are checked while it is read.
"""

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from signetrpc.transport import (
    Channel,
    DelegatedCredential,
    Identity,
    LocalUser,
    Protection,
    SecurityPolicy,
)

from ._metadata import DEFAULT_MAX_METADATA_BYTES

__all__ = [
    "LINK_POLICY",
    "MAX_PACKET_BYTES",
    "Begin",
    "Ended",
    "Failed",
    "Fork",
    "Kill",
    "Log",
    "NewLink",
    "Ready",
    "Refused",
    "Running",
    "Setup",
    "ToWorker",
    "encode",
    "link_channel",
    "read_from_template",
    "read_from_worker",
    "read_to_template",
    "read_to_worker",
]

MAX_PACKET_BYTES: Final = 160 * 1024
"""A caller's ticket has up to 64 KiB; the kernel's default takes 208 KiB."""

LINK_POLICY: Final = SecurityPolicy()
"""Of the sessions between service and worker: no call below SIGN is impersonated."""

T = TypeVar("T")


def link_channel(peer: Identity) -> Channel:
    """Return what carries such a session: a socket pair that nobody else holds.

    A handler is told at which level its call came over the network.
    """
    return Channel(provides=Protection.SEAL, peer=peer, keeps_levels=True)


class _Packet(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """An array of exactly its elements."""


class Setup(_Packet, tag="setup"):
    """To the template: what its workers serve, and how.

    Attributes:
        offer: An `Offer`, pickled.
        search_path: `sys.path`.
        main_module: The main module's name where it was run by name, else empty.
        main_path: Its file where it was run as a file, else empty.
        backend: The event loop: `asyncio`, `uvloop` or `trio`.
        log_level: Records below it stay in the worker.
    """

    offer: bytes
    search_path: list[str]
    main_module: str
    main_path: str
    backend: str
    max_body_bytes: int
    max_calls: int
    max_threads: int
    max_memory_bytes: int
    log_level: int
    max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES


class Fork(_Packet, tag="fork"):
    """To the template, with the worker's end of its control socket: make a worker.

    Nothing secret is in it: what the template has read is in the memory of every worker
    that it forks afterwards.

    Attributes:
        id: The worker's number in later messages.
        user: Who it becomes.
        folder: Where the credential cache goes; made by the worker, removed at its end.
    """

    id: int
    user: LocalUser
    folder: str


class Kill(_Packet, tag="kill"):
    """To the template: end a worker and what it has started."""

    id: int


class Ready(_Packet, tag="ready"):
    """From the template: workers can be made."""


class Failed(_Packet, tag="failed"):
    """From the template: no worker can be made, and why."""

    text: str


class Ended(_Packet, tag="ended"):
    """From the template: a worker is gone; `status` is that of `waitpid`."""

    id: int
    status: int


class Begin(_Packet, tag="begin"):
    """To a worker, before anything else, for it alone.

    Attributes:
        credential: The caller's, where it delegated one.
    """

    credential: DelegatedCredential | None


class NewLink(_Packet, tag="link"):
    """To a worker, with a socket: serve this caller's calls there."""

    caller: Identity


_Text = Annotated[str, Meta(max_length=32 * 1024)]


class Running(_Packet, tag="running"):
    """From a worker: it is the user it was to be, and can serve."""


class Refused(_Packet, tag="refused"):
    """From a worker: it cannot serve, and why."""

    text: _Text


class Log(_Packet, tag="log"):
    """From a worker: a record for the log."""

    logger: Annotated[str, Meta(max_length=256)]
    level: Annotated[int, Meta(ge=0, le=100)]
    text: _Text
    lost: Annotated[int, Meta(ge=0)] = 0


FromTemplate = Ready | Failed | Ended
ToTemplate = Setup | Fork | Kill
FromWorker = Running | Refused | Log
ToWorker = Begin | NewLink

encode: Final = msgspec.msgpack.Encoder().encode


def _reader(decode: Callable[[bytes], T]) -> Callable[[bytes], T]:
    def read(data: bytes) -> T:
        try:
            return decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"malformed packet: {error}") from error

    return read


# Each raises ValueError for a packet that is none of its kind.
_from_template: Callable[[bytes], FromTemplate] = msgspec.msgpack.Decoder(
    FromTemplate
).decode
read_from_template: Final = _reader(_from_template)
_to_template: Callable[[bytes], ToTemplate] = msgspec.msgpack.Decoder(ToTemplate).decode
read_to_template: Final = _reader(_to_template)
_from_worker: Callable[[bytes], FromWorker] = msgspec.msgpack.Decoder(FromWorker).decode
read_from_worker: Final = _reader(_from_worker)
_to_worker: Callable[[bytes], ToWorker] = msgspec.msgpack.Decoder(ToWorker).decode
read_to_worker: Final = _reader(_to_worker)
