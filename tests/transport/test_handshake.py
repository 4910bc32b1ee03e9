"""The handshake: what goes when, and mechanisms that fail or prove too little."""

from dataclasses import replace

import pytest

from signetrpc.transport._config import NO_BINDING, SessionConfig
from signetrpc.transport._events import Established, StepRequired
from signetrpc.transport._frames import Frame, FrameType
from signetrpc.transport._identity import ImpersonationLevel
from signetrpc.transport._protection import Protection
from signetrpc.transport._security import (
    ChannelBinding,
    ContextFacts,
    SecurityContext,
)
from signetrpc.transport._session import Session, SessionState
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
    InsufficientProtection,
    IntegrityError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport.testing import ScriptedContext, pump, scripted_facts
from tests.support.sessions import (
    NONE,
    TARGET,
    collect,
    config,
    frames,
    hello_of,
    over_a_path,
    pair,
    rejects,
    session,
    settle,
    token,
)

HELLO, TOKEN, FINISHED = FrameType.HELLO, FrameType.TOKEN, FrameType.FINISHED


# As it should be.


@pytest.mark.parametrize("legs", range(2, 9))
def test_both_ends_open_after_any_number_of_legs(legs: int, suite: str) -> None:
    client, server = pair(legs=legs, suite=suite)
    seen = pump(client, server)
    for events, end in zip(seen, (client, server), strict=True):
        assert [type(event) for event in events] == [Established]
        assert end.state is SessionState.OPEN
    assert client.peer.name == TARGET
    assert client.peer.impersonation is ImpersonationLevel.IDENTIFY
    assert server.peer.principal == "alice@EXAMPLE.COM"
    assert server.peer.impersonation is ImpersonationLevel.IMPERSONATE


@pytest.mark.parametrize(
    ("legs", "flights"),
    [
        (2, [[1, 2], [1, 2, 3], [3]]),
        (3, [[1, 2], [1, 2], [2, 3], [3]]),
        (4, [[1, 2], [1, 2], [2], [2, 3], [3]]),
        (5, [[1, 2], [1, 2], [2], [2], [2, 3], [3]]),
    ],
)
def test_what_goes_when(legs: int, flights: list[list[int]], suite: str) -> None:
    here, there = pair(legs=legs, suite=suite)
    seen: list[list[int]] = []
    while True:
        collect(here)
        data = here.data_to_send()
        if not data:
            break
        seen.append([frame.kind for frame in frames(data)])
        there.receive_data(data)
        here, there = there, here
    assert seen == flights


def test_the_server_answers_hello_only_when_the_first_token_is_there(
    suite: str,
) -> None:
    server = session(initiator=False, suite=suite)
    server.receive_data(hello_of(suite=suite))
    assert collect(server) == []
    assert server.data_to_send() == b""
    server.receive_data(token(0))
    assert [type(event) for event in collect(server)] == [StepRequired]
    assert [frame.kind for frame in frames(server.data_to_send())] == [1, 2, 3]


@pytest.mark.parametrize("ours", Protection)
@pytest.mark.parametrize("theirs", Protection)
def test_the_higher_minimum_rules(
    ours: Protection, theirs: Protection, suite: str
) -> None:
    client = session(initiator=True, minimum=ours, suite=suite)
    server = session(initiator=False, minimum=theirs, suite=suite)
    pump(client, server)
    for end in (client, server):
        assert end.established.minimum is max(ours, theirs)
        if max(ours, theirs) > NONE:
            with pytest.raises(LocalProtocolError):
                end.send(b"x", NONE)


def with_binding(
    *,
    initiator: bool,
    binding: bytes,
    wish: ChannelBinding = ChannelBinding.WHEN_SUPPORTED,
    suite: str,
) -> SessionConfig:
    """Return an end whose connection runs over TLS."""
    brings = config(initiator=initiator, suite=suite)
    policy = replace(brings.policy, channel_binding=wish)
    return replace(brings, policy=policy, binding=binding)


