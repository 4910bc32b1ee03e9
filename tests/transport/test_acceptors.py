"""Negotiate over TLS: which proofs are bound to the channel, and who is refused."""

from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives import hashes

from signetrpc.transport import (
    Acceptor,
    AuthenticationFailed,
    ChannelBinding,
    Connector,
    HandshakeError,
    InsufficientProtection,
    Keytab,
    LocalProtocolError,
    Mechanism,
    NegotiateAcceptor,
    NegotiateConnector,
    Password,
    PlainAcceptor,
    PlainConnector,
    Protection,
    SecureStreamAttribute,
    SecurityPolicy,
    TicketCache,
    TlsAcceptor,
    TlsConnector,
    TransportError,
    UnixAddress,
)
from signetrpc.transport.testing import memory_pipes
from tests.support.certificates import Authority, Certified
from tests.support.connectors import NOWHERE
from tests.support.kdc import SERVICE, Kdc
from tests.support.meetings import Outcome, closed, meet, met, short_linger
from tests.support.negotiation import ALICE, ALLOW_NTLM, account_file

__all__ = ["short_linger"]

pytestmark = pytest.mark.anyio

NEVER, WHEN, ALWAYS = ChannelBinding


class Ends:
    """Connectors and acceptors of one mechanism, over TLS or not."""

    def __init__(self, mechanism: Mechanism, folder: Path, realm: Kdc | None) -> None:
        self.mechanism = mechanism
        self.authority = Authority(folder)
        self._folder = folder
        self._realm = realm
        self._tickets = realm and TicketCache(realm.kinit("alice", service=SERVICE))

    def connector(
        self, binding: ChannelBinding = WHEN, *, tls: bool = True
    ) -> Connector:
        """Return a client's side."""
        return NegotiateConnector(
            NOWHERE,
            credentials=self._tickets or ALICE,
            policy=self._policy(binding),
            tls=self.authority.client() if tls else None,
        )

    def acceptor(
        self,
        binding: ChannelBinding = WHEN,
        *,
        tls: bool = True,
        certified: Certified | None = None,
    ) -> Acceptor:
        """Return a server's side."""
        realm = self._realm
        accept = Keytab(realm.keytab_file) if realm else account_file(self._folder)
        return NegotiateAcceptor(
            [accept],
            policy=self._policy(binding),
            tls=self.authority.server(certified) if tls else None,
        )

    def _policy(self, binding: ChannelBinding) -> SecurityPolicy:
        return replace(
            ALLOW_NTLM,
            mechanisms=frozenset({self.mechanism}),
            channel_binding=binding,
        )


@pytest.fixture(params=[Mechanism.NTLM, Mechanism.KERBEROS])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Ends:
    """Run a test over both mechanisms."""
    mechanism: Mechanism = request.param
    realm: Kdc | None = None
    if mechanism is Mechanism.KERBEROS:
        realm = request.getfixturevalue("kerberos_environment")
    return Ends(mechanism, tmp_path, realm)


def assert_bound(outcome: Outcome, mechanism: Mechanism, *, bound: bool) -> None:
    for peer in outcome.peers:
        assert peer.mechanism is mechanism
        assert peer.channel_bound is bound
    assert outcome.peers[1].name == "alice"


@pytest.mark.parametrize("server", [NEVER, WHEN, ALWAYS])
@pytest.mark.parametrize("client", [NEVER, WHEN, ALWAYS])
async def test_binding_is_what_both_policies_make_of_it(
    client: ChannelBinding, server: ChannelBinding, ends: Ends
) -> None:
    outcome = await meet(ends.connector(client), ends.acceptor(server))
    if NEVER in (client, server) and ALWAYS in (client, server):
        demanding = outcome.errors[0 if client is ALWAYS else 1]
        assert isinstance(demanding, InsufficientProtection)
        assert "channel binding is required" in str(demanding)
        return
    bound = NEVER not in (client, server)
    assert_bound(outcome, ends.mechanism, bound=bound)
    await closed(outcome)


