"""Types and values, written in Python."""

import pytest

from signetrpc.idl._names import Names
from signetrpc.idl._python_types import PythonTypes
from signetrpc.rpc._schema import (
    EnumDefinition,
    EnumMember,
    ListType,
    MapType,
    NamedType,
    OptionalType,
    PlainValue,
    Scalar,
    ScalarType,
    SetType,
    TupleType,
    TypeNode,
    UnionType,
    VariadicTupleType,
)


def scalar(kind: Scalar) -> ScalarType:
    return ScalarType(scalar=kind)


INT = scalar(Scalar.INT)
TEXT = scalar(Scalar.STRING)
COLOR = NamedType(name="Color")
LONG = NamedType(name="AStructWithAName" + "Xx" * 5)
COLORS = EnumDefinition(
    name="Color",
    members=(EnumMember(name="None", value=1), EnumMember(name="RED", value=2)),
)


def writer(*taken: str) -> PythonTypes:
    return PythonTypes(Names(taken), [COLORS])


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (INT, "int"),
        (scalar(Scalar.NONE), "None"),
        (scalar(Scalar.TIMESTAMP), "datetime"),
        (scalar(Scalar.DECIMAL), "Decimal"),
        (ListType(item=INT), "list[int]"),
        (SetType(item=INT), "set[int]"),
        (VariadicTupleType(item=INT), "tuple[int, ...]"),
        (TupleType(items=(INT, TEXT)), "tuple[int, str]"),
        (TupleType(items=()), "tuple[()]"),
        (MapType(key=TEXT, value=INT), "dict[str, int]"),
        (OptionalType(item=UnionType(options=(INT, TEXT))), "int | str | None"),
        (NamedType(name="None"), "None_"),
    ],
)
def test_types(node: TypeNode, text: str) -> None:
    assert writer().type(node) == text


@pytest.mark.parametrize(
    ("value", "node", "text"),
    [
        (5, INT, "5"),
        (True, scalar(Scalar.BOOL), "True"),
        (None, scalar(Scalar.NONE), "None"),
        (1.5, scalar(Scalar.FLOAT), "1.5"),
        (1e100, scalar(Scalar.FLOAT), "1e100"),
        (float("-inf"), scalar(Scalar.FLOAT), 'float("-inf")'),
        ("a'b", TEXT, '"a\'b"'),
        (b"a", scalar(Scalar.BYTES), 'b"a"'),
        ("2026-01-02", scalar(Scalar.DATE), 'date.fromisoformat("2026-01-02")'),
        ("P1DT2S", scalar(Scalar.DURATION), "timedelta(days=1, seconds=2)"),
        ("P0D", scalar(Scalar.DURATION), "timedelta()"),
        ("1.50", scalar(Scalar.DECIMAL), 'Decimal("1.50")'),
        (1, COLOR, "Color.None_"),
        (None, OptionalType(item=INT), "None"),
        (5, OptionalType(item=INT), "5"),
        ((1, 2), VariadicTupleType(item=INT), "(1, 2)"),
        ((1,), VariadicTupleType(item=INT), "(1,)"),
        ((), VariadicTupleType(item=INT), "()"),
        ((1, "a"), TupleType(items=(INT, TEXT)), '(1, "a")'),
        ((), ListType(item=INT), "[]"),
        ((), SetType(item=INT), "set()"),
        ((), MapType(key=INT, value=INT), "{}"),
        ("a", UnionType(options=(COLOR, TEXT)), '"a"'),
        (2, UnionType(options=(TEXT, LONG, COLOR)), "Color.RED"),
        ((), UnionType(options=(TEXT, ListType(item=INT))), "[]"),
        ("1", UnionType(options=(INT, scalar(Scalar.DECIMAL))), 'Decimal("1")'),
    ],
)
def test_values(value: PlainValue, node: TypeNode, text: str) -> None:
    types = PythonTypes(Names([]), [COLORS, EnumDefinition(name=LONG.name, members=())])
    assert types.value(value, node) == text


def test_taken_names() -> None:
    types = writer("list", "Decimal")
    node = ListType(item=scalar(Scalar.DECIMAL))
    assert types.type(node) == "builtins.list[_Decimal]"


def test_long_types_get_names() -> None:
    types = writer()
    inner = TupleType(items=(LONG, INT))
    assert types.type(inner) == f"tuple[{LONG.name}, int]"
    pair = TupleType(items=(LONG, LONG))
    wide = UnionType(options=(INT, pair, LONG, MapType(key=INT, value=LONG)))
    longest = MapType(key=INT, value=UnionType(options=(*wide.options, TEXT)))
    assert [types.type(each) for each in (pair, wide, wide, longest)] == [
        "_Type1",
        "_Type2",
        "_Type2",
        "dict[int, _Type3]",
    ]
    name = LONG.name
    assert types.aliases == [
        f"_Type1: TypeAlias = tuple[{name}, {name}]",
        f"_Type2: TypeAlias = (\n    int | _Type1 | {name} | dict[int, {name}]\n)",
        "_Type3: TypeAlias = (\n    int\n    | _Type1\n"
        f"    | {name}\n    | dict[int, {name}]\n    | str\n)",
    ]


def test_aliases_that_need_several_lines() -> None:
    types = writer()
    many = TupleType(items=(LONG,) * 3)
    options = UnionType(options=(LONG,) * 4)
    pairs = MapType(key=LONG, value=MapType(key=INT, value=LONG))
    for node in (many, options, pairs):
        types.type(node)
    name = LONG.name
    more = f"\n    | {name}"
    assert types.aliases == [
        f"_Type1: TypeAlias = tuple[\n    {name},\n    {name},\n    {name},\n]",
        f"_Type2: TypeAlias = (\n    {name}{more * 3}\n)",
        f"_Type3: TypeAlias = dict[\n    {name},\n    dict[int, {name}],\n]",
    ]


def test_long_values_are_broken() -> None:
    value = ("x" * 50, "y" * 20)
    text = writer().value(value, VariadicTupleType(item=TEXT))
    assert text == f'(\n    "{"x" * 50}",\n    "{"y" * 20}",\n)'


def test_long_single_items_get_names() -> None:
    types = writer()
    node = VariadicTupleType(item=VariadicTupleType(item=TEXT))
    assert types.value((("x" * 50,),), node) == "((_DEFAULT_1,),)"
    assert types.constants == [f'_DEFAULT_1 = "{"x" * 50}"']


def test_values_with_names() -> None:
    types = writer()
    text = '"' + "x" * 78 + '"'
    assert types.named_value(text) == types.named_value(text) == "_DEFAULT_1"
    assert types.named_value("5") == "_DEFAULT_2"
    assert types.constants == [f"_DEFAULT_1 = (\n    {text}\n)", "_DEFAULT_2 = 5"]


def test_types_with_names() -> None:
    types = writer()
    assert types.named_type(COLOR) == "Color"
    assert types.named_type(ListType(item=INT)) == "_Type1"
    assert types.aliases == ["_Type1: TypeAlias = list[int]"]
