"""The errors of calls and of interface definitions.

    Exception
      RpcError(status, message, details)   a call ended with another status than OK
        DeadlineExceeded                   ... its time ran out; also a TimeoutError
        NotCarriedOut                      ... the server went before it took the call
        DeclaredError                      ... by an error of the interface's own
      SchemaError(message, hint)           an interface is wrong: fix the code
      ImpersonationError                   handlers cannot run as their callers here

A handler raises `RpcError` to end its call with a status; a caller catches it and
looks at `status`.
"""

from collections.abc import Callable, Mapping, Sequence

from ._details import Detail
from ._metadata import Metadata, MetadataInput, metadata
from ._status import StatusCode

__all__ = [
    "DeadlineExceeded",
    "DeclaredError",
    "ImpersonationError",
    "NotCarriedOut",
    "RpcError",
    "SchemaError",
    "rpc_error",
]


class RpcError(Exception):
    """A call that ended with a status other than OK.

    Attributes:
        status: The status code.
        message: For people; may be empty. It travels to the caller as it is, so it
            must not name a secret.
        trailers: Metadata that accompanies the status.
        details: What else there is to say, typed; see `signetrpc.rpc.details`.
    """

    status: StatusCode
    message: str
    trailers: Metadata
    details: tuple[Detail, ...] = ()

    def __init__(
        self,
        status: StatusCode,
        message: str = "",
        *,
        trailers: MetadataInput | None = None,
        details: Sequence[Detail] = (),
    ) -> None:
        """Make an error.

        Args:
            status: Any code but OK.
            message: For people.
            trailers: Metadata for the caller, under the rules of `Metadata`.
            details: For programs.  Those over 16, or over 16 KiB together, are
                left out, and the server's log says so.

        Raises:
            ValueError: The status is OK or no status at all, or a rule of metadata is
                broken.
        """
        super().__init__(message)
        self.status = StatusCode(status)
        if self.status is StatusCode.OK:
            raise ValueError("OK is not an error")
        self.message = message
        self.trailers = metadata(trailers, None)  # it may not be the server's own
        self.details = tuple(details)

    def __str__(self) -> str:
        if not self.message:
            return self.status.name
        return f"{self.status.name}: {self.message}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.status.name}, {self.message!r})"

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        # Subclasses may have constructors of their own; a copy needs none of them.
        return _restored, (type(self), self.args, dict(self.__dict__))


class DeadlineExceeded(RpcError, TimeoutError):
    """The call's time ran out.

    Also a `TimeoutError`, so that code which waits for several kinds of things needs
    to know only one.
    """

    def __init__(
        self,
        message: str = "the deadline passed",
        *,
        trailers: MetadataInput | None = None,
        details: Sequence[Detail] = (),
    ) -> None:
        """Make an error with status DEADLINE_EXCEEDED."""
        super().__init__(
            StatusCode.DEADLINE_EXCEEDED, message, trailers=trailers, details=details
        )


class NotCarriedOut(RpcError):
    """The server went away before it took the call: nothing of it has run.

    It is made again by itself on another connection, once, unless items of a stream
    were sent with it.
    """

    def __init__(
        self, message: str = "the server goes, and did not take the call"
    ) -> None:
        """Make an error with status UNAVAILABLE."""
        super().__init__(StatusCode.UNAVAILABLE, message)


class DeclaredError(RpcError):
    """The base of the errors that an interface declares; see `declared_error`."""

    def __init__(self) -> None:
        """Refuse: the decorator gives each class the constructor of its fields."""
        raise TypeError(
            f'{type(self).__name__} is not declared: write @declared_error("...")'
        )


class SchemaError(Exception):
    """An interface that cannot be: found while a class is decorated or text is read.

    Attributes:
        message: What is wrong and where: service, method, parameter, type.
        hint: What to do about it; may be empty.
    """

    message: str
    hint: str

    def __init__(self, message: str, hint: str = "") -> None:
        """Make an error from what is wrong and what to do about it."""
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class ImpersonationError(Exception):
    """Handlers cannot run as their callers: the text says what is missing.

    Raised when a server starts.
    """


def rpc_error(
    status: StatusCode,
    message: str = "",
    trailers: MetadataInput | None = None,
    details: Sequence[Detail] = (),
) -> RpcError:
    """Return the error of the fitting class for a status.

    Args:
        status: Any code but OK.
        message: For people.
        trailers: Metadata that accompanies the status.
        details: What else there is to say.

    Returns:
        A `DeadlineExceeded` for DEADLINE_EXCEEDED, else an `RpcError`.
    """
    if status == StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(message, trailers=trailers, details=details)
    return RpcError(status, message, trailers=trailers, details=details)


def _restored(
    cls: type[RpcError], args: tuple[object, ...], state: Mapping[str, object]
) -> RpcError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error
