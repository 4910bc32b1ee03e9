"""The schema compares by value and tells its parts."""

import dataclasses

import pytest

from signetrpc.rpc._impersonation import Impersonation
from signetrpc.rpc._schema import (
    ListType,
    MapType,
    MethodSchema,
    NamedType,
    OptionalType,
    Parameter,
    Scalar,
    ScalarType,
    ServiceSchema,
    SetType,
    TupleType,
    TypeNode,
    UnionType,
    VariadicTupleType,
    children,
)
from signetrpc.transport._protection import Protection

INT = ScalarType(scalar=Scalar.INT)
TEXT = ScalarType(scalar=Scalar.STRING)


def service(level: Protection) -> ServiceSchema:
    method = MethodSchema(
        name="balance",
        protection=level,
        parameters=(Parameter(name="account", type=TEXT),),
        result=INT,
    )
    return ServiceSchema(name="bank.uk.Accounts", methods=(method,))


def test_equal_by_value() -> None:
    assert service(Protection.SIGN) == service(Protection.SIGN)
    assert service(Protection.SIGN) != service(Protection.SEAL)
    assert hash(service(Protection.SIGN)) == hash(service(Protection.SIGN))
    (method,) = service(Protection.SIGN).methods
    assert method.impersonate is Impersonation.ALLOWED
    assert method != dataclasses.replace(method, impersonate=Impersonation.REQUIRED)


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        service(Protection.SIGN).name = "other"  # type: ignore[misc]  # pyright: ignore


def test_name_parts() -> None:
    assert service(Protection.SIGN).package == "bank.uk"
    assert service(Protection.SIGN).short_name == "Accounts"
    bare = ServiceSchema(name="Accounts", methods=())
    assert (bare.package, bare.short_name) == ("", "Accounts")


@pytest.mark.parametrize(
    ("node", "parts"),
    [
        (INT, []),
        (NamedType(name="Entry"), []),
        (ListType(item=INT), [INT]),
        (SetType(item=INT), [INT]),
        (VariadicTupleType(item=INT), [INT]),
        (OptionalType(item=INT), [INT]),
        (TupleType(items=(INT, TEXT)), [INT, TEXT]),
        (MapType(key=TEXT, value=INT), [TEXT, INT]),
        (UnionType(options=(INT, TEXT)), [INT, TEXT]),
    ],
)
def test_children(node: TypeNode, parts: list[TypeNode]) -> None:
    assert list(children(node)) == parts
