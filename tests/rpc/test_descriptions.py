"""Schemas as values that travel: what is said of them, and that nothing is lost."""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from hypothesis import given, settings

from signetrpc.rpc import Protection, method, service
from signetrpc.rpc._codec import Codec
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._described import schema_of
from signetrpc.rpc._descriptions import (
    FieldDescription,
    ParameterDescription,
    ServiceDescription,
    StructDescription,
    TypeDescription,
    TypeKind,
    described,
)
from signetrpc.rpc._schema import ServiceSchema
from signetrpc.rpc._wording import Subject
from tests.idl.schemas import services

INT = TypeDescription(kind=TypeKind.SCALAR, name="int")
STRING = TypeDescription(kind=TypeKind.SCALAR, name="string")


class Node(msgspec.Struct):
    """A node of a tree.

    It mentions itself.
    """

    children: "list[Node]"
    label: Annotated[str, "shown"] = "none"


@service("trees.Trees")
class Trees:
    """Trees of nodes."""

    @method(Protection.SIGN)
    async def grow(
        self, numbers: AsyncIterator[int], at: "dict[str, Node | None]", most: int = -3
    ) -> AsyncIterator[tuple[Node, int]]:
        """Grow."""
        raise AssertionError
        yield


def test_a_service_in_full() -> None:
    node = TypeDescription(kind=TypeKind.NAMED, name="Node")
    optional = TypeDescription(kind=TypeKind.OPTIONAL, of=(node,))
    description = described(service_definition(Trees).schema)
    (grow,) = description.methods
    assert description.name == "trees.Trees" and description.doc == "Trees of nodes."
    assert (grow.name, grow.protection, grow.impersonate) == ("grow", "sign", "allowed")
    assert grow.kind == "bidirectional" and grow.doc == "Grow." and grow.errors == ()
    assert grow.stream == ParameterDescription(name="numbers", type=INT)
    assert grow.stream_index == 0
    assert grow.parameters == (
        ParameterDescription(
            name="at", type=TypeDescription(kind=TypeKind.MAP, of=(STRING, optional))
        ),
        ParameterDescription(name="most", type=INT, default=b"\xfd"),
    )
    assert grow.result == TypeDescription(kind=TypeKind.TUPLE, of=(node, INT))
    assert description.types == (
        StructDescription(
            name="Node",
            fields=(
                FieldDescription(
                    name="children",
                    type=TypeDescription(kind=TypeKind.LIST, of=(node,)),
                ),
                FieldDescription(name="label", type=STRING, default=b"\xa4none"),
            ),
            doc="A node of a tree.\n\nIt mentions itself.",
        ),
    )


@settings(max_examples=25)  # each takes a while to draw
@given(services())
def test_nothing_is_lost_on_the_way(schema: ServiceSchema) -> None:
    codec: Codec[ServiceDescription] = Codec(
        ServiceDescription, subject=Subject.RESULT, timestamps=False
    )
    description = described(schema)
    assert codec.decode(codec.encode(description)) == description
    assert schema_of(description) == schema
