"""Lines for fields and parameters."""

import pytest

from signetrpc.idl._names import Names
from signetrpc.idl._python_fields import field_line, parameter_line, rename_option
from signetrpc.idl._python_types import PythonTypes
from signetrpc.rpc._schema import (
    Default,
    FieldDefinition,
    ListType,
    OptionalType,
    Parameter,
    Scalar,
    ScalarType,
)

INT = ScalarType(scalar=Scalar.INT)
TEXT = ScalarType(scalar=Scalar.STRING)
NAMES = Names([])


@pytest.fixture
def types() -> PythonTypes:
    return PythonTypes(NAMES, [])


def test_parameters(types: PythonTypes) -> None:
    assert parameter_line(Parameter(name="a", type=INT), types) == "a: int"
    made = Parameter(name="from", type=INT, default=Default(value=5))
    assert parameter_line(made, types) == "from_: int = 5"
    assert types.aliases == types.constants == []


def test_fields(types: PythonTypes) -> None:
    assert field_line(FieldDefinition(name="if", type=INT), types, NAMES) == "if_: int"
    made = FieldDefinition(name="a", type=ListType(item=INT), default=Default(value=()))
    assert field_line(made, types, NAMES) == "a: list[int] = []"
    made = FieldDefinition(name="a", type=INT, omittable=True)
    line = "a: int | msgspec.UnsetType = msgspec.UNSET"
    assert field_line(made, types, NAMES) == line


def test_long_lines_use_names(types: PythonTypes) -> None:
    short = Parameter(name="a", type=TEXT, default=Default(value="x" * 78))
    assert parameter_line(short, types) == "a: str = _DEFAULT_1"
    node = ListType(item=OptionalType(item=INT))
    name = "n" * 65
    long = Parameter(name=name, type=node)
    assert parameter_line(long, types) == f"{name}: _Type1"
    field = FieldDefinition(name="n" * 40, type=node, omittable=True)
    unset = "_Type1 | msgspec.UnsetType = msgspec.UNSET"
    assert field_line(field, types, NAMES) == f"{'n' * 40}: {unset}"
    assert len(types.aliases) == len(types.constants) == 1


def test_renaming() -> None:
    assert rename_option(["a", "b"]) == []
    assert rename_option(["a", "from"]) == ['rename={"from_": "from"}']
    (option,) = rename_option(["from", "class", "import", "continue", "nonlocal"])
    assert option.split("\n")[1] == '    "from_": "from",'
