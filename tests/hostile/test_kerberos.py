"""Ways into a server with a keytab, and weak keys that a realm may still give."""

import anyio
import gssapi
import pytest

from signetrpc.transport import listen
from signetrpc.transport._credentials import Keytab, TicketCache
from signetrpc.transport._frames import FrameType
from signetrpc.transport._hello import ClientHello
from signetrpc.transport._identity import ImpersonationLevel
from signetrpc.transport._negotiate import AcceptorFactory, InitiatorContext
from signetrpc.transport._security import NegotiationProtocol, SecurityPolicy
from signetrpc.transport._stream import SecureStream
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
    InsufficientProtection,
)
from signetrpc.transport.testing import pump
from tests.hostile.scripts import (
    Script,
    against_listener,
    against_session,
    constant_finished,
    hello,
    token,
)
from tests.support.kdc import OTHER_SERVICE, REALM, SERVICE, Kdc
from tests.support.mechanisms import Real, kerberos
from tests.support.negotiation import KERBEROS
from tests.support.paths import assert_both_fail
from tests.support.sessions import collect, over_a_path

FORM = "kerberos"


def play(flight: bytes) -> Script:
    """A client that says one thing."""
    yield flight


def first_flight(real: Real, suite: str) -> bytes:
    """What a true client sends first, as somebody on the path has it."""
    client = real.client(suite)
    collect(client)
    return client.data_to_send()


# NTLM's server challenges afresh: see test_negotiate.
@pytest.mark.parametrize(
    "form", [NegotiationProtocol.KERBEROS, NegotiationProtocol.NEGOTIATE]
)
def test_a_replayed_proof_gets_nobody_in(
    form: NegotiationProtocol, realm: Kdc, suite: str
) -> None:
    real = kerberos(realm, form)
    flight = first_flight(real, suite)
    assert against_session(play(flight), real.server(suite)).error is None
    result = against_session(play(flight), real.server(suite))
    assert isinstance(result.error, AuthenticationFailed)
    assert result.error.reason is FailureReason.REFUSED
    assert "replay" in str(result.error)
    assert FrameType.FINISHED not in {frame.kind for frame in result.frames}


@pytest.mark.anyio
async def test_a_replayed_proof_gets_nobody_into_a_listener(
    tickets: Real, realm: Kdc, suite: str
) -> None:
    inside: list[SecureStream] = []

    async def handler(stream: SecureStream) -> None:
        inside.append(stream)

    accept = [Keytab(realm.keytab_file)]
    policy = SecurityPolicy(suites=(suite,))
    flight = first_flight(tickets, suite)
    async with await listen("tcp://127.0.0.1:0", accept=accept, policy=policy) as door:
        async with anyio.create_task_group() as group:
            group.start_soon(door.serve, handler)
            first = await against_listener(play(flight), door)
            assert not first.rejections
            second = await against_listener(play(flight), door)
            assert second.rejections == [4]
            group.cancel_scope.cancel()
    assert not inside


def _bare(realm: Kdc, *, flags: int, service: str = SERVICE) -> bytes:
    """The AP-REQ of another client than ours, without channel bindings."""
    context = gssapi.SecurityContext(
        name=gssapi.Name(realm.principal(service), gssapi.NameType.kerberos_principal),
        usage="initiate",
        flags=flags,
    )
    return context.step() or b""


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        (4 | 8 | 16 | 32, "without mutual authentication"),
        (2 | 16 | 32, "replay detection"),
        (2 | 4 | 16 | 32, "sequence detection"),
    ],
)
def test_a_client_that_asks_for_less_is_refused(
    flags: int, missing: str, tickets: Real, realm: Kdc, suite: str
) -> None:
    flight = hello(suite, FORM, target=SERVICE) + token(_bare(realm, flags=flags))
    result = against_session(play(flight + constant_finished()), tickets.server(suite))
    assert isinstance(result.error, HandshakeError)
    assert missing in str(result.error)
    assert not result.inside


def test_a_ticket_for_another_service_than_hello_s(realm: Kdc, suite: str) -> None:
    # The keytab has both keys, so that the library takes either ticket.
    policy = SecurityPolicy.kerberos_only()
    keytab = Keytab(realm.keytab(SERVICE, OTHER_SERVICE))
    real = kerberos(realm)
    server = Real(
        mechanism=KERBEROS,
        form=real.form,
        factory=AcceptorFactory([keytab], policy),
        policy=policy,
        credentials=real.credentials,
    ).server(suite)
    ap_req = _bare(realm, flags=2 | 4 | 8 | 16 | 32, service=OTHER_SERVICE)
    flight = hello(suite, FORM, target=SERVICE) + token(ap_req)
    result = against_session(play(flight), server)
    assert isinstance(result.error, AuthenticationFailed)
    assert result.error.reason is FailureReason.UNKNOWN_SERVICE
    assert result.rejections == [6]


def test_a_service_that_policy_leaves_out(realm: Kdc, suite: str) -> None:
    served = frozenset({OTHER_SERVICE})
    policy = SecurityPolicy(service_principals=served)
    keytab = Keytab(realm.keytab(SERVICE, OTHER_SERVICE))
    factory = AcceptorFactory([keytab], policy)
    real = kerberos(realm)
    server = Real(
        mechanism=KERBEROS,
        form=real.form,
        factory=factory,
        policy=policy,
        credentials=real.credentials,
    ).server(suite)
    ends = real.client(suite), server
    assert_both_fail(ends, over_a_path(*ends))


@pytest.fixture
def weak(realm: Kdc, monkeypatch: pytest.MonkeyPatch) -> tuple[str, TicketCache]:
    """Make this process take arcfour, and give alice a ticket of that kind."""
    ccache = realm.kinit("alice")
    service, config = realm.weak_ticket(ccache)
    monkeypatch.setenv("KRB5_CONFIG", str(config))
    return service, TicketCache(ccache)


def test_an_arcfour_session_key_is_refused_by_both_ends(
    weak: tuple[str, TicketCache], realm: Kdc, suite: str
) -> None:
    service, tickets = weak
    policy = SecurityPolicy.kerberos_only()
    real = Real(
        mechanism=KERBEROS,
        form=kerberos(realm).form,
        factory=AcceptorFactory([Keytab(realm.keytab(service))], policy),
        policy=policy,
        credentials=tickets,
    )

    def context(_: ClientHello) -> InitiatorContext:
        return InitiatorContext(
            real.credentials,
            real.form,
            service,
            ImpersonationLevel.IMPERSONATE,
            frozenset({KERBEROS}),
        )

    client = real.client(suite, context=context, target=service)
    ends = client, real.server(suite)
    outcomes = over_a_path(*ends)
    assert_both_fail(ends, outcomes)
    assert isinstance(outcomes[1].error, InsufficientProtection)
    assert "session enctype 23" in str(outcomes[1].error)


def test_the_true_client_does_get_in(tickets: Real, suite: str) -> None:
    client, server = tickets.client(suite), tickets.server(suite)
    pump(client, server)
    assert server.peer.principal == f"alice@{REALM}"
