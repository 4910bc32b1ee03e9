"""The seventeen status codes a call can end with."""

from enum import IntEnum

__all__ = ["StatusCode"]


class StatusCode(IntEnum):
    """How a call ended: gRPC's codes, with gRPC's names and numbers.

    Source: https://grpc.github.io/grpc/core/md_doc_statuscodes.html.
    """

    OK = 0
    """The call succeeded."""
    CANCELLED = 1
    """The caller gave the call up."""
    UNKNOWN = 2
    """An error without a code of its own."""
    INVALID_ARGUMENT = 3
    """The arguments are wrong whatever the state of the server."""
    DEADLINE_EXCEEDED = 4
    """The time ran out; the call may have been carried out all the same."""
    NOT_FOUND = 5
    """Something that was asked for does not exist."""
    ALREADY_EXISTS = 6
    """Something that was to be made exists."""
    PERMISSION_DENIED = 7
    """The caller is known and may not do this, or asked at too weak a level."""
    RESOURCE_EXHAUSTED = 8
    """A quota or a limit is reached."""
    FAILED_PRECONDITION = 9
    """The server's state must change first; trying again will not help."""
    ABORTED = 10
    """A conflict with another call; start the whole transaction again."""
    OUT_OF_RANGE = 11
    """Past the end of what there is now."""
    UNIMPLEMENTED = 12
    """The server has no such method."""
    INTERNAL = 13
    """A bug: an invariant is broken."""
    UNAVAILABLE = 14
    """The server cannot be reached at the moment; try again."""
    DATA_LOSS = 15
    """Data is lost or damaged for good."""
    UNAUTHENTICATED = 16
    """The caller is not known."""
