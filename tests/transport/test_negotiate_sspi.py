"""Kerberos by SSPI, with a stand-in for SSPI: it is only there on Windows."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spnego import ContextReq
from spnego._context import UnwrapResult, WrapResult
from spnego._sspi import SSPIProxy
from spnego.channel_bindings import GssChannelBindings

from signetrpc.transport import _negotiate
from signetrpc.transport._acceptance import Claim, accept
from signetrpc.transport._credentials import (
    ClientCredentials,
    Keytab,
    Password,
    TicketCache,
)
from signetrpc.transport._identity import ImpersonationLevel
from signetrpc.transport._negotiate_sspi import SspiContext, without_rotation
from signetrpc.transport._security import NegotiationProtocol, SecurityPolicy
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    InsufficientProtection,
)
from tests.support.negotiation import KERBEROS, initiator

SERVICE = "host/bank.corp.example.com"
ALL = (
    ContextReq.mutual_auth
    | ContextReq.replay_detect
    | ContextReq.sequence_detect
    | ContextReq.confidentiality
    | ContextReq.integrity
)
HEADER = b"\x05\x04\x02\xff\0\0"


@dataclass
class Sspi:
    """One leg each way; messages are wrapped in a header, and turned by 28."""

    context_attr: ContextReq = ALL
    session_key: bytes = bytes(range(32))
    encrypts: bool = True
    complete: bool = False

    def step(
        self, in_token: bytes | None, channel_bindings: GssChannelBindings | None
    ) -> bytes | None:
        self.complete = in_token == b"answer"
        return None if in_token else b"request"

    def wrap(self, data: bytes) -> WrapResult:
        turn = 28 % len(data)
        body = data[-turn:] + data[:-turn] if turn else data
        return WrapResult(HEADER + b"\0\x1c" + bytes(8) + body, self.encrypts)

    def unwrap(self, data: bytes) -> UnwrapResult:
        return UnwrapResult(data[16:], self.encrypts, 0)

    def sign(self, data: bytes) -> bytes:
        return data[::-1]

    def verify(self, data: bytes, mic: bytes) -> int:
        if mic != data[::-1]:
            raise ValueError("not the code")
        return 0


def _context(sspi: Sspi) -> SspiContext:
    return SspiContext(cast("SSPIProxy", sspi), SERVICE)


def _completed(sspi: Sspi) -> SspiContext:
    context = _context(sspi)
    assert context.step() == b"request"
    assert not context.complete and not context.facts().complete
    assert context.facts().session_key == b""
    assert context.step(b"answer") is None
    return context


def _judge(context: SspiContext) -> str:
    claim = Claim(
        facts=context.facts(),
        policy=SecurityPolicy.kerberos_only(),
        allowed=frozenset({KERBEROS}),
        initiator=True,
        target=SERVICE,
    )
    return accept(claim, impersonation=ImpersonationLevel.IDENTIFY).name


def test_a_complete_context_passes_the_rules() -> None:
    assert _judge(_completed(Sspi())) == SERVICE


@pytest.mark.parametrize(
    "flag", [flag for flag in ContextReq if flag in ALL and flag is not ContextReq.none]
)
def test_each_flag_that_is_missing_is_missed(flag: ContextReq) -> None:
    context = _completed(Sspi(context_attr=ALL & ~flag))
    with pytest.raises((InsufficientProtection, AuthenticationFailed)):
        _judge(context)


def test_a_short_key_may_be_rc4_s() -> None:
    with pytest.raises(InsufficientProtection, match="enctype None"):
        _judge(_completed(Sspi(session_key=bytes(range(16)))))


def test_messages() -> None:
    wrap, unwrap, sign, verify = _completed(Sspi()).messages()
    for data in (b"x", b"y" * 28, bytes(range(100))):
        assert wrap(data) == HEADER + b"\0\0" + bytes(8) + data
        assert unwrap(wrap(data)) == (data, True)
    verify(b"data", sign(b"data"))
    with pytest.raises(ValueError, match="not the code"):
        verify(b"data", b"")
    with pytest.raises(ValueError, match="without encryption"):
        _completed(Sspi(encrypts=False)).messages().wrap(b"data")


@pytest.mark.parametrize(
    "token", [b"", b"\x04\x04" + bytes(30), HEADER + b"\0\x1cdata"]
)
def test_other_tokens_are_not_unwrapped(token: bytes) -> None:
    with pytest.raises(ValueError, match="without rotation"):
        _completed(Sspi()).messages().unwrap(token)


@given(st.binary(min_size=1, max_size=80), st.integers(0, 0xFFFF))
def test_rotation_is_undone(body: bytes, count: int) -> None:
    turn = count % len(body)
    turned = body[len(body) - turn :] + body[: len(body) - turn]
    token = HEADER + count.to_bytes(2, "big") + bytes(8) + turned
    assert without_rotation(token) == HEADER + b"\0\0" + bytes(8) + body


@pytest.mark.parametrize("token", [b"", b"\x04\x04" + bytes(30), HEADER + bytes(10)])
def test_what_is_no_wrap_token_is_not_turned(token: bytes) -> None:
    with pytest.raises(ValueError, match="not a wrap token"):
        without_rotation(token)


@pytest.mark.parametrize(
    "credentials",
    [
        Keytab("some.keytab", "alice@EXAMPLE.COM"),
        TicketCache("FILE:some"),
        TicketCache(principal="alice@EXAMPLE.COM"),
        Password(r"CORP\alice", "secret"),
    ],
)
def test_credentials_that_sspi_has_no_use_for(credentials: ClientCredentials) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        SspiContext.initiator(credentials, SERVICE, ImpersonationLevel.IDENTIFY)
    assert caught.value.reason is FailureReason.NO_CREDENTIALS


@pytest.mark.parametrize(
    "credentials", [TicketCache(), Password("alice@EXAMPLE.COM", "secret")]
)
def test_elsewhere_than_on_windows_there_is_no_sspi(
    credentials: ClientCredentials,
) -> None:
    with pytest.raises(ImportError):
        SspiContext.initiator(credentials, SERVICE, ImpersonationLevel.DELEGATE)


def test_on_windows_kerberos_is_sspi_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_negotiate, "os", SimpleNamespace(name="nt"))
    client = initiator(TicketCache(), NegotiationProtocol.KERBEROS)
    with pytest.raises(AuthenticationFailed) as caught:
        client.step(None)
    assert isinstance(caught.value.__cause__, ImportError)
    assert "sspilib" in str(caught.value.__cause__)
