"""A method as both ends hold it: its name, what it declares and its codecs."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, TypeVar

import msgspec

from signetrpc.transport._protection import Protection

from ._codec import Body, Codec, encode_value
from ._declared_errors import error_classes
from ._impersonation import Impersonation
from ._schema import CallKind, Scalar, TypeNode
from ._types import TypeReader
from ._wording import Subject
from .errors import DeclaredError, SchemaError

__all__ = [
    "BidirectionalMethod",
    "ClientStreamMethod",
    "Method",
    "ServerStreamMethod",
    "UnaryMethod",
]

A = TypeVar("A", bound=msgspec.Struct)
I = TypeVar("I")  # noqa: E741 - an item, beside arguments and results
R = TypeVar("R")


class Method(Generic[A, R]):
    """What the methods of all kinds of calls have in common.

    Stubs make one per method when they are imported; servers make them from decorated
    classes. Arguments travel as a map by their names, results as they are.

    Attributes:
        service: The service's full name, `bank.Accounts`.
        name: The method's own name, `balance`.
        full_name: Both, as calls name it: `bank.Accounts/balance`.
        wire_name: `full_name` in msgpack, made once.
        protection: The level that the method declares.
        impersonate: Whose rights the method runs with.
        arguments: The Struct that holds a call's arguments.
        result: The type of the result, or of each item of a result that is a stream.
        errors: What the method declares to raise, by name.
        encode_arguments: Returns the body of a call. Raises RpcError INVALID_ARGUMENT;
            the message names the argument. So does `decode_arguments`.
        decode_arguments: Returns the arguments of a call's body.
        encode_result: Returns the body of a reply, or of an item of the result. Raises
            RpcError INTERNAL if the value is not of a type that travels.
        decode_result: Returns what such a body holds. Raises RpcError INTERNAL if it is
            not of the declared type.
    """

    kind: ClassVar[CallKind]

    __slots__ = (
        "arguments",
        "decode_arguments",
        "decode_result",
        "encode_arguments",
        "encode_result",
        "errors",
        "full_name",
        "impersonate",
        "name",
        "protection",
        "result",
        "service",
        "wire_name",
    )

    def __init__(
        self,
        *,
        service: str,
        name: str,
        protection: Protection,
        arguments: type[A],
        result: object,
        impersonate: Impersonation = Impersonation.ALLOWED,
        errors: Sequence[type[DeclaredError]] = (),
    ) -> None:
        """Prepare a method.

        Args:
            service: The service's full name.
            name: The method's own name.
            protection: The level that the method declares.
            arguments: A Struct with a field for each argument. One that forbids
                unknown fields refuses misspelt arguments.
            result: The type of the result: any annotation that travels.
            impersonate: Whose rights the method runs with.
            errors: The declared errors that callers get as themselves.

        Raises:
            SchemaError: A type cannot travel, an error is not declared, or the method
                must run as its caller and its calls need not be protected.
        """
        where = f"{service}.{name}"
        if impersonate is Impersonation.REQUIRED and protection is Protection.NONE:
            # Anyone on the path could have written the call.
            raise SchemaError(
                f"{where}: nobody knows the caller of a call with protection NONE, "
                "but the method has to run as its caller",
                "protect it, or say impersonate=Impersonation.NOT_ALLOWED",
            )
        self.service = service
        self.name = name
        self.full_name = f"{service}/{name}"
        self.wire_name = encode_value(self.full_name)
        self.protection = protection
        self.impersonate = impersonate
        self.arguments = arguments
        self.result = result
        self.errors = error_classes(errors, where)
        reader = TypeReader()
        nodes = [
            reader.read(field.type, f'{where}: parameter "{field.name}"')
            for field in msgspec.structs.fields(arguments)
        ]
        sent: Codec[A] = Codec(
            arguments,
            subject=Subject.ARGUMENTS,
            timestamps=any(_has_timestamp(reader, node) for node in nodes),
        )
        # The codec's own functions: a call goes through four of them.
        self.encode_arguments: Callable[[A], bytes] = sent.encode
        self.decode_arguments: Callable[[Body], A] = sent.decode
        result_node = reader.read(result, f"{where}: result")
        returned: Codec[R] = Codec(
            result,
            subject=Subject.RESULT_ITEM if self.kind.gives_items else Subject.RESULT,
            timestamps=_has_timestamp(reader, result_node),
        )
        self.encode_result: Callable[[R], bytes] = returned.encode
        self.decode_result: Callable[[Body], R] = returned.decode

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.full_name} {self.protection.name}>"


class UnaryMethod(Method[A, R]):
    """One request, one reply."""

    kind = CallKind.UNARY
    __slots__ = ()


class ServerStreamMethod(Method[A, R]):
    """One request, any number of replies."""

    kind = CallKind.SERVER_STREAM
    __slots__ = ()


class _TakingItems(Method[A, R], Generic[A, I, R]):
    """A method to which the caller sends a stream, beside its arguments.

    Attributes:
        item: The type of each item of the caller's, as an annotation.
        encode_item: Returns the body of such an item. Raises RpcError INVALID_ARGUMENT;
            the message names the part. So does `decode_item`.
        decode_item: Returns the item of a body.
    """

    __slots__ = ("decode_item", "encode_item", "item")

    def __init__(
        self,
        *,
        service: str,
        name: str,
        protection: Protection,
        arguments: type[A],
        item: object,
        result: object,
        impersonate: Impersonation = Impersonation.ALLOWED,
        errors: Sequence[type[DeclaredError]] = (),
    ) -> None:
        """Prepare a method; the arguments are those of `Method` and `item`."""
        super().__init__(
            service=service,
            name=name,
            protection=protection,
            arguments=arguments,
            result=result,
            impersonate=impersonate,
            errors=errors,
        )
        self.item = item
        reader = TypeReader()
        node = reader.read(item, f"{service}.{name}: item")
        codec: Codec[I] = Codec(
            item, subject=Subject.ITEM, timestamps=_has_timestamp(reader, node)
        )
        self.encode_item: Callable[[I], bytes] = codec.encode
        self.decode_item: Callable[[Body], I] = codec.decode


class ClientStreamMethod(_TakingItems[A, I, R]):
    """Any number of requests, one reply."""

    kind = CallKind.CLIENT_STREAM
    __slots__ = ()


class BidirectionalMethod(_TakingItems[A, I, R]):
    """Any number of requests and of replies, each when it pleases."""

    kind = CallKind.BIDIRECTIONAL
    __slots__ = ()


def _has_timestamp(reader: TypeReader, node: TypeNode) -> bool:
    return reader.mentions(node, Scalar.TIMESTAMP)
