"""Every security context keeps the contract; the suite finds those that do not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from signetrpc.transport import ContextFacts, SecurityContext, Unwrapped
from signetrpc.transport.testing import (
    ScriptedContext,
    check_security_context,
    scripted_facts,
)
from tests.support.kdc import SERVICE
from tests.support.mechanisms import Real, real
from tests.support.negotiation import initiator

__all__ = ["real"]

Ends = tuple[SecurityContext, SecurityContext]


def test_real_contexts(real: Real) -> None:
    def make() -> Ends:
        client = initiator(
            real.credentials,
            real.form,
            service=SERVICE,
            allowed=frozenset({real.mechanism}),
        )
        return client, real.factory.context(real.form)

    check_security_context(make)


class _Scripted(ScriptedContext):
    """A scripted context that keeps the whole contract."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._failed = False

    def step(self, token: bytes | None) -> bytes | None:
        try:
            return super().step(token)
        except ValueError:
            self._failed = True
            raise

    @property
    def complete(self) -> bool:
        return not self._failed and super().complete

    def wrap(self, data: bytes) -> bytes:
        self._check()
        return super().wrap(data)

    def sign(self, data: bytes) -> bytes:
        self._check()
        return super().sign(data)

    def _check(self) -> None:
        if not self.complete:
            raise ValueError("the handshake is not complete")


def test_a_scripted_context() -> None:
    check_security_context(
        lambda: (_Scripted(initiator=True), _Scripted(initiator=False))
    )


class _TakesReplays(_Scripted):
    def _nonce(self, *, sending: bool) -> bytes:
        return (b"c" if self.initiator is sending else b"s") + bytes(11)


class _TakesItsOwn(_Scripted):
    def _nonce(self, *, sending: bool) -> bytes:
        return b"x" + super()._nonce(sending=sending)[1:]


class _Shows(_Scripted):
    def wrap(self, data: bytes) -> bytes:
        return data + super().sign(data)

    def unwrap(self, token: bytes) -> Unwrapped:
        super().verify(token[:-32], token[-32:])
        return Unwrapped(token[:-32], True)


class _SaysUnencrypted(_Scripted):
    def unwrap(self, token: bytes) -> Unwrapped:
        return Unwrapped(super().unwrap(token).data, False)


class _VerifiesNothing(_Scripted):
    def verify(self, data: bytes, mic: bytes) -> None:
        del data, mic


class _VerifiesHalf(_Scripted):
    def verify(self, data: bytes, mic: bytes) -> None:
        expected = self._mic(data, self._nonce(sending=False))
        if expected[:16] != mic[:16]:
            raise ValueError("not the peer's")


class _CompletesAfterFailure(_Scripted):
    @property
    def complete(self) -> bool:
        return self._failed or super().complete


class _NeverEnds(_Scripted):
    def step(self, token: bytes | None) -> bytes | None:
        return b"again"


class _NamesNobody(_Scripted):
    def facts(self) -> ContextFacts:
        return replace(scripted_facts(initiator=self.initiator), name="")


class _OtherKey(_Scripted):
    def facts(self) -> ContextFacts:
        key = b"c" * 32 if self.initiator else b"s" * 32
        return replace(super().facts(), session_key=key)


class _NoKey(_Scripted):
    def facts(self) -> ContextFacts:
        return replace(super().facts(), session_key=bytes(32))


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (_TakesReplays, "A token counts once"),
        (_TakesItsOwn, "its own sealed token was taken"),
        (_Shows, "shows the plaintext"),
        (_SaysUnencrypted, "not encrypted"),
        (_VerifiesNothing, "other data was taken"),
        (_VerifiesHalf, "changed was taken"),
        (_CompletesAfterFailure, "after a failure"),
        (_NeverEnds, "not complete after 8 tokens"),
        (_NamesNobody, "does not know the client's name"),
        (_OtherKey, "the ends differ in session_key"),
        (_NoKey, "no session key"),
    ],
)
def test_the_suite_finds(kind: Callable[..., SecurityContext], found: str) -> None:
    with pytest.raises(AssertionError, match=found):
        check_security_context(lambda: (kind(initiator=True), kind(initiator=False)))
