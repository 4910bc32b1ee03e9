"""Errors that an interface declares: they travel typed and are raised as their class.

A declared error has a name of its own, `bank.InsufficientFunds`, and fields.  In STATUS
it is the first of the details: its name, and a map of its fields.
"""

import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import (
    Any,
    Final,
    TypeAlias,
    TypeVar,
    cast,
    dataclass_transform,
    get_origin,
)

import msgspec

from ._codec import Codec
from ._details import UnknownDetail
from ._fields import doc_of
from ._schema import ErrorDefinition, Scalar
from ._status import StatusCode
from ._types import TypeReader
from ._wording import Subject
from .errors import DeclaredError, RpcError, SchemaError

__all__ = [
    "NO_ERRORS",
    "TAKEN",
    "ErrorClass",
    "ErrorClasses",
    "declared",
    "declared_error",
    "error_classes",
    "named_error",
    "typed_error",
]

E = TypeVar("E", bound=DeclaredError)

_MARK: Final = "__signet_error__"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
_MAX_NAME_CHARACTERS: Final = 200
TAKEN: Final = frozenset({"details", "status", "trailers", *dir(BaseException)})
"""What every error has already."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorClass:
    """A declared error.

    Attributes:
        name: As it travels, `bank.InsufficientFunds`.
        status: What a caller sees who does not know the error.
        cls: What is raised.
        struct: What holds its fields on the way.
    """

    name: str
    status: StatusCode
    cls: type[DeclaredError]
    struct: type[msgspec.Struct]
    codec: Codec[Any]

    def definition(self, reader: TypeReader) -> ErrorDefinition:
        """Return what the schema says of it; its types go to the reader."""
        fields = reader.fields(self.struct, f"error {self.name}")
        return ErrorDefinition(
            name=self.name, status=self.status, fields=fields, doc=doc_of(self.cls)
        )

    def encode(self, error: RpcError) -> bytes:
        """Return the body that carries an error's fields.

        Raises:
            RpcError: A field is not of its type.
            AttributeError: A field is not there any more.
        """
        fields = self.struct.__struct_fields__
        return self.codec.encode(
            self.struct(**{each: getattr(error, each) for each in fields})
        )

    def decode(self, body: bytes, base: RpcError) -> RpcError:
        """Return the error that a body carries.

        Args:
            body: From `encode`.
            base: What has come beside it: the status, the message, the trailers.

        Raises:
            RpcError: It is no body of this error.
        """
        given = self.codec.decode(body)
        error = self.cls.__new__(self.cls)
        error.args = base.args
        error.__dict__.update(base.__dict__)
        for name in self.struct.__struct_fields__:
            setattr(error, name, getattr(given, name))
        return error


ErrorClasses: TypeAlias = Mapping[str, ErrorClass]
"""What a method declares, by name."""

NO_ERRORS: Final[ErrorClasses] = MappingProxyType({})


@dataclass_transform(kw_only_default=True)
def declared_error(
    name: str, *, status: StatusCode = StatusCode.FAILED_PRECONDITION
) -> Callable[[type[E]], type[E]]:
    """Declare a class of errors that methods can name in `@method(errors=[...])`.

        @declared_error("bank.InsufficientFunds")
        class InsufficientFunds(DeclaredError):
            \"\"\"There is not enough in the account.\"\"\"

            account: str
            missing: Decimal

        raise InsufficientFunds(account="42", missing=Decimal(5))

    The class gets a constructor that takes its fields by name.  Its message is the
    first sentence of its docstring, unless it has a field `message`.

    Args:
        name: The full name under which it travels: letters, digits and underscores,
            with dots between the parts.
        status: What a caller sees who does not know the error.

    Returns:
        A decorator that returns the class itself.

    Raises:
        SchemaError: The class is no `DeclaredError`, or a field cannot travel.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):  # pyright: ignore
        raise SchemaError(f"error name {name!r} cannot travel", "like bank.NoAccount")
    if len(name) > _MAX_NAME_CHARACTERS or name.startswith("signet."):
        raise SchemaError(
            f"error name {name[:_MAX_NAME_CHARACTERS]!r} is not to be had",
            f"at most {_MAX_NAME_CHARACTERS} characters, not starting with signet.",
        )
    if StatusCode(status) is StatusCode.OK:
        raise SchemaError(f"error {name}: OK is not an error")

    def decorate(cls: type[E]) -> type[E]:
        where = f"error {name}"
        given = cast("object", cls)
        if not (isinstance(given, type) and issubclass(given, DeclaredError)):
            raise SchemaError(
                f"{where}: {_text(cls)} is no DeclaredError",
                "derive it from DeclaredError",
            )
        if "__init__" in vars(cls):
            raise SchemaError(
                f"{where}: {cls.__name__} has a constructor of its own",
                "leave it out: the constructor takes the fields",
            )
        struct = _struct(cls, where)
        reader = TypeReader()
        nodes = [each.type for each in reader.fields(struct, where)]
        made = ErrorClass(
            name=name,
            status=StatusCode(status),
            cls=cls,
            struct=struct,
            codec=Codec(
                struct,
                subject=Subject.RESULT,
                timestamps=any(
                    reader.mentions(each, Scalar.TIMESTAMP) for each in nodes
                ),
            ),
        )
        setattr(cls, _MARK, made)
        setattr(cls, "__init__", _constructor(made))  # noqa: B010 - mypy's assignment
        return cls

    return decorate


