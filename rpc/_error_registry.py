"""What callers learn of exceptions that handlers let out.

An `RpcError` is meant for the caller and goes to it.  Anything else is the server's own
business: INTERNAL, with no word of it on the wire, unless the user says that exceptions
of a class mean something to callers.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from ._status import StatusCode
from .errors import RpcError

__all__ = ["ErrorMapper", "ErrorMapping", "ErrorRegistry"]

ErrorMapper: TypeAlias = Callable[[Any], RpcError]
"""Returns what the caller gets in the place of an exception."""

ErrorMapping: TypeAlias = Mapping[type[Exception], StatusCode | ErrorMapper]
"""Which exceptions mean what to callers."""

_NOTHING: Final[ErrorMapping] = MappingProxyType({})


class ErrorRegistry:
    """The mapped exceptions of a server."""

    def __init__(self, mapping: ErrorMapping = _NOTHING) -> None:
        """Take the mapping.

        Args:
            mapping: By class.  With a status alone the caller learns the status and
                the name of the class, never the exception's own text: that may hold
                anything.  A function, which travels to callers' processes by its name,
                says what else may be known.

        Raises:
            TypeError: A key is no class of exceptions, or a value neither a status nor
                a function.
            ValueError: A status is OK.
        """
        for cls, how in mapping.items():
            given = cast("object", cls)
            if not isinstance(given, type) or not issubclass(given, Exception):
                raise TypeError(f"{given!r} is no class of exceptions")
            if isinstance(how, StatusCode):
                if how is StatusCode.OK:
                    raise ValueError(f"{cls.__name__}: OK is not an error")
            elif not callable(how):
                raise TypeError(f"{cls.__name__}: {how!r} is no status and no function")
        self._mapping = dict(mapping)

    @property
    def mapping(self) -> ErrorMapping:
        """What it was made of."""
        return MappingProxyType(self._mapping)

    def of(self, error: Exception) -> RpcError | None:
        """Return what the caller gets for an exception; None if it is not mapped.

        The most specific class decides: that of the exception itself, then its bases
        in the order of its `__mro__`.

        Raises:
            Exception: What the function raised.
            TypeError: It returned something else than an `RpcError`.
        """
        if not self._mapping:
            return None
        for cls in type(error).__mro__:
            how = self._mapping.get(cls)
            if isinstance(how, StatusCode):
                return RpcError(how, f"the handler raised {cls.__name__}")
            if how is not None:
                made = cast("object", how(error))
                if not isinstance(made, RpcError):
                    raise TypeError(
                        f"the function for {cls.__name__} returned a "
                        f"{type(made).__name__}, not an RpcError"
                    )
                return made
        return None
