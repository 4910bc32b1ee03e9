"""`@service` and `@method`: how an interface is declared."""

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Final, TypeVar, overload

from signetrpc.transport._protection import Protection

from ._extract import METHOD_MARK, MethodMark, extract
from ._handlers import ServiceDefinition
from ._impersonation import Impersonation
from .errors import DeclaredError, SchemaError

__all__ = ["method", "service", "service_definition"]

F = TypeVar("F", bound=Callable[..., object])
C = TypeVar("C")

_SERVICE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
_MAX_NAME_CHARACTERS = 200
_DEFINITION: Final = "__signet_service__"
_DECLARED: Final = "__signet_declared__"


def service(
    name: str,
    *,
    protection: Protection = Protection.SEAL,
    impersonate: Impersonation = Impersonation.ALLOWED,
) -> Callable[[type[C]], type[C]]:
    """Declare a class to be a service.

    Args:
        name: The full name that callers use, `bank.Accounts`: letters, digits and
            underscores, with dots between the parts.
        protection: The level of the methods that declare none.
        impersonate: Whose rights the methods run with that do not say.

    Returns:
        A decorator that returns the class itself.

    Raises:
        SchemaError: The name is none, or something about the class cannot be an
            interface. Raised while the class is defined; it names the method, the
            parameter and the type.
    """
    if isinstance(name, type):
        raise SchemaError(
            f"@service on {name.__name__} has no name",
            f'write @service("package.{name.__name__}")',
        )
    if not _SERVICE_NAME.fullmatch(name) or len(name) > _MAX_NAME_CHARACTERS:
        raise SchemaError(
            f"service name {name[:_MAX_NAME_CHARACTERS]!r} cannot travel",
            f"like bank.Accounts, at most {_MAX_NAME_CHARACTERS} characters",
        )
    _check_protection(protection, name)
    _check_impersonation(impersonate, name)

    def decorate(cls: type[C]) -> type[C]:
        if not inspect.isclass(cls):
            raise SchemaError(f"{name}: @service is for classes")
        setattr(cls, _DECLARED, (name, protection, impersonate))
        setattr(cls, _DEFINITION, extract(cls, name, protection, impersonate))
        return cls

    return decorate


@overload
def method(function: F, /) -> F: ...
@overload
def method(
    protection: Protection | None = None,
    /,
    *,
    impersonate: Impersonation | None = None,
    inline: bool = False,
    errors: Sequence[type[DeclaredError]] = (),
) -> Callable[[F], F]: ...
@overload
def method(
    *,
    protection: Protection | None = None,
    impersonate: Impersonation | None = None,
    inline: bool = False,
    errors: Sequence[type[DeclaredError]] = (),
) -> Callable[[F], F]: ...
def method(
    first: Any = None,
    /,
    *,
    protection: Protection | None = None,
    impersonate: Impersonation | None = None,
    inline: bool = False,
    errors: Sequence[type[DeclaredError]] = (),
) -> Any:
    """Declare a method of a service class to be callable from afar.

    Use it bare, as `@method(Protection.SIGN)` or with names. Every parameter and the
    result need types that travel (docs/types.md).

    A parameter that is an AsyncIterator takes the caller's stream; a method that yields
    gives one. In a plain `def`, which runs in a thread, they are Iterators:

        @method
        async def total(self, numbers: AsyncIterator[int]) -> int: ...

        @method
        def watch(self, account: str) -> Iterator[Entry]: ...

        @method
        async def chat(self, texts: AsyncIterator[str]) -> AsyncIterator[str]: ...

    Args:
        first: The method itself, where the decorator stands bare, or the protection.
        protection: The level below which the method cannot be called. Without one it
            is the service's default, which is SEAL unless the service says otherwise.
        impersonate: Whose rights the method runs with: its caller's or the server's.
            Without one it is the service's default, which is ALLOWED unless the service
            says otherwise.
        inline: For a plain `def`: a promise not to block, so that the method runs where
            the call arrives and not in a thread. A method that breaks the promise
            stops every call of the server.
        errors: What the method raises that its callers get as the same class: classes
            declared with `@declared_error`.

    Raises:
        SchemaError: What is decorated is not a method, or what is asked for is
            impossible.
    """
    if isinstance(first, Impersonation):
        raise SchemaError(
            "@method: impersonation goes by name",
            f"write @method(impersonate={first})",
        )
    if first is not None and not isinstance(first, Protection | int | str):
        # What is decorated is defined in the body of its class: the caller's frame.
        body = sys._getframe(1).f_locals  # pyright: ignore[reportPrivateUsage]
        return _marked(first, MethodMark(), body)
    if first is not None and protection is not None:
        raise SchemaError("@method has the protection twice")
    level: Any = protection if first is None else first
    if level is not None:
        _check_protection(level, "@method")
    if impersonate is not None:
        _check_impersonation(impersonate, "@method")
    one: Any = errors
    if isinstance(one, type):
        raise SchemaError("@method: errors is a list", f"write [{one.__name__}]")
    mark = MethodMark(
        protection=level,
        impersonate=impersonate,
        inline=inline,
        errors=tuple(errors),
    )

    def decorate(function: F) -> F:
        body = sys._getframe(1).f_locals  # pyright: ignore[reportPrivateUsage]
        return _marked(function, mark, body)

    return decorate


def service_definition(cls: type[object]) -> ServiceDefinition:
    """Return the schema and the handlers of a service class.

    Args:
        cls: A class decorated with `@service`, or a subclass of one, which then serves
            under the same name.

    Raises:
        SchemaError: The class is no service, or the subclass's methods do not fit.
    """
    found: ServiceDefinition | None = vars(cls).get(_DEFINITION)
    if found is not None:
        return found
    declared: tuple[str, Protection, Impersonation] | None
    declared = getattr(cls, _DECLARED, None)
    if declared is None:
        raise SchemaError(
            f"{cls.__name__} is not a service", 'decorate it with @service("...")'
        )
    made = extract(cls, *declared)
    setattr(cls, _DEFINITION, made)
    return made


def _marked(function: F, mark: MethodMark, body: Mapping[str, object]) -> F:
    written: object = function
    if not isinstance(written, FunctionType):
        raise SchemaError(
            f"@method on a {type(written).__name__}: "
            "only a method written with def can be called",
            "put @method nearest to a plain def",
        )
    if hasattr(body.get(written.__name__), METHOD_MARK):
        raise SchemaError(
            f"{written.__qualname__}: two methods have this name",
            "rename one; the second hides the first",
        )
    setattr(function, METHOD_MARK, mark)
    return function


def _check_protection(level: object, where: str) -> None:
    if not isinstance(level, Protection):
        raise SchemaError(
            f"{where}: protection {level!r} is not a level",
            "use Protection.NONE, .SIGN or .SEAL",
        )


def _check_impersonation(impersonate: object, where: str) -> None:
    if not isinstance(impersonate, Impersonation):
        raise SchemaError(
            f"{where}: {impersonate!r} does not say whether to impersonate",
            "use Impersonation.NOT_ALLOWED, .ALLOWED or .REQUIRED",
        )
