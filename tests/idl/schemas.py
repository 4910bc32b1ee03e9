"""Strategies for schemas: any that a decorated class could have."""

from collections.abc import Iterable
from typing import TypeVar

from hypothesis import strategies as st

from signetrpc.rpc._impersonation import Impersonation
from signetrpc.rpc._schema import (
    CallKind,
    Default,
    EnumDefinition,
    EnumMember,
    FieldDefinition,
    ListType,
    MapType,
    MethodSchema,
    NamedType,
    OptionalType,
    Parameter,
    PlainValue,
    Scalar,
    ScalarType,
    ServiceSchema,
    SetType,
    StructDefinition,
    Tag,
    TupleType,
    TypeDefinition,
    TypeNode,
    UnionType,
    VariadicTupleType,
)
from signetrpc.transport._protection import Protection

T = TypeVar("T")

# Names that something in a generated module has, and ordinary ones.
WORDS = [
    *("list", "dict", "str", "float", "bool", "date", "datetime", "Decimal", "UUID"),
    "Enum",
    *("Channel", "Protection", "UnaryMethod", "msgspec", "builtins", "class", "from"),
    *("account", "entry", "Account", "Entry", "a", "number_of_accounts_of_a_customer"),
]
# Python's keywords get another name as types and members, so they do not come back.
PLAIN_WORDS = [word for word in WORDS if word not in ("class", "from")]
SCALARS = [scalar for scalar in Scalar if scalar is not Scalar.NONE]
# Of an union's members, one of each of these can be told apart from the others.
APART = [Scalar.INT, Scalar.FLOAT, Scalar.BOOL, Scalar.STRING]
# Every pair that a method can have: one without protection has no caller to run as.
DECLARED = [
    (protection, impersonate)
    for protection in Protection
    for impersonate in Impersonation
    if (protection, impersonate) != (Protection.NONE, Impersonation.REQUIRED)
]
DOCS = st.sampled_from(["", "One line.", "One line.\n\nMore:\n    deep.", 'A "\\" x'])
DEFAULTS: dict[Scalar, list[PlainValue]] = {
    Scalar.INT: [0, -5, 2**64 - 1],
    Scalar.FLOAT: [1.5, float("inf"), 1e100, -1e-07],
    Scalar.STRING: ["", "it's", 'say "a"', "x" * 60, "y" * 100],
    Scalar.BYTES: [b"", b"'\"\0"],
    Scalar.BOOL: [True],
    Scalar.TIMESTAMP: ["2026-01-02T03:04:05.000006+05:30"],
    Scalar.DATE: ["2026-01-02"],
    Scalar.DURATION: ["P1D", "-PT0.000005S"],
    Scalar.UUID: ["00000000-0000-0000-0000-000000000005"],
    Scalar.DECIMAL: ["1.50", "1" * 70],
}


def names(
    *, minimum: int = 0, maximum: int = 4, words: Iterable[str] = WORDS
) -> st.SearchStrategy[list[str]]:
    """Draw different names."""
    return st.lists(
        st.sampled_from(list(words)), unique=True, min_size=minimum, max_size=maximum
    )


def scalars() -> st.SearchStrategy[TypeNode]:
    """Draw a type without parts."""
    return st.sampled_from(SCALARS).map(lambda scalar: ScalarType(scalar=scalar))


def nodes(named: list[str]) -> st.SearchStrategy[TypeNode]:
    """Draw any type, with some of the named ones in it."""
    plain = scalars()
    if named:
        plain = plain | st.sampled_from(named).map(lambda name: NamedType(name=name))
    return st.recursive(plain, _compounds, max_leaves=6)


def _compounds(parts: st.SearchStrategy[TypeNode]) -> st.SearchStrategy[TypeNode]:
    return (
        parts.map(lambda item: ListType(item=item))
        | scalars().map(lambda item: SetType(item=item))
        | parts.map(lambda item: VariadicTupleType(item=item))
        | st.lists(parts, max_size=3).map(lambda items: TupleType(items=tuple(items)))
        | st.builds(_map, scalars(), parts)
        | parts.map(_optional)
        | st.builds(_union, st.permutations(APART), st.integers(2, 4), parts)
    )


def _map(key: TypeNode, value: TypeNode) -> TypeNode:
    return MapType(key=key, value=value)


def _optional(item: TypeNode) -> TypeNode:
    return item if isinstance(item, OptionalType) else OptionalType(item=item)