async def test_a_binding_is_not_to_be_had_without_tls(ends: Ends) -> None:
    with pytest.raises(LocalProtocolError, match="channel binding is required"):
        ends.connector(ALWAYS, tls=False)
    outcome = await meet(ends.connector(tls=False), ends.acceptor(ALWAYS, tls=False))
    client, server = outcome.errors
    assert "does not run over TLS" in str(server)
    assert isinstance(client, HandshakeError)


async def test_without_tls_nothing_is_bound(ends: Ends) -> None:
    outcome = await meet(ends.connector(tls=False), ends.acceptor(tls=False))
    assert_bound(outcome, ends.mechanism, bound=False)
    await closed(outcome)


@pytest.mark.parametrize(
    "digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda d: d.name
)
async def test_certificates_of_every_hash_bind(
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512, ends: Ends
) -> None:
    certified = ends.authority.issue(digest=digest)
    outcome = await meet(ends.connector(ALWAYS), ends.acceptor(certified=certified))
    assert_bound(outcome, ends.mechanism, bound=True)
    await closed(outcome)


async def test_a_certificate_without_a_hash_binds(ends: Ends, tmp_path: Path) -> None:
    ends.authority = Authority(tmp_path, "Edwards", ed25519_key=True)
    outcome = await meet(ends.connector(ALWAYS), ends.acceptor())
    assert_bound(outcome, ends.mechanism, bound=True)
    await closed(outcome)


async def test_records_are_protected_by_their_own_suite_over_tls(ends: Ends) -> None:
    async with met(ends.connector(), ends.acceptor()) as (client, server):
        assert client.extra(SecureStreamAttribute.suite) == "aes256gcm"
        # TLS lifts no level: what is signed is signed.
        for level in (Protection.SIGN, Protection.SEAL):
            await client.send(b"x", level)
            assert (await server.receive()).protection is level


# Sides that do not go together.


async def test_a_proof_is_not_taken_for_a_channel_nor_a_channel_for_a_proof(
    ends: Ends,
) -> None:
    tls = TlsConnector(NOWHERE, tls=ends.authority.client())
    pairs: list[tuple[Connector, Acceptor]] = [
        (tls, ends.acceptor()),
        (ends.connector(), TlsAcceptor(ends.authority.server())),
        (PlainConnector(NOWHERE), ends.acceptor(tls=False)),
        (ends.connector(tls=False), PlainAcceptor()),
    ]
    for connector, acceptor in pairs:
        outcome = await meet(connector, acceptor)
        assert "no suite in common" in str(outcome.errors[1])


async def test_one_side_over_tls_and_one_without(ends: Ends) -> None:
    outcome = await meet(ends.connector(tls=False), ends.acceptor())
    assert "TLS failed" in str(outcome.errors[1])
    outcome = await meet(ends.connector(), ends.acceptor(tls=False))
    for error in outcome.errors:
        assert isinstance(error, TransportError)


async def test_a_wrong_password_reads_like_an_unknown_user_over_tls(
    tmp_path: Path,
) -> None:
    ends = Ends(Mechanism.NTLM, tmp_path, None)
    said: set[str] = set()
    for user, password in ((r"CORP\alice", "wrong"), (r"CORP\nobody", "wrong")):
        connector = NegotiateConnector(
            NOWHERE,
            credentials=Password(user, password),
            policy=ALLOW_NTLM,
            tls=ends.authority.client(),
        )
        outcome = await meet(connector, ends.acceptor())
        assert isinstance(outcome.errors[0], AuthenticationFailed)
        said.add(str(outcome.errors[0]))
    assert len(said) == 1


async def test_a_silent_client_of_tls_is_given_up(ends: Ends) -> None:
    near, far = memory_pipes()
    late = anyio.current_time() - 10
    with pytest.raises(TimeoutError, match="took over 10 seconds"):
        await ends.acceptor().secure(near, start=late)
    await far.aclose()


def test_any_address_will_do_but_for_plain_connections(ends: Ends) -> None:
    for acceptor in (ends.acceptor(), TlsAcceptor(ends.authority.server())):
        acceptor.check(UnixAddress("/run/x"))
        assert acceptor.policy.handshake_seconds == 10.0
