"""One changed bit in what real mechanisms protect: none of them is lenient."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from signetrpc.transport._config import SessionConfig
from signetrpc.transport._credentials import ClientCredentials, Keytab, TicketCache
from signetrpc.transport._frames import HEADER
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._protection import Protection
from signetrpc.transport._security import NegotiationProtocol, SecurityPolicy
from signetrpc.transport._session import Session
from signetrpc.transport.errors import IntegrityError
from signetrpc.transport.testing import pump
from tests.support.kdc import SERVICE, Kdc
from tests.support.negotiation import ALICE, ALLOW_NTLM, account_file, initiator
from tests.support.sessions import SEAL, SIGN, SMALL, config, settle

Make = Callable[[], tuple[Session, Session]]

KERBEROS_ONLY = SecurityPolicy.kerberos_only()


def maker(
    form: NegotiationProtocol,
    factory: AcceptorFactory,
    policy: SecurityPolicy,
    credentials: ClientCredentials,
) -> Make:
    """Return a function that makes two ends of an open session."""

    def brings(*, client: bool) -> SessionConfig:
        return replace(
            config(initiator=client),
            policy=policy,
            allowed=factory.mechanisms,
            limits=SMALL,
            target=SERVICE if client else "",
            protocol=form if client else "",
        )

    def make() -> tuple[Session, Session]:
        client = Session(
            brings(client=True),
            initiator=True,
            context=lambda _: initiator(credentials, form, service=SERVICE),
            now=0.0,
        )
        server = Session(
            brings(client=False),
            initiator=False,
            context=lambda _: factory.context(form),
            now=0.0,
        )
        pump(client, server)
        return client, server

    return make


def _flip_each_bit(make: Make, level: Protection) -> None:
    client, _ = make()
    client.send(b"attack at dawn", level)
    size = len(client.data_to_send()) * 8
    for bit in range(size):
        client, server = make()
        client.send(b"attack at dawn", level)
        changed = bytearray(client.data_to_send())
        assert len(changed) * 8 == size
        before = HEADER.unpack_from(changed)[3]
        changed[bit // 8] ^= 1 << bit % 8
        filler = b""
        if HEADER.unpack_from(changed)[3] > before:
            filler = bytes(SMALL.max_record_bytes)
        outcome = settle(server, bytes(changed), filler)
        assert type(outcome.error) is IntegrityError, bit
        assert outcome.events == [], bit


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_each_bit_of_a_record_over_ntlm(level: Protection, tmp_path: Path) -> None:
    factory = AcceptorFactory([account_file(tmp_path)], ALLOW_NTLM)
    make = maker(NegotiationProtocol.NTLM, factory, ALLOW_NTLM, ALICE)
    _flip_each_bit(make, level)


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_each_bit_of_a_record_over_kerberos(
    level: Protection, kerberos_environment: Kdc
) -> None:
    cache = TicketCache(kerberos_environment.kinit("alice"))
    factory = AcceptorFactory([Keytab(kerberos_environment.keytab_file)], KERBEROS_ONLY)
    make = maker(NegotiationProtocol.KERBEROS, factory, KERBEROS_ONLY, cache)
    _flip_each_bit(make, level)
