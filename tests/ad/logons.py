"""NTLM logons with a server that winbind verifies for, step by step."""

import pytest

from signetrpc.transport import (
    AuthenticationFailed,
    NegotiationProtocol,
    Password,
    SecurityContext,
)
from signetrpc.transport._negotiate import AcceptorFactory
from tests.ad.domain import password
from tests.support.negotiation import NTLM, exchange, initiator

ALICE = password("alice")


def acceptor(
    factory: AcceptorFactory, form: NegotiationProtocol = NegotiationProtocol.NTLM
) -> SecurityContext:
    """Return the server's end."""
    return factory.context(form)


def client_of(
    credentials: Password = ALICE,
    form: NegotiationProtocol = NegotiationProtocol.NTLM,
) -> SecurityContext:
    """Return a client's end that knows NTLM alone."""
    return initiator(credentials, form, allowed=frozenset({NTLM}))


def last_message(client: SecurityContext, server: "SecurityContext | Bare") -> bytes:
    """Return the client's last message, not yet delivered."""
    answer = client.step(server.step(client.step(None)))
    assert answer is not None
    return answer


class Bare:
    """An acceptor that is gss-ntlmssp and nothing else."""

    def __init__(self) -> None:
        import gssapi  # an extra: without it these tests are skipped, not broken

        ntlm = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
        credential = gssapi.Credentials(usage="accept", mechs=[ntlm])
        self.context = gssapi.SecurityContext(creds=credential, usage="accept")

    def step(self, token: bytes | None) -> bytes | None:
        answer: bytes | None = self.context.step(token)
        return answer


def refusal(factory: AcceptorFactory, credentials: Password) -> AuthenticationFailed:
    """Return how a logon fails."""
    client, server = client_of(credentials), acceptor(factory)
    with pytest.raises(AuthenticationFailed) as caught:
        exchange(client, server)
    assert not server.complete and not server.facts().complete
    return caught.value
