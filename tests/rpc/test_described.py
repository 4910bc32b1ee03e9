"""Descriptions from afar: what is no interface is refused before code comes of it."""

from collections.abc import Callable

import msgspec
import pytest

from signetrpc.rpc import SchemaError
from signetrpc.rpc._described import schema_of
from signetrpc.rpc._descriptions import (
    EnumDescription,
    ErrorDescription,
    FieldDescription,
    MemberDescription,
    MethodDescription,
    ParameterDescription,
    ServiceDescription,
    StructDescription,
    TypeDescription,
    TypeKind,
)
from signetrpc.rpc._schema import Default

INT = TypeDescription(kind=TypeKind.SCALAR, name="int")
MALICE = 'a"): import os; os.abort() #'


def of(kind: TypeKind, *parts: TypeDescription, name: str = "") -> TypeDescription:
    return TypeDescription(kind=kind, name=name, of=parts)


def parameter(
    name: str = "a", type_: TypeDescription = INT, default: bytes | None = None
) -> ParameterDescription:
    return ParameterDescription(name=name, type=type_, default=default)


def declared(name: str = "m", **changes: object) -> MethodDescription:
    method = MethodDescription(
        name=name, protection="seal", impersonate="allowed", kind="unary", result=INT
    )
    return msgspec.structs.replace(method, **changes)


def a_service(*methods: MethodDescription, **changes: object) -> ServiceDescription:
    description = ServiceDescription(name="a.B", methods=methods or (declared(),))
    return msgspec.structs.replace(description, **changes)


def struct(name: str = "S", *fields: str) -> StructDescription:
    return StructDescription(
        name=name,
        fields=tuple(FieldDescription(name=each, type=INT) for each in fields),
    )


def enum(*members: str) -> EnumDescription:
    return EnumDescription(
        name="E", members=tuple(MemberDescription(name=m, value=m) for m in members)
    )


def error(name: str = "a.X", status: int = 9, *fields: str) -> ErrorDescription:
    return ErrorDescription(
        name=name, status=status, fields=struct("S", *fields).fields
    )


NAMED: dict[str, Callable[[str], ServiceDescription]] = {
    "service": lambda name: a_service(name=name),
    "method": lambda name: a_service(declared(name)),
    "parameter": lambda name: a_service(declared(parameters=(parameter(name),))),
    "stream": lambda name: a_service(
        declared(kind="client stream", stream=parameter(name))
    ),
    "struct": lambda name: a_service(types=(struct(name),)),
    "field": lambda name: a_service(types=(struct("S", name),)),
    "member": lambda name: a_service(types=(enum(name),)),
    "error": lambda name: a_service(errors=(error(name),)),
    "field of an error": lambda name: a_service(errors=(error("a.X", 9, name),)),
}
"""Services that have a name where it is said."""


def test_the_one_that_all_are_made_of_is_well() -> None:
    assert schema_of(a_service()).methods[0].name == "m"


@pytest.mark.parametrize("where", NAMED)
@pytest.mark.parametrize("name", [MALICE, "", "1a", "a b", "a\n", "ä", "a..b", "x\0"])
def test_names_are_names(where: str, name: str) -> None:
    with pytest.raises(SchemaError, match="is no name"):
        schema_of(NAMED[where](name))


def test_a_long_name_is_not_shown_in_full() -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of(a_service(declared("a " * 5000)))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (a_service(methods=()), "it has no methods"),
        (a_service(declared(), declared()), "two of the methods are named 'm'"),
        (a_service(types=(struct(), struct())), "two of the types are named 'S'"),
        (a_service(types=(struct("S", "f", "f"),)), "two of the fields"),
        (a_service(types=(enum("F", "F"),)), "two of the members"),
        (a_service(errors=(error(), error())), "two of the errors"),
        (a_service(declared(parameters=(parameter(), parameter()))), "two of the para"),
        (
            a_service(
                declared(
                    kind="client stream",
                    parameters=(parameter(),),
                    stream=parameter(),
                )
            ),
            "two of the para",
        ),
        (a_service(declared(protection="secret")), "method m: 'SECRET'"),
        (a_service(declared(impersonate="always")), "method m: 'always' is not"),
        (a_service(declared(kind="twice")), "method m: 'twice' is not"),
        (a_service(declared(stream=parameter())), "does not go with its kind"),
        (a_service(declared(kind="bidirectional")), "does not go with its kind"),
        (a_service(declared(stream_index=1)), "no place 1"),
        (a_service(declared(stream_index=-1)), "no place -1"),
        (a_service(declared(errors=("a.X",))), "method m: no error 'a.X'"),
        (a_service(errors=(error(status=17),)), "error a.X: 17 is not"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_does_not_fit_together(wrong: ServiceDescription, message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of(wrong)
    assert caught.value.message.startswith("service 'a.B': ")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (of(TypeKind.SCALAR, name="any"), "no type 'any'"),
        (of(TypeKind.NAMED, name="S"), "no type 'S'"),
        (of(TypeKind.LIST), "0 parts for a type of kind list"),
        (of(TypeKind.LIST, INT, INT), "2 parts for a type of kind list"),
        (of(TypeKind.SET), "0 parts for a type of kind set"),
        (of(TypeKind.SEQUENCE, INT, INT), "2 parts for a type of kind sequence"),
        (of(TypeKind.MAP, INT), "1 parts for a type of kind map"),
        (of(TypeKind.OPTIONAL), "0 parts for a type of kind optional"),
        (of(TypeKind.OPTIONAL, of(TypeKind.OPTIONAL, INT)), "1 parts for a type of"),
        (of(TypeKind.UNION, INT), "1 parts for a type of kind union"),
        (of(TypeKind.TUPLE, of(TypeKind.LIST)), "0 parts for a type of kind list"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_types_that_cannot_be(wrong: TypeDescription, message: str) -> None:
    for description in (
        a_service(declared(result=wrong)),
        a_service(declared(parameters=(parameter(type_=wrong),))),
        a_service(
            types=(
                StructDescription(
                    name="T", fields=(FieldDescription(name="f", type=wrong),)
                ),
            )
        ),
    ):
        with pytest.raises(SchemaError, match=message):
            schema_of(description)


@pytest.mark.parametrize(
    ("default", "value"),
    [(b"\xc0", None), (b"\x90", ()), (b"\x92\x01\xa1x", (1, "x")), (b"\xc4\x00", b"")],
)
def test_defaults(default: bytes, value: object) -> None:
    taken = schema_of(a_service(declared(parameters=(parameter(default=default),))))
    found = taken.methods[0].parameters[0].default
    assert isinstance(found, Default) and found.value == value


@pytest.mark.parametrize(
    "default",
    [
        b"",
        b"\x01\x01",
        b"\x80",
        b"\x91\x80",
        b"\xa1\xff",
        b"\xd4\x05\x00",
        b"\x91" * 9000,
    ],
    ids=["none", "two", "map", "map within", "no text", "extension", "deep"],
)
def test_defaults_that_cannot_be(default: bytes) -> None:
    with pytest.raises(SchemaError, match="a default that is"):
        schema_of(a_service(declared(parameters=(parameter(default=default),))))
