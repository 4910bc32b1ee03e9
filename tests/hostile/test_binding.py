"""Channel binding over TLS: proofs that were made for no channel, or for another.

HELLO agrees to bind in each of these; the proof inside the mechanism is what lacks it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from spnego._ntlm import _NTLMCredential  # pyright: ignore[reportPrivateUsage]
from spnego._ntlm_raw.messages import AvId, Challenge
from spnego.channel_bindings import GssChannelBindings

from signetrpc.transport._identity import ImpersonationLevel
from signetrpc.transport._negotiate import InitiatorContext
from signetrpc.transport._negotiate_ntlm import NtlmContext
from signetrpc.transport._security import ChannelBinding, NegotiationProtocol
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    InsufficientProtection,
)
from signetrpc.transport.testing import pump
from tests.support.mechanisms import Real, ntlm
from tests.support.negotiation import ALICE, KERBEROS, NTLM
from tests.support.paths import assert_both_fail
from tests.support.sessions import over_a_path

HASH, OTHER_HASH = b"B" * 32, b"b" * 32
DATA = b"tls-server-end-point:" + b"D" * 32
OTHER_DATA = b"tls-server-end-point:" + b"d" * 32


def test_a_bound_proof_gets_in(real: Real, suite: str) -> None:
    client = real.client(suite, binding=HASH, data=DATA)
    server = real.server(suite, binding=HASH, data=DATA)
    pump(client, server)
    assert client.peer.channel_bound and server.peer.channel_bound


def test_a_proof_without_channel_bindings_is_refused(real: Real, suite: str) -> None:
    # MIT's acceptor takes a Kerberos client that sent none.
    ends = (
        real.client(suite, binding=HASH, data=None),
        real.server(suite, binding=HASH, data=DATA),
    )
    outcomes = over_a_path(*ends)
    assert_both_fail(ends, outcomes)
    error = outcomes[1].error
    assert isinstance(error, AuthenticationFailed)
    assert error.reason is FailureReason.NOT_PROVEN
    said = "not bound to this" if real.mechanism is KERBEROS else "do not match"
    assert said in str(error)


class _Zeros(NtlmContext):
    """A client that presents sixteen zero bytes, which NTLM takes for "none"."""

    def _compute_response(
        self,
        challenge: Challenge,
        credential: _NTLMCredential,
        channel_bindings: GssChannelBindings | None,
    ) -> tuple[bytes, bytes, bytes]:
        info = challenge.target_info
        assert info is not None
        info[AvId.channel_bindings] = bytes(16)
        changed = Challenge(
            challenge.flags,
            challenge.server_challenge,
            target_name=challenge.target_name,
            target_info=info,
            version=challenge.version,
        )
        return super()._compute_response(changed, credential, None)


class _ZerosInitiator(InitiatorContext):
    def _ntlm(self) -> NtlmContext:
        return _Zeros(password=ALICE)


@pytest.mark.parametrize(
    "form", [NegotiationProtocol.NTLM, NegotiationProtocol.NEGOTIATE]
)
def test_an_all_zero_binding_is_none(
    form: NegotiationProtocol, tmp_path: Path, suite: str
) -> None:
    real = ntlm(tmp_path, form)
    level, only = ImpersonationLevel.IMPERSONATE, frozenset({NTLM})
    hostile = _ZerosInitiator(ALICE, form, "", level, only)
    ends = (
        real.client(suite, binding=HASH, context=lambda _: hostile),
        real.server(suite, binding=HASH, data=DATA),
    )
    outcomes = over_a_path(*ends)
    assert_both_fail(ends, outcomes)
    error = outcomes[1].error
    assert isinstance(error, AuthenticationFailed)
    assert "not bound to this TLS channel" in str(error)
    # Where the server asks for no binding, this client is as good as any.
    again = _ZerosInitiator(ALICE, form, "", level, only)
    pump(real.client(suite, context=lambda _: again), real.server(suite))


def test_a_proof_for_another_channel_is_refused(real: Real, suite: str) -> None:
    ends = (
        real.client(suite, binding=HASH, data=OTHER_DATA),
        real.server(suite, binding=HASH, data=DATA),
    )
    outcomes = over_a_path(*ends)
    assert_both_fail(ends, outcomes)
    assert isinstance(outcomes[1].error, AuthenticationFailed)


def test_somebody_between_who_ends_tls_is_found(real: Real, suite: str) -> None:
    # The relay shows its own certificate, to which the client binds its proof.
    ends = (
        real.client(suite, binding=OTHER_HASH, data=OTHER_DATA),
        real.server(suite, binding=HASH, data=DATA),
    )
    assert_both_fail(ends, over_a_path(*ends))


def test_nor_does_finished_fit_another_channel(real: Real, suite: str) -> None:
    # Even if the mechanism's own bindings said nothing.
    ends = (
        real.client(suite, binding=OTHER_HASH, data=DATA),
        real.server(suite, binding=HASH, data=DATA),
    )
    assert_both_fail(ends, over_a_path(*ends))


@pytest.mark.parametrize("strict", [True, False])
def test_where_it_is_demanded_a_session_without_it_is_refused(
    strict: bool, real: Real, suite: str
) -> None:
    def policy(wish: ChannelBinding) -> dict[str, Any]:
        changed = real.config(client=True, suite=suite).policy
        return {"policy": replace(changed, channel_binding=wish)}

    always, never = policy(ChannelBinding.ALWAYS), policy(ChannelBinding.NEVER)
    ends = (
        real.client(suite, binding=HASH, data=DATA, **(always if strict else never)),
        real.server(suite, binding=HASH, data=DATA, **(never if strict else always)),
    )
    outcomes = over_a_path(*ends)
    assert_both_fail(ends, outcomes)
    error = outcomes[0 if strict else 1].error
    assert isinstance(error, InsufficientProtection)
    assert "channel binding is required" in str(error)