@pytest.mark.parametrize("wish", ChannelBinding)
def test_the_binding_is_part_of_the_proof(wish: ChannelBinding, suite: str) -> None:
    client, server = (
        session(
            initiator=initiator,
            given=with_binding(
                initiator=initiator, binding=binding, wish=wish, suite=suite
            ),
            suite=suite,
        )
        for initiator, binding in ((True, b"B" * 32), (False, b"b" * 32))
    )
    if wish is ChannelBinding.NEVER:
        pump(client, server)
        assert not server.peer.channel_bound
        return
    outcomes = over_a_path(client, server)
    assert all(isinstance(outcome.error, TransportError) for outcome in outcomes)
    assert isinstance(outcomes[0].error, IntegrityError)


@pytest.mark.parametrize("wish", [ChannelBinding.WHEN_SUPPORTED, ChannelBinding.ALWAYS])
def test_ends_of_one_tls_channel_are_bound(wish: ChannelBinding, suite: str) -> None:
    client, server = (
        session(
            initiator=initiator,
            given=with_binding(
                initiator=initiator, binding=b"B" * 32, wish=wish, suite=suite
            ),
            suite=suite,
        )
        for initiator in (True, False)
    )
    pump(client, server)
    assert client.peer.channel_bound
    assert server.peer.channel_bound


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("other", [b"B" * 32, NO_BINDING])
def test_a_demanded_binding_that_is_not_there_is_refused(
    strict: bool, other: bytes, suite: str
) -> None:
    # The strict end demands it; the other does not run over TLS, or does not bind.
    demanding = with_binding(
        initiator=strict, binding=b"B" * 32, wish=ChannelBinding.ALWAYS, suite=suite
    )
    lax = with_binding(
        initiator=not strict, binding=other, wish=ChannelBinding.NEVER, suite=suite
    )
    client, server = (demanding, lax) if strict else (lax, demanding)
    outcomes = over_a_path(
        session(initiator=True, given=client, suite=suite),
        session(initiator=False, given=server, suite=suite),
    )
    for outcome in outcomes:
        assert isinstance(outcome.error, InsufficientProtection)


def test_channel_binding_cannot_be_demanded_without_tls(suite: str) -> None:
    client = session(
        initiator=True,
        given=with_binding(
            initiator=True, binding=NO_BINDING, wish=ChannelBinding.ALWAYS, suite=suite
        ),
        suite=suite,
    )
    outcome = over_a_path(client, session(initiator=False, suite=suite))[0]
    assert isinstance(outcome.error, InsufficientProtection)
    assert "does not run over TLS" in str(outcome.error)


# Contexts that fail, or prove too little.


class Failing(ScriptedContext):
    """Raises what libraries raise, at the point that `fails` names."""

    fails = ""

    def _maybe(self, point: str) -> None:
        if self.fails == point:
            raise KeyError("secret of the library")

    def step(self, token: bytes | None) -> bytes | None:
        self._maybe("step")
        return super().step(token)

    @property
    def complete(self) -> bool:
        self._maybe("complete")
        return super().complete

    def facts(self) -> ContextFacts:
        self._maybe("facts")
        return super().facts()

    def sign(self, data: bytes) -> bytes:
        self._maybe("sign")
        return super().sign(data)

    def verify(self, data: bytes, mic: bytes) -> None:
        self._maybe("verify")
        super().verify(data, mic)


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("point", ["make", "step", "complete", "facts", "sign"])
def test_whatever_a_mechanism_raises_is_a_failed_authentication(
    point: str, initiator: bool, suite: str
) -> None:
    def make(_: object) -> SecurityContext:
        if point == "make":
            raise KeyError("secret of the library")
        context = Failing(initiator=initiator)
        context.fails = point
        return context

    failing = session(initiator=initiator, context=make, suite=suite)
    other = session(initiator=not initiator, suite=suite)
    ends = (failing, other) if initiator else (other, failing)
    outcomes = over_a_path(*ends)
    error = outcomes[0 if initiator else 1].error
    assert isinstance(error, AuthenticationFailed)
    assert error.reason is FailureReason.MALFORMED
    assert "secret" not in str(error)
    assert isinstance(error.__cause__, KeyError)
    told = outcomes[1 if initiator else 0].error
    assert isinstance(told, AuthenticationFailed)
    assert told.reason is FailureReason.REFUSED


