"""Names of schemas, as far as Python can have them."""

import pytest

from signetrpc.idl._python_names import (
    camel_case,
    check_names,
    client_names,
    merged_types,
    needs_keywords,
    scope_names,
)
from signetrpc.rpc._schema import (
    Default,
    EnumDefinition,
    EnumMember,
    FieldDefinition,
    MethodSchema,
    Parameter,
    Scalar,
    ScalarType,
    ServiceSchema,
    StructDefinition,
    TypeDefinition,
)
from signetrpc.rpc.errors import SchemaError
from signetrpc.transport._protection import Protection

INT = ScalarType(scalar=Scalar.INT)


def method(name: str, *parameters: str) -> MethodSchema:
    return MethodSchema(
        name=name,
        protection=Protection.SEAL,
        parameters=tuple(Parameter(name=each, type=INT) for each in parameters),
        result=INT,
    )


def struct(name: str, *fields: str) -> StructDefinition:
    return StructDefinition(
        name=name, fields=tuple(FieldDefinition(name=each, type=INT) for each in fields)
    )


def enum(name: str, *members: str) -> EnumDefinition:
    return EnumDefinition(
        name=name, members=tuple(EnumMember(name=each, value=each) for each in members)
    )


def service(
    *methods: MethodSchema,
    types: tuple[TypeDefinition, ...] = (),
    name: str = "bank.Accounts",
) -> ServiceSchema:
    return ServiceSchema(name=name, methods=methods, types=types)


def test_camel_case() -> None:
    assert camel_case("open_account") == "OpenAccount"
    assert camel_case("openAccount") == "OpenAccount"
    assert camel_case("a__b_") == "AB"


def test_needs_keywords() -> None:
    plain = Parameter(name="a", type=INT)
    default = Parameter(name="b", type=INT, default=Default(value=5))
    for parameters, needed in (
        ((), False),
        ((plain, default), False),
        ((default, plain), True),
        ((plain, default, plain), True),
    ):
        made = MethodSchema(
            name="x", protection=Protection.SEAL, parameters=parameters, result=INT
        )
        assert needs_keywords(made) is needed


def test_scope_names() -> None:
    made = service(method("from", "class"), types=(struct("A", "b"), enum("C", "D")))
    assert list(scope_names(made)) == ["A", "b", "C", "from_", "class_"]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (
            service(method("from"), method("from_")),
            "from and from_ would both be from_",
        ),
        (service(types=(struct("None"), struct("None_"))), "would both be None_"),
        (service(types=(struct("X", "if", "if_"),)), "bank.Accounts: X: if and if_"),
        (service(types=(enum("X", "if", "if_"),)), "bank.Accounts: X: if and if_"),
        (service(method("x", "if", "if_")), "bank.Accounts.x: if and if_ would"),
        (service(method("x", "timeout")), 'x: parameter "timeout" has a reserved name'),
        (service(types=(struct("AccountsClient"),)), "the name of a generated class"),
    ],
)
def test_refusals(made: ServiceSchema, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        check_names(made, client_names([made]))


def test_several_services() -> None:
    one = service(types=(struct("A"),))
    two = service(types=(struct("A"), struct("B")), name="bank.Cards")
    assert client_names([one, two]) == [
        "AccountsClient",
        "BlockingAccountsClient",
        "CardsClient",
        "BlockingCardsClient",
    ]
    assert merged_types([one, two]) == (struct("A"), struct("B"))


def test_services_that_do_not_fit_together() -> None:
    one = service(types=(struct("A"),))
    with pytest.raises(SchemaError, match="x.Accounts: another service is called Acco"):
        client_names([service(name="x.Accounts"), one])
    with pytest.raises(SchemaError, match="another service has another type A"):
        merged_types([one, service(types=(struct("A", "x"),))])
