"""Frames of an open session that only its own peer could have made, and did not."""

import gssapi.raw
import pytest

from signetrpc.transport import _aead
from signetrpc.transport._frames import FrameType
from signetrpc.transport._hello import ClientHello
from signetrpc.transport._identity import ImpersonationLevel
from signetrpc.transport._negotiate import InitiatorContext
from signetrpc.transport._negotiate_kerberos import KerberosContext
from signetrpc.transport._protection import Protection
from signetrpc.transport._security import SecurityContext
from signetrpc.transport._session import Session
from signetrpc.transport.errors import IntegrityError, RemoteProtocolError
from signetrpc.transport.testing import pump
from tests.support.kdc import SERVICE
from tests.support.mechanisms import Real
from tests.support.sessions import (
    AEAD,
    GSS,
    NONE,
    SEAL,
    SIGN,
    frames,
    raw,
    settle,
)

RUN = b"\0\0\0\4fake"
P_RECORD_SEAL = bytes.fromhex("10 02 0000 00000008 0000000000000000")


def _opened(tickets: Real) -> tuple[KerberosContext, Session, Session]:
    """An open session in suite gss, and the client's own Kerberos context."""
    made: list[InitiatorContext] = []

    def context(_: ClientHello) -> SecurityContext:
        level = ImpersonationLevel.IMPERSONATE
        allowed = frozenset({tickets.mechanism})
        made.append(
            InitiatorContext(tickets.credentials, tickets.form, SERVICE, level, allowed)
        )
        return made[0]

    client, server = tickets.client(GSS, context=context), tickets.server(GSS)
    pump(client, server)
    inner = made[0]._context  # pyright: ignore[reportPrivateUsage]
    assert isinstance(inner, KerberosContext)
    return inner, client, server


def _wrap(inner: KerberosContext, data: bytes, *, encrypted: bool) -> bytes:
    context = inner._context  # pyright: ignore[reportPrivateUsage]
    assert context is not None
    return gssapi.raw.wrap(context, data, encrypted).message


def test_the_same_token_encrypted_and_where_it_belongs_is_taken(tickets: Real) -> None:
    # What the two attacks below are measured against.
    inner, _, server = _opened(tickets)
    sealed = _wrap(inner, P_RECORD_SEAL + RUN, encrypted=True)
    outcome = settle(server, raw(FrameType.RECORD, sealed, level=2))
    assert outcome.messages == [(SEAL, [b"fake"])]


def test_an_unencrypted_wrap_token_in_a_sealed_record(tickets: Real) -> None:
    inner, _, server = _opened(tickets)
    clear = _wrap(inner, P_RECORD_SEAL + RUN, encrypted=False)
    assert b"fake" in clear
    outcome = settle(server, raw(FrameType.RECORD, clear, level=2))
    assert type(outcome.error) is IntegrityError
    assert "not encrypted" in str(outcome.error)
    assert not outcome.messages


@pytest.mark.parametrize("count", [1, 16, 28])
def test_a_wrap_token_with_another_rotation(tickets: Real, count: int) -> None:
    # RFC 4121 section 4.2.5: the receiver undoes the rotation, so the same plaintext
    # comes out; that the bytes were changed would go unseen.
    inner, _, server = _opened(tickets)
    sealed = _wrap(inner, P_RECORD_SEAL + RUN, encrypted=True)
    header, body = sealed[:16], sealed[16:]
    rotated = body[-count:] + body[:-count]
    changed = header[:6] + count.to_bytes(2, "big") + header[8:] + rotated
    outcome = settle(server, raw(FrameType.RECORD, changed, level=2))
    assert type(outcome.error) is IntegrityError
    assert not outcome.messages


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_one_frame_s_protection_under_another_type(
    level: Protection, real: Real, suite: str
) -> None:
    # An empty signed record would make a CLOSE, were the type not protected.
    client, server = real.opened(suite)
    protects = client._suite  # pyright: ignore[reportPrivateUsage]
    assert protects is not None
    body = bytes(frames(protects.protect(FrameType.RECORD, level, b""))[0].body)
    outcome = settle(server, raw(FrameType.CLOSE, body, level=level))
    assert type(outcome.error) is IntegrityError
    assert not outcome.events


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_one_frame_s_protection_at_another_level(
    level: Protection, real: Real, suite: str
) -> None:
    client, server = real.opened(suite)
    client.send(b"x", level)
    (frame,) = frames(client.data_to_send())
    other = SIGN if level is SEAL else SEAL
    outcome = settle(server, raw(FrameType.RECORD, bytes(frame.body), level=other))
    assert type(outcome.error) is IntegrityError
    assert not outcome.messages


def test_an_unprotected_record_in_an_authenticated_session(
    real: Real, suite: str
) -> None:
    for end in real.opened(suite):
        outcome = settle(end, raw(FrameType.RECORD, RUN, level=NONE))
        assert type(outcome.error) is IntegrityError
        assert "this session's minimum is SIGN" in str(outcome.error)
        assert not outcome.messages


def test_an_unprotected_record_sent_by_the_peer_itself(real: Real, suite: str) -> None:
    # Nor may the peer, whose count would be right.
    client, server = real.opened(suite)
    protects = client._suite  # pyright: ignore[reportPrivateUsage]
    assert protects is not None
    outcome = settle(server, protects.protect(FrameType.RECORD, NONE, RUN))
    assert type(outcome.error) is IntegrityError
    assert not outcome.messages


# The change of keys.


def test_a_rekey_that_comes_early(real: Real) -> None:
    client, server = real.opened(AEAD)
    protects = client._suite  # pyright: ignore[reportPrivateUsage]
    assert protects is not None
    client.send(b"before", SEAL)
    before = client.data_to_send()
    outcome = settle(server, before, protects.protect(FrameType.REKEY, SIGN, b""))
    assert type(outcome.error) is RemoteProtocolError
    assert str(outcome.error) == "REKEY frame after 1 frames, at least 65536"
    assert outcome.messages == [(SEAL, [b"before"])]


def test_a_rekey_that_does_not_come(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = real.opened(AEAD)
    sent: list[bytes] = []
    for _ in range(3):
        client.send(b"x", SEAL)
        sent.append(client.data_to_send())
    monkeypatch.setattr(_aead, "REKEY_FRAMES", 2)
    outcome = settle(server, *sent)
    assert type(outcome.error) is RemoteProtocolError
    assert "past the life of its keys" in str(outcome.error)
    assert len(outcome.messages) == 2


def test_a_rekey_that_somebody_makes_up(real: Real, suite: str) -> None:
    for body in (b"", bytes(16)):
        for end in real.opened(suite):
            outcome = settle(end, raw(FrameType.REKEY, body, level=1))
            assert type(outcome.error) is IntegrityError


def test_a_rekey_when_due_is_taken_by_both(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = real.opened(AEAD)
    monkeypatch.setattr(_aead, "REKEY_FRAMES", 2)
    monkeypatch.setattr(_aead, "_FEWEST_FRAMES", 2)
    kinds: list[FrameType] = []
    for here, there in ((client, server), (server, client)) * 5:
        here.send(b"x", SEAL)
        data = here.data_to_send()
        kinds += [frame.kind for frame in frames(data)]
        assert settle(there, data).messages == [(SEAL, [b"x"])]
    assert kinds.count(FrameType.REKEY) == 4