def test_a_mechanism_that_cannot_verify_finished(suite: str) -> None:
    def make(_: object) -> SecurityContext:
        context = Failing(initiator=False)
        context.fails = "verify"
        return context

    client, server = (
        session(initiator=True, suite=suite),
        session(initiator=False, context=make, suite=suite),
    )
    assert isinstance(over_a_path(client, server)[1].error, IntegrityError)


def test_the_rules_run_before_finished_is_sent(suite: str) -> None:
    weak = replace(scripted_facts(initiator=False), confidentiality=False)
    server = session(
        initiator=False,
        context=lambda _: ScriptedContext(initiator=False, reported=weak),
        suite=suite,
    )
    sent: list[FrameType] = []

    def watch(frame: Frame) -> list[bytes]:
        sent.append(frame.kind)
        return [frame.encoded]

    first, second = over_a_path(
        session(initiator=True, suite=suite), server, to_client=watch
    )
    assert isinstance(second.error, InsufficientProtection)
    assert FINISHED not in sent
    assert isinstance(first.error, InsufficientProtection)


def test_a_context_with_nothing_more_to_say_must_be_complete(suite: str) -> None:
    class Silent(ScriptedContext):
        def step(self, token: bytes | None) -> bytes | None:
            return None

    client = session(
        initiator=True, context=lambda _: Silent(initiator=True), suite=suite
    )
    outcome = settle(client)
    assert isinstance(outcome.error, AuthenticationFailed)
    assert outcome.error.reason is FailureReason.NOT_PROVEN


def test_a_context_that_needs_no_server_proves_no_server(suite: str) -> None:
    client = session(initiator=True, legs=1, suite=suite)
    outcome = settle(client)
    assert isinstance(outcome.error, AuthenticationFailed)
    assert "before the server said anything" in str(outcome.error)


def test_more_than_eight_legs(suite: str) -> None:
    client, server = pair(legs=9, suite=suite)
    first, second = over_a_path(client, server)
    errors = [outcome.error for outcome in (first, second)]
    assert any("more than 8 tokens" in str(error) for error in errors)
    assert all(isinstance(error, RemoteProtocolError) for error in errors)


def test_a_token_of_this_end_over_the_limit(suite: str) -> None:
    client = session(
        initiator=True,
        context=lambda _: ScriptedContext(initiator=True, token_bytes=65537),
        suite=suite,
    )
    outcome = settle(client)
    assert isinstance(outcome.error, HandshakeError)
    assert "token has 65537 bytes, limit 65536" in str(outcome.error)


def test_a_token_at_the_limit_passes(suite: str) -> None:
    def make(initiator: bool) -> Session:
        return session(
            initiator=initiator,
            context=lambda _: ScriptedContext(initiator=initiator, token_bytes=65536),
            suite=suite,
        )

    client, server = make(True), make(False)
    pump(client, server)
    assert server.state is SessionState.OPEN


def test_a_context_that_refuses_by_itself_keeps_its_error(suite: str) -> None:
    def refuse(_: object) -> SecurityContext:
        raise HandshakeError("protocol 'ntlm' is not served")

    server = session(initiator=False, context=refuse, suite=suite)
    outcome = settle(server, hello_of(suite=suite))
    assert str(outcome.error) == "protocol 'ntlm' is not served"
    assert rejects(server) == [2]
