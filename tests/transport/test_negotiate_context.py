"""The boundary: one kind of exception, one state, limits."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from signetrpc.transport._credentials import Keytab, Password, TicketCache
from signetrpc.transport._identity import Mechanism
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._security import (
    NegotiationProtocol,
    SecurityContext,
)
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
)
from tests.support.kdc import Kdc
from tests.support.negotiation import (
    ALICE,
    ALLOW_NTLM,
    KERBEROS,
    NTLM,
    account_file,
    admit,
    exchange,
    initiator,
)

FORMS = list(NegotiationProtocol)
# Examples share the factory, which keeps no state of theirs.
_SHARED = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

Operation = Callable[[SecurityContext], object]


@pytest.fixture
def factory(tmp_path: Path) -> AcceptorFactory:
    return AcceptorFactory([account_file(tmp_path)], ALLOW_NTLM)


@pytest.fixture
def kerberos(
    kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AcceptorFactory:
    """A server of both mechanisms, and alice signed in."""
    ccache = kerberos_environment.kinit("alice")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{ccache}")
    keytab = Keytab(kerberos_environment.keytab_file)
    return AcceptorFactory([account_file(tmp_path), keytab], ALLOW_NTLM)


def _fails(context: SecurityContext, token: bytes | None) -> AuthenticationFailed:
    with pytest.raises(AuthenticationFailed) as caught:
        context.step(token)
    assert not context.complete and not context.facts().complete
    return caught.value


OPERATIONS: list[Operation] = [
    lambda context: context.wrap(b"data"),
    lambda context: context.unwrap(b"data"),
    lambda context: context.sign(b"data"),
    lambda context: context.verify(b"data", b"mic"),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_protected_before_the_end(
    factory: AcceptorFactory, operation: Operation
) -> None:
    client, server = initiator(), factory.context(NegotiationProtocol.NTLM)
    token = server.step(client.step(None))
    for context in (client, server):
        with pytest.raises(AuthenticationFailed, match="not complete"):
            operation(context)
    client.step(token)
    client.sign(b"data")


@pytest.mark.parametrize("form", FORMS)
def test_a_failed_context_stays_failed(
    factory: AcceptorFactory, form: NegotiationProtocol
) -> None:
    token = initiator(protocol=form, allowed=frozenset({NTLM}))
    server = factory.context(form)
    _fails(server, b"garbage")
    if form is not NegotiationProtocol.KERBEROS:
        _fails(server, token.step(None))
    for operation in OPERATIONS:
        with pytest.raises(AuthenticationFailed):
            operation(server)


def test_a_token_after_the_end_is_refused_and_ends_it(
    factory: AcceptorFactory,
) -> None:
    client, server = initiator(), factory.context(NegotiationProtocol.NTLM)
    tokens = exchange(client, server)
    for context in (client, server):
        assert _fails(context, tokens[-1]).reason is FailureReason.MALFORMED
        with pytest.raises(AuthenticationFailed):
            context.sign(b"data")


@pytest.mark.parametrize("form", FORMS)
def test_each_end_begins_as_its_role_does(
    factory: AcceptorFactory, form: NegotiationProtocol
) -> None:
    for token in (None, b""):
        error = _fails(factory.context(form), token)
        assert error.reason is FailureReason.MALFORMED
    client = initiator(protocol=form)
    assert _fails(client, b"token").reason is FailureReason.MALFORMED
    client = initiator()
    client.step(None)
    for token in (None, b""):
        assert _fails(client, token).reason is FailureReason.MALFORMED
        client = initiator()
        client.step(None)


@pytest.mark.parametrize(
    "form", [NegotiationProtocol.NTLM, NegotiationProtocol.NEGOTIATE]
)
def test_tokens_have_a_limit(factory: AcceptorFactory, form: str) -> None:
    protocol = NegotiationProtocol(form)
    client = initiator(protocol=protocol, allowed=frozenset({NTLM}))
    first = client.step(None)
    assert first is not None
    error = _fails(factory.context(protocol), first + bytes(65537 - len(first)))
    assert error.reason is FailureReason.MALFORMED
    assert str(error) == "the peer's token has 65537 bytes, limit 65536"
    error = _fails(client, bytes(1 << 20))
    assert str(error) == "the peer's token has 1048576 bytes, limit 65536"


def test_an_own_token_over_the_limit_is_not_sent(factory: AcceptorFactory) -> None:
    client = initiator(Password("D" * 10_000 + "\\" + "u" * 25_000, "secret"))
    challenge = factory.context(NegotiationProtocol.NTLM).step(client.step(None))
    error = _fails(client, challenge)
    assert str(error).startswith("the token to send has 7")
    assert str(error).endswith(" bytes, limit 65536")


def test_what_is_not_allowed_fails_in_the_first_step(factory: AcceptorFactory) -> None:
    server = factory.context(NegotiationProtocol.KERBEROS)
    error = _fails(server, b"token")
    assert error.reason is FailureReason.MECHANISM
    for form, allowed in (
        (NegotiationProtocol.NTLM, frozenset({KERBEROS})),
        (NegotiationProtocol.KERBEROS, frozenset({NTLM})),
        (NegotiationProtocol.NEGOTIATE, frozenset[Mechanism]()),
    ):
        error = _fails(initiator(protocol=form, allowed=allowed), None)
        assert error.reason is FailureReason.MECHANISM


# Bad input: whatever comes, only AuthenticationFailed leaves, and nobody is let in.

_PREFIXES = [b"", b"NTLMSSP\0\1\0\0\0", b"NTLMSSP\0\3\0\0\0", b"`\x06", b"\xa1\x03"]
_garbage = st.one_of(
    st.binary(max_size=200),
    st.builds(bytes.__add__, st.sampled_from(_PREFIXES), st.binary(max_size=300)),
)


def _nobody_gets_in(
    factory: AcceptorFactory, server: SecurityContext, token: bytes
) -> None:
    try:
        server.step(token)
    except AuthenticationFailed:
        assert not server.complete
    if server.complete:
        with pytest.raises(HandshakeError):
            admit(server, factory)


@_SHARED
@given(token=_garbage, form=st.sampled_from(FORMS))
@example(token=b"`\x82\xff\xff", form=NegotiationProtocol.NEGOTIATE)
@example(token=b"\x30\x84\xff\xff\xff\xff", form=NegotiationProtocol.NEGOTIATE)
def test_garbage_to_a_server(
    factory: AcceptorFactory, token: bytes, form: NegotiationProtocol
) -> None:
    _nobody_gets_in(factory, factory.context(form), token)
    if form is not NegotiationProtocol.KERBEROS:
        server = factory.context(form)
        server.step(initiator(protocol=form, allowed=frozenset({NTLM})).step(None))
        _nobody_gets_in(factory, server, token)


@_SHARED
@given(token=_garbage)
def test_garbage_to_a_kerberos_server(kerberos: AcceptorFactory, token: bytes) -> None:
    for form in (NegotiationProtocol.KERBEROS, NegotiationProtocol.NEGOTIATE):
        _nobody_gets_in(kerberos, kerberos.context(form), token)


@_SHARED
@given(token=_garbage, form=st.sampled_from(FORMS))
def test_garbage_to_a_client(
    kerberos: AcceptorFactory, token: bytes, form: NegotiationProtocol
) -> None:
    tickets = form is NegotiationProtocol.KERBEROS
    client = initiator(TicketCache() if tickets else ALICE, form)
    client.step(None)
    try:
        client.step(token)
    except AuthenticationFailed:
        pass
    assert not client.complete


@_SHARED
@given(
    form=st.sampled_from(FORMS),
    leg=st.integers(0, 2),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    cut=st.booleans(),
)
def test_a_changed_token(
    kerberos: AcceptorFactory,
    form: NegotiationProtocol,
    leg: int,
    place: float,
    bit: int,
    cut: bool,
) -> None:
    tickets = form is NegotiationProtocol.KERBEROS
    client: SecurityContext = initiator(TicketCache() if tickets else ALICE, form)
    server: SecurityContext = kerberos.context(form)
    ends = [server, client]
    token = client.step(None)
    for _ in range(0 if tickets else leg):
        token = ends[0].step(token)
        ends.reverse()
    assert token is not None
    changed = bytearray(token)
    position = int(place * len(token))
    if cut:
        del changed[position:]
    else:
        changed[position] ^= 1 << bit
    try:
        ends[0].step(bytes(changed))
    except AuthenticationFailed:
        assert not ends[0].complete
    # A changed NEGOTIATE or CHALLENGE of NTLM may pass this step: the integrity code of
    # the last message finds it.  Kerberos and SPNEGO leave some bits of theirs free,
    # such as options and ways to write one number; who it is is not among them.
    if ends[0] is not server or not server.complete:
        return
    if form is NegotiationProtocol.NTLM:
        with pytest.raises(HandshakeError):
            admit(server, kerberos)
    else:
        assert admit(server, kerberos).name == "alice"


@pytest.mark.parametrize("depth", [10, 4000])
def test_a_token_nested_without_end(factory: AcceptorFactory, depth: int) -> None:
    token = b""
    for _ in range(depth):
        token = b"\x06\x06\x2b\x06\x01\x05\x05\x02" + token
        length = len(token)
        size = length.to_bytes(3, "big")
        token = b"\x60\x83" + size + token
        if len(token) > 65_000:
            break
    error = _fails(factory.context(NegotiationProtocol.NEGOTIATE), token)
    assert error.reason is FailureReason.MALFORMED