def declared(cls: type[object]) -> ErrorClass | None:
    """Return what a class was declared to be, by itself and not by a base."""
    found: ErrorClass | None = vars(cls).get(_MARK)
    return found


def error_classes(classes: Iterable[type[DeclaredError]], where: str) -> ErrorClasses:
    """Return declared errors by name.

    Raises:
        SchemaError: One is not declared, or two have one name.
    """
    found: dict[str, ErrorClass] = {}
    for cls in classes:
        made = declared(cls) if isinstance(cls, type) else None  # pyright: ignore
        if made is None:
            raise SchemaError(
                f"{where}: {_text(cls)} is no declared error",
                'decorate it with @declared_error("...")',
            )
        if made.name in found:
            raise SchemaError(f"{where}: two errors are named {made.name}")
        found[made.name] = made
    return MappingProxyType(found) if found else NO_ERRORS


def named_error(error: RpcError, errors: ErrorClasses) -> ErrorClass | None:
    """Return as which of a method's errors an error travels, if as any.

    The most specific: an error derived from a declared one travels as that.
    """
    for cls in type(error).__mro__:
        made = declared(cls)
        if made is not None and errors.get(made.name) is made:
            return made
    return None


def typed_error(error: RpcError, errors: ErrorClasses) -> RpcError:
    """Return an error that has come, as the declared one if it is one of those."""
    for index, detail in enumerate(error.details):
        if isinstance(detail, UnknownDetail) and detail.name in errors:
            try:
                typed = errors[detail.name].decode(detail.body, error)
            except Exception:
                continue  # not of its form: the plain error says what it can
            typed.details = (*error.details[:index], *error.details[index + 1 :])
            return typed
    return error


def _constructor(made: ErrorClass) -> Callable[..., None]:
    struct, status = made.struct, made.status
    text = _summary(doc_of(made.cls)) or made.name
    has_message = "message" in struct.__struct_fields__

    def __init__(self: RpcError, **fields: Any) -> None:
        given = struct(**fields)
        message: object = getattr(given, "message", "") if has_message else text
        RpcError.__init__(self, status, str(message))
        for name in struct.__struct_fields__:
            setattr(self, name, getattr(given, name))

    __init__.__doc__ = "Make an error from its fields, each by its name."
    return __init__


def _text(given: object) -> str:
    return given.__name__ if isinstance(given, type) else repr(given)


def _summary(doc: str) -> str:
    text = " ".join(doc.partition("\n\n")[0].split())
    return text.removesuffix(".")


def _struct(cls: type[DeclaredError], where: str) -> type[msgspec.Struct]:
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise SchemaError(
            f"{where}: cannot resolve type {error.name!r}",
            "define it in the module before the error",
        ) from None
    except (AttributeError, SyntaxError, TypeError) as error:
        raise SchemaError(
            f"{where}: an annotation cannot be resolved: {error}"
        ) from None
    fields: dict[str, tuple[str, Any] | tuple[str, Any, Any]] = {}
    for owner in reversed(cls.__mro__):
        if owner is not cls and declared(owner) is None:
            continue
        for name in owner.__dict__.get("__annotations__", {}):
            if (
                get_origin(hints[name]) is typing.ClassVar
                or hints[name] is typing.ClassVar
            ):
                continue
            if name in TAKEN:
                raise SchemaError(
                    f"{where}: an error has {name!r} already", "rename the field"
                )
            default = vars(owner).get(name, _NOTHING)
            fields[name] = (
                (name, hints[name])
                if default is _NOTHING
                else (name, hints[name], default)
            )
    try:
        return msgspec.defstruct(
            cls.__name__, list(fields.values()), kw_only=True, frozen=True
        )
    except TypeError as error:
        raise SchemaError(f"{where}: {error}") from None


_NOTHING: Final = object()
