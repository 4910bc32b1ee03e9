"""What a server offers, in a form that another process can make it from."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ._chain import chained
from ._decorators import service_definition
from ._impersonation import Impersonation
from ._interceptors import Interceptor
from ._serving import Endpoint
from .errors import SchemaError

__all__ = ["Offer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What runs in identity workers, which import it.

    Attributes:
        services: Classes, or functions that make an object of one.
        interceptors: The code around each call, the outermost first.
        errors: What callers learn of exceptions; see `ErrorRegistry`.
    """

    services: Sequence[object]
    interceptors: Sequence[Interceptor] = ()
    errors: Mapping[type[Exception], Any] = field(
        default_factory=dict[type[Exception], Any]
    )

    def packed(self) -> bytes:
        """Return it pickled, by the names of what is in it.

        Raises:
            SchemaError: Something is an object, or not to be found by its name.
        """
        for each in self.services:
            if not callable(each):
                raise SchemaError(
                    f"{type(each).__name__}: an object cannot serve as its callers, "
                    "each of whom needs one of its own",
                    "give the class, or a function that makes one",
                )
        try:
            return pickle.dumps(self)
        except Exception as error:
            raise SchemaError(
                f"identity workers cannot import what is served: {error}",
                "give classes or functions of a module, or functools.partial of one",
            ) from error

    def endpoints(self) -> dict[str, Endpoint]:
        """Make the services' objects, and return what may run as its caller."""
        found: dict[str, Endpoint] = {}
        for make in self.services:
            instance = cast("Callable[[], object]", make)()
            for name, handler in service_definition(type(instance)).handlers.items():
                method = handler.method
                if method.impersonate is not Impersonation.NOT_ALLOWED:
                    chain = chained(self.interceptors, method.kind)
                    function = handler.bind(instance)
                    found[name] = Endpoint(handler, function, chain=chain)
        return found
