"""A service whose every name is in somebody's way."""

import builtins
import datetime
import decimal
import enum
import typing
import uuid
from dataclasses import dataclass, field

import msgspec

from signetrpc import rpc


class Protection(enum.Enum):
    """Not the library's.

    With "quotes", a \\ and \"\"\" in its text, and at its end a "quote"
    """

    NONE = "none"
    SOME = 'so"me'


class Impersonation(enum.Enum):
    REQUIRED = "optional"


class Channel(enum.IntEnum):
    LEFT = 1
    RIGHT = -2


class Decimal(msgspec.Struct, tag="d\\ecimal", tag_field="list"):
    value: decimal.Decimal = decimal.Decimal("1.5")


class UUID(msgspec.Struct, tag="uuid", tag_field="list"):
    value: uuid.UUID = uuid.UUID(int=7)


class Mapped(msgspec.Struct, rename={"from_": "from", "class_": "class", "set_": "as"}):
    from_: builtins.str
    class_: builtins.int = 5
    set_: builtins.set[builtins.int] = set()
    date: "datetime.date" = datetime.date(2026, 1, 2)
    timedelta: "datetime.timedelta" = -datetime.timedelta(microseconds=5)
    later: builtins.str | msgspec.UnsetType = msgspec.UNSET


class Loose(typing.TypedDict, total=False):
    float: builtins.float
    bytes: typing.Required[builtins.bytes]


@dataclass
class Nested:
    """Ends in a backslash \\"""

    children: "list[Nested]" = field(default_factory=list["Nested"])
    by_name: "dict[str, Nested]" = field(default_factory=dict[str, "Nested"])
    long: builtins.str = "a text that is so long that it does not fit on its line ....."
    longer: builtins.str = (
        "a text that is so long that it does not fit on any line, however far to the "
        "left it starts"
    )


@rpc.service("a.b.Tricky", protection=rpc.Protection.SIGN)
class Tricky:
    @rpc.method
    def list(self, str: builtins.list[builtins.str]) -> builtins.list[builtins.str]:
        return str

    @rpc.method(rpc.Protection.NONE)
    def float(self, float: builtins.float = float("inf")) -> builtins.float:
        return float

    @rpc.method
    def msgspec(
        self, kind: Protection = Protection.SOME, side: Channel = Channel.RIGHT
    ) -> tuple[Protection, Channel]:
        return kind, side

    @rpc.method
    def uuid(self, it: Decimal | UUID | None) -> Decimal | UUID | None:
        return it

    @rpc.method
    def UUID(self, it: Mapped) -> Mapped:
        return it

    @rpc.method(impersonate=rpc.Impersonation.REQUIRED)
    async def loose(self, it: Loose) -> Loose:
        return it

    @rpc.method
    def as_whom(self, it: Impersonation) -> Impersonation:
        return it

    @rpc.method
    async def optional_after(
        self,
        when: datetime.datetime = datetime.datetime(
            2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC
        ),
        pairs: tuple[tuple[int, builtins.str], ...] = (
            (1, "the first of several texts"),
            (2, "another one, and not short"),
        ),
        *,
        needed: builtins.bytes,
        blob: builtins.bytes = b"\0'\"\xff",
        either: int | builtins.str | None = 'it\'s "so"',
    ) -> datetime.datetime:
        assert needed
        assert (pairs, either) == (
            ((1, "the first of several texts"), (2, "another one, and not short")),
            'it\'s "so"',
        )
        assert blob == b"\0'\"\xff"
        return when

    @rpc.method
    async def a_method_with_a_name_that_is_longer_than_others(
        self,
        deep: dict[
            tuple[int, decimal.Decimal, datetime.datetime],
            builtins.list[tuple[Nested, Nested, Nested, Nested] | None],
        ],
        wide: int
        | builtins.str
        | builtins.float
        | bool
        | builtins.list[Nested]
        | Nested,
        a_parameter_with_a_name_that_is_longer_than_others: dict[int, dict[int, bool]],
    ) -> dict[int, dict[builtins.str, builtins.list[Nested]]]:
        """It's "so"."""
        assert not deep
        assert isinstance(wide, Nested)
        assert a_parameter_with_a_name_that_is_longer_than_others == {1: {2: True}}
        return {1: {"a": [wide]}}

    @rpc.method
    def a(self) -> None:
        """Ends with a "quote" """