def _union(scalars: list[Scalar], count: int, item: TypeNode) -> TypeNode:
    options: list[TypeNode] = [ScalarType(scalar=each) for each in scalars[:count]]
    return UnionType(options=(*options, ListType(item=item)))


@st.composite
def services(draw: st.DrawFn) -> ServiceSchema:
    """Draw a service."""
    type_names = draw(names(words=PLAIN_WORDS))
    types = {name: draw(_definition(name, type_names)) for name in type_names}
    methods: list[MethodSchema] = []
    for name in draw(names(minimum=1)):
        parameters: list[Parameter] = []
        for parameter in draw(names()):
            node = draw(nodes(type_names))
            default = draw(_default(node, types, empty=False))
            parameters.append(Parameter(name=parameter, type=node, default=default))
        protection, impersonate = draw(st.sampled_from(DECLARED))
        kind = draw(st.sampled_from(CallKind))
        stream = None
        if kind.takes_items:
            taken = [each.name for each in parameters]
            free = [word for word in WORDS if word not in taken]
            name_of_it = draw(st.sampled_from(free))
            stream = Parameter(name=name_of_it, type=draw(nodes(type_names)))
        methods.append(
            MethodSchema(
                name=name,
                protection=protection,
                impersonate=impersonate,
                parameters=tuple(parameters),
                stream=stream,
                stream_index=(
                    draw(st.integers(0, len(parameters))) if kind.takes_items else 0
                ),
                kind=kind,
                result=draw(
                    nodes(type_names) | st.just(ScalarType(scalar=Scalar.NONE))
                ),
                doc=draw(DOCS),
            )
        )
    return ServiceSchema(
        name=draw(st.sampled_from(["Accounts", "bank.list", "a.b.Bank_9"])),
        methods=tuple(methods),
        types=tuple(types.values()),
        doc=draw(DOCS),
    )


@st.composite
def _definition(draw: st.DrawFn, name: str, named: list[str]) -> TypeDefinition:
    doc = draw(DOCS)
    if draw(st.booleans()):
        parts = draw(names(minimum=1, words=PLAIN_WORDS))
        values: list[str | int] = list(range(len(parts)))
        if draw(st.booleans()):
            values = [f"{part}'\"" for part in parts]
        members = [
            EnumMember(name=part, value=value)
            for part, value in zip(parts, values, strict=True)
        ]
        return EnumDefinition(name=name, members=tuple(members), doc=doc)
    fields: list[FieldDefinition] = []
    for part in draw(names(minimum=1)):
        node = draw(nodes(named))
        omittable = draw(st.booleans())
        # Defaults of the type's own service are not known yet: there are no members.
        default = None if omittable else draw(_default(node, {}, empty=True))
        fields.append(
            FieldDefinition(name=part, type=node, default=default, omittable=omittable)
        )
    tags = [None, Tag(field="type", value="it's"), Tag(field="kind", value=7)]
    return StructDefinition(
        name=name, fields=tuple(fields), tag=draw(st.sampled_from(tags)), doc=doc
    )


@st.composite
def _default(
    draw: st.DrawFn, node: TypeNode, types: dict[str, TypeDefinition], *, empty: bool
) -> Default | None:
    value = draw(st.none() | _values(node, types, empty=empty))
    return None if value is None else Default(value=value[0])


def _values(
    node: TypeNode, types: dict[str, TypeDefinition], *, empty: bool
) -> st.SearchStrategy[tuple[PlainValue] | None]:
    """Draw a default in a tuple of its own; None if there can be none."""
    match node:
        case ScalarType(scalar=scalar) if scalar in DEFAULTS:
            return st.sampled_from(DEFAULTS[scalar]).map(lambda value: (value,))
        case NamedType(name=name) if name in types:
            definition = types[name]
            if isinstance(definition, EnumDefinition):
                values = [each.value for each in definition.members]
                return st.sampled_from(values).map(lambda value: (value,))
        case OptionalType():
            return st.just((None,))
        case VariadicTupleType(item=item):
            return st.lists(_values(item, types, empty=False), max_size=3).map(_many)
        case ListType() | SetType() | MapType() if empty:
            return st.just(((),))
        case _:
            pass
    return st.none()


def _many(values: list[tuple[PlainValue] | None]) -> tuple[PlainValue] | None:
    kept = [value[0] for value in values if value is not None]
    return (tuple(kept),)
