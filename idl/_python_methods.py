"""Methods of a service, written in Python: their constants, and what calls them."""

from collections.abc import Iterator

from signetrpc.rpc._impersonation import Impersonation
from signetrpc.rpc._schema import (
    CallKind,
    FieldDefinition,
    MethodSchema,
    ServiceSchema,
)

from ._layout import bracketed, docstring, indented, quoted
from ._names import Names, identifier
from ._python_errors import errors_line, errors_option
from ._python_fields import (
    field_line,
    parameter_line,
    rename_option,
    stream_parameter_line,
)
from ._python_names import camel_case, needs_keywords
from ._python_types import PythonTypes

__all__ = ["RPC", "PythonMethods"]

RPC = "signetrpc.rpc"
"""The module whose public names a client imports."""

_RUNS_AS_CALLER = "Runs as the caller: connect with at least impersonation=IMPERSONATE."
_KINDS = {
    CallKind.UNARY: "UnaryMethod",
    CallKind.CLIENT_STREAM: "ClientStreamMethod",
    CallKind.SERVER_STREAM: "ServerStreamMethod",
    CallKind.BIDIRECTIONAL: "BidirectionalMethod",
}
_CALLS = {
    CallKind.UNARY: "unary",
    CallKind.CLIENT_STREAM: "client_stream",
    CallKind.SERVER_STREAM: "server_stream",
    CallKind.BIDIRECTIONAL: "bidirectional",
}


class PythonMethods:
    """Writes the methods of one service."""

    def __init__(self, schema: ServiceSchema, names: Names, types: PythonTypes) -> None:
        """Write with the names and the types of a module."""
        self._schema = schema
        self._names = names
        self._types = types
        # What the arguments' classes and the methods' constants are called.
        self._arguments: dict[str, str] = {}
        self._constants: dict[str, str] = {}
        for each in schema.methods:
            arguments = f"_{camel_case(each.name)}Arguments"
            self._arguments[each.name] = names.claim(arguments)
            self._constants[each.name] = names.claim(f"_{each.name.upper()}")

    def arguments(self, method: MethodSchema, base: str) -> tuple[str, list[str], str]:
        """Return the name, the bases and the fields of the class for the arguments."""
        options = [base, "gc=False"]
        if needs_keywords(method):
            options.append("kw_only=True")
        options.extend(rename_option([each.name for each in method.parameters]))
        fields = "\n".join(
            field_line(
                FieldDefinition(name=each.name, type=each.type),
                self._types,
                self._names,
            )
            for each in method.parameters
        )
        return self._arguments[method.name], options, fields or "pass"

    def constant(self, method: MethodSchema) -> str:
        """Return the statement that holds what the method declares."""
        arguments = self._arguments[method.name]
        protection = self._names.imported(RPC, "Protection")
        types = [self._types.type(method.result)]
        given = [f"result={types[0]}"]
        if method.stream is not None:
            item = self._types.type(method.stream.type)
            types.insert(0, item)
            given.insert(0, f"item={item}")
        start = f"{self._constants[method.name]} = "
        start += f"{self._names.imported(RPC, _KINDS[method.kind])}["
        return bracketed(
            # One column is for the bracket that opens the call.
            bracketed(start, [arguments, *types], "]", indent=1) + "(",
            [
                f"service={quoted(self._schema.name)}",
                f"name={quoted(method.name)}",
                f"protection={protection}.{method.protection.name}",
                f"arguments={arguments}",
                *given,
                *self._impersonation(method),
                *errors_option(method),
            ],
            ")",
            open=True,
        )

    def _impersonation(self, method: MethodSchema) -> Iterator[str]:
        if method.impersonate is not Impersonation.ALLOWED:
            impersonation = self._names.imported(RPC, "Impersonation")
            yield f"impersonate={impersonation}.{method.impersonate.name}"

    def client_method(self, method: MethodSchema, *, blocking: bool) -> str:
        """Return the method of a client that calls the service's."""
        number = self._names.builtin("float")
        metadata = self._names.imported(RPC, "MetadataInput")
        protection = self._names.imported(RPC, "Protection")
        # A call that gives a stream is one before anybody waits for it.
        waits = not blocking and not method.kind.gives_items
        signature = bracketed(
            f"{'async ' if waits else ''}def {identifier(method.name)}(",
            [
                "self",
                *self._parameters(method, blocking=blocking),
                f"timeout: {number} | None = None",
                f"metadata: {metadata} | None = None",
                f"protection: {protection} | None = None",
                f"wait_for_ready: {self._names.builtin('bool')} | None = None",
                *self._call_info(method),
            ],
            self._returns(method, blocking=blocking),
            open=True,
        )
        call = bracketed(
            f"return {'await ' if waits else ''}self._channel.{_CALLS[method.kind]}(",
            [
                self._constants[method.name],
                self._argument(method),
                *([] if method.stream is None else [identifier(method.stream.name)]),
                "timeout=timeout",
                "metadata=metadata",
                "protection=protection",
                "wait_for_ready=wait_for_ready",
                # A stream has its own.
                *([] if method.kind.gives_items else ["call_info=call_info"]),
            ],
            ")",
            open=True,
        )
        text = method.doc or f"Call {self._schema.name}/{method.name}."
        doc = f"{text}\n\nProtection: {method.protection.name}.{errors_line(method)}"
        if method.impersonate is Impersonation.REQUIRED:
            doc += f"\n{_RUNS_AS_CALLER}"
        return f"{signature}\n{indented(docstring(doc))}\n{indented(call)}"

    def _call_info(self, method: MethodSchema) -> Iterator[str]:
        if not method.kind.gives_items:
            yield f"call_info: {self._names.imported(RPC, 'CallInfo')} | None = None"

    def _argument(self, method: MethodSchema) -> str:
        given = [identifier(each.name) for each in method.parameters]
        if needs_keywords(method):
            given = [f"{name}={name}" for name in given]
        # One column is for the comma.
        return bracketed(f"{self._arguments[method.name]}(", given, ")", indent=13)

    def _returns(self, method: MethodSchema, *, blocking: bool) -> str:
        types = [self._types.type(method.result)]
        if not method.kind.gives_items:
            return f") -> {types[0]}:"
        name = "ServerStream"
        if method.stream is not None:
            name = "BidirectionalStream"
            types.insert(0, self._types.type(method.stream.type))
        stream = self._names.imported(RPC, f"{'Blocking' if blocking else ''}{name}")
        return bracketed(f") -> {stream}[", types, "]:", indent=4)

    def _parameters(self, method: MethodSchema, *, blocking: bool) -> Iterator[str]:
        by_name = False
        seen_default = False
        for line, has_default in self._lines(method, blocking=blocking):
            if not has_default and seen_default and not by_name:
                # Python has none without default after one with.
                yield "*"
                by_name = True
            seen_default = seen_default or has_default
            yield line
        if not by_name:
            yield "*"

    def _lines(self, method: MethodSchema, *, blocking: bool) -> list[tuple[str, bool]]:
        lines = [
            (parameter_line(each, self._types), each.default is not None)
            for each in method.parameters
        ]
        if method.stream is not None:
            source = (
                self._names.imported("collections.abc", "Iterable")
                if blocking
                else self._names.imported(RPC, "ItemSource")
            )
            # What has a stream of its own to send by needs none to send.
            optional = method.kind is CallKind.BIDIRECTIONAL
            line = stream_parameter_line(
                method.stream, source, self._types, optional=optional
            )
            lines.insert(method.stream_index, (line, optional))
        return lines
