"""What a server offers, packed for the processes that run it."""

import pickle
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from signetrpc.rpc import (
    CallContext,
    Impersonation,
    SchemaError,
    StatusCode,
    method,
    service,
)
from signetrpc.rpc._offer import Offer
from tests.support.around import Changing
from tests.support.kinds import KINDS, Numbers, Shown


@service("test.Mixed")
class Mixed:
    """Runs as its caller, or not, or must."""

    @method(impersonate=Impersonation.NOT_ALLOWED)
    async def own(self) -> int:
        return 1

    @method
    async def allowed(self) -> int:
        return 2

    @method(impersonate=Impersonation.REQUIRED)
    async def required(self) -> AsyncIterator[int]:
        yield 3


class Gauge:
    """An interceptor with something of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def on_start(self, context: CallContext) -> None:
        """Begin."""

    async def on_end(self, *_: object) -> None:
        """End."""


def unpacked(offer: Offer) -> Offer:
    found = pickle.loads(offer.packed())
    assert isinstance(found, Offer)
    return found


def test_it_is_packed_by_names_and_made_again() -> None:
    offer = Offer(
        services=[Mixed, partial(Numbers, Shown())],
        interceptors=[Changing(), Gauge("g")],
        errors={LookupError: StatusCode.NOT_FOUND},
    )
    found = unpacked(offer)
    assert found.services[0] is Mixed and found.errors == offer.errors
    first, second = found.interceptors
    assert isinstance(first, Changing) and isinstance(second, Gauge)
    assert second.name == "g" and second is not offer.interceptors[1]


def test_its_endpoints_are_what_may_run_as_the_caller() -> None:
    endpoints = Offer(services=[Mixed, Numbers]).endpoints()
    assert list(endpoints) == [
        "test.Mixed/allowed",
        "test.Mixed/required",
        *(f"test.Numbers/{name}" for name in KINDS),
    ]
    assert all(each.chain is None and not each.relayed for each in endpoints.values())


def test_interceptors_are_around_them() -> None:
    endpoints = Offer(services=[Mixed], interceptors=[Gauge("g")]).endpoints()
    assert all(each.chain is not None for each in endpoints.values())


def test_objects_cannot_serve_as_their_callers() -> None:
    with pytest.raises(SchemaError, match="^Mixed: an object cannot serve") as caught:
        Offer(services=[Mixed()]).packed()
    assert "give the class" in caught.value.hint


def _local() -> Any:
    class Local:
        async def on_start(self, context: CallContext) -> None:
            """Begin."""

        async def on_end(self, *_: object) -> None:
            """End."""

    return Local()


def _with_a_function() -> Any:
    gauge: Any = Gauge("g")
    gauge.call = lambda: None
    return gauge


@pytest.mark.parametrize("make", [_local, _with_a_function])
def test_interceptors_that_no_other_process_can_have_are_refused(
    make: Callable[[], Any],
) -> None:
    with pytest.raises(SchemaError, match="cannot import what is served") as caught:
        Offer(services=[Mixed], interceptors=[make()]).packed()
    assert caught.value.__cause__ is not None


def test_what_intercepts_nothing_is_refused_there_too() -> None:
    around: Any = [object()]
    with pytest.raises(TypeError, match="^object intercepts nothing$"):
        Offer(services=[Mixed], interceptors=around).endpoints()
