"""The connector suite finds connectors that do not keep the contract."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import pytest

from signetrpc.transport import (
    Acceptor,
    Channel,
    Connector,
    HandshakeError,
    Link,
    Mechanism,
    PlainAcceptor,
    PlainConnector,
    Protection,
    SecurityPolicy,
    open_channel,
)
from signetrpc.transport._contract_pipes import TappedPipe
from signetrpc.transport._pipes import Pipe
from signetrpc.transport.testing import ConnectorPair, check_connector, memory_pipes
from tests.support.connectors import NOWHERE, plain_pair

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection


async def _finds(pair: ConnectorPair, found: str) -> None:
    with pytest.raises(AssertionError, match=found):
        await check_connector(pair)


@pytest.mark.parametrize("levels", [{SEAL}, {NONE, SIGN}])
async def test_levels_that_are_not_given(levels: set[Protection]) -> None:
    await _finds(replace(plain_pair(), levels=frozenset(levels)), "asked for")


async def test_a_client_that_is_known_otherwise() -> None:
    await _finds(replace(plain_pair(), mechanism=Mechanism.TLS), "knows the client by")


class _Trusting(Connector):
    """Says that it seals, and does not."""

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        return await open_channel(
            pipe,
            Channel(provides=SEAL),
            initiator=True,
            policy=self._policy,
            start=start,
        )


class _TrustingAcceptor(Acceptor):
    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        return await open_channel(
            pipe,
            Channel(provides=SEAL),
            initiator=False,
            policy=self._policy,
            start=start,
        )


TRUSTING = ConnectorPair(
    connector=_Trusting(NOWHERE, SecurityPolicy(), None),
    acceptor=_TrustingAcceptor(SecurityPolicy(), None, None),
    levels=frozenset({SEAL}),
    mechanism=Mechanism.ANONYMOUS,
)


async def test_a_protection_that_is_none() -> None:
    await _finds(TRUSTING, "A changed message never arrives")


async def test_where_nobody_else_reaches_that_protection_will_do() -> None:
    await check_connector(replace(TRUSTING, exposed=False))


async def test_a_handshake_that_raises_what_it_likes() -> None:
    class Careless(PlainAcceptor):
        async def secure(self, pipe: Pipe, *, start: float) -> Link:
            data = await pipe.receive()
            if data[:1] != b"\1":
                raise ValueError("what is this")
            tap = _Again(pipe, data)
            return await super().secure(tap, start=start)

    await _finds(replace(plain_pair(), acceptor=Careless()), "what is this")


class _Again(TappedPipe):
    """Gives bytes that were received already once more."""

    def __init__(self, pipe: Pipe, data: bytes) -> None:
        super().__init__(pipe)
        self._data = data

    async def receive(self) -> bytes:
        data, self._data = self._data, b""
        return data or await super().receive()


class _Open(TappedPipe):
    """Never closes."""

    async def aclose(self, *, linger: bool = True) -> None:
        del linger

    def abort(self) -> None:
        pass


async def test_a_connection_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaking(PlainConnector):
        async def secure(self, pipe: Pipe, *, start: float) -> Link:
            link = await super().secure(_Open(pipe), start=start)
            return Link(pipe, link.session)

    # So long a wait is enough to know, and what does not end is what is looked for.
    monkeypatch.setattr("signetrpc.transport._contract_connector.PATIENCE", 1.0)
    pair = replace(plain_pair(), connector=Leaking(NOWHERE))
    await _finds(pair, "its connection closed.*It hangs")


async def test_a_swallowed_cancellation() -> None:
    class Stubborn(PlainConnector):
        async def secure(self, pipe: Pipe, *, start: float) -> Link:
            try:
                return await super().secure(pipe, start=start)
            except anyio.get_cancelled_exc_class():
                raise HandshakeError("something happened") from None

    pair = replace(plain_pair(), connector=Stubborn(NOWHERE))
    await _finds(pair, "something happened")


def _broken(
    change: Callable[[Pipe], Pipe],
) -> Callable[[], Awaitable[tuple[Pipe, Pipe]]]:
    async def pipes() -> tuple[Pipe, Pipe]:
        one, two = memory_pipes()
        return change(one), two

    return pipes


class _Swapping(TappedPipe):
    """Swaps two messages of many."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe)
        self._held = b""
        self._count = 0

    def write(self, data: bytes) -> None:
        self._count += 1
        if self._count == 100:  # in the thousand
            self._held = data
        else:
            super().write(data)
            if self._held:
                super().write(self._held)
                self._held = b""


async def test_messages_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signetrpc.transport._contract_connector.PATIENCE", 1.0)
    await _finds(replace(plain_pair(), pipes=_broken(_Swapping)), "keep their order")
