"""A service with streams of each kind, some of them with names in the way."""

import builtins
from collections import abc
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass

from signetrpc.rpc import Impersonation, Protection, method, service


@dataclass
class ItemSource:
    """A type with a name that a client has to import otherwise."""

    name: str


@service("feeds.Feeds", protection=Protection.SIGN)
class Feeds:
    """Streams each way."""

    @method
    async def total(self, numbers: AsyncIterator[int]) -> int:
        """Add numbers up."""
        return sum([number async for number in numbers])

    @method
    async def join(
        self,
        between: str,
        parts: AsyncIterable[ItemSource],
        *,
        end: str = "",
    ) -> str:
        return between.join([part.name async for part in parts]) + end

    @method(Protection.SEAL, impersonate=Impersonation.REQUIRED)
    def watch(self, account: str, count: int = 2) -> Iterator[ItemSource]:
        """Tell of each change of an account."""
        for number in range(count):
            yield ItemSource(f"{account} {number}")

    @method
    async def chat(self, messages: AsyncIterator[str]) -> AsyncIterator[str]:
        """Talk."""
        async for message in messages:
            yield f"{message}!"

    @method
    async def Iterable(
        self, start: int = 0, *, float: AsyncIterator[builtins.float], to: int
    ) -> AsyncIterator[tuple[int, builtins.float]]:
        async for each in float:
            yield start + to, each

    @method
    def messages(
        self,
        a_parameter_with_a_name_that_is_longer_than_most: abc.Iterable[
            dict[str, tuple[int, list[ItemSource] | None]]
        ],
    ) -> Iterator[dict[str, dict[str, dict[str, tuple[int, list[ItemSource]]]]]]:
        for each in a_parameter_with_a_name_that_is_longer_than_most:
            yield {"": {name: {"": (value[0], [])} for name, value in each.items()}}
