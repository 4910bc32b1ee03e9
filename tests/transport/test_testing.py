"""The public testing parts keep what they promise."""

import pytest

from signetrpc.transport import testing
from signetrpc.transport._events import Established
from signetrpc.transport._session import SessionState
from signetrpc.transport.errors import AuthenticationFailed, RemoteProtocolError
from signetrpc.transport.testing import ScriptedContext, drain, pump, scripted_facts
from tests.support.sessions import SEAL, pair, session


def ends(legs: int = 2) -> tuple[ScriptedContext, ScriptedContext]:
    return (
        ScriptedContext(initiator=True, legs=legs),
        ScriptedContext(initiator=False, legs=legs),
    )


@pytest.mark.parametrize("legs", range(1, 9))
def test_contexts_shake_hands_in_as_many_legs_as_said(legs: int) -> None:
    client, server = ends(legs)
    token = client.step(None)
    sent = 1
    turn, other = server, client
    while True:
        answer = turn.step(token)
        if answer is None:
            break
        sent += 1
        token, turn, other = answer, other, turn
    assert sent == legs
    assert client.complete and server.complete


def test_tokens_have_the_size_asked_for() -> None:
    token = ScriptedContext(initiator=True, token_bytes=5000).step(None)
    assert token is not None and len(token) == 5000


def test_another_token_is_refused() -> None:
    with pytest.raises(ValueError, match="not the scripted token"):
        ends()[1].step(b"token 1 ")


def test_it_seals_and_signs_in_order() -> None:
    client, server = ends()
    token = client.wrap(b"data")
    assert b"data" not in token
    assert server.unwrap(token) == (b"data", True)
    server.verify(b"more", client.sign(b"more"))
    with pytest.raises(ValueError, match="next sealed token"):
        server.unwrap(token)
    mic = client.sign(b"data")
    with pytest.raises(ValueError, match="next signature"):
        server.verify(b"Data", mic)


def test_directions_differ() -> None:
    client, _ = ends()
    mic = client.sign(b"data")
    with pytest.raises(ValueError):
        client.verify(b"data", mic)


def test_keys_differ() -> None:
    client = ScriptedContext(initiator=True, key=b"k" * 32)
    with pytest.raises(ValueError):
        ends()[1].verify(b"data", client.sign(b"data"))
    assert "kkk" not in repr(client)


def test_facts_may_be_given() -> None:
    facts = scripted_facts(initiator=False, target="host/other")
    assert facts.target == "host/other"
    context = ScriptedContext(initiator=False, reported=facts)
    assert context.facts() is facts
    assert ends()[0].facts() == scripted_facts(initiator=True)


def test_pump_joins_two_ends_and_gives_what_they_reported() -> None:
    client, server = pair()
    seen = pump(client, server)
    assert [[type(event) for event in events] for events in seen] == (
        [[Established]] * 2
    )
    client.send(b"hello", SEAL)
    assert pump(client, server) == ([], [(SEAL, [b"hello"])])
    assert client.state is server.state is SessionState.OPEN


def test_pump_raises_what_an_end_raises() -> None:
    client = session(initiator=True, legs=2)
    server = session(initiator=False, legs=4)
    with pytest.raises(RemoteProtocolError, match="FINISHED frame at the wrong"):
        pump(client, server)


def test_drain_reports_a_failed_step_to_its_session() -> None:
    class Broken(ScriptedContext):
        def step(self, token: bytes | None) -> bytes | None:
            raise KeyError("no")

    client = session(initiator=True, context=lambda _: Broken(initiator=True))
    with pytest.raises(AuthenticationFailed, match="the security mechanism failed"):
        list(drain(client))


def test_only_the_public_names_are_exported() -> None:
    assert set(testing.__all__) >= {"ScriptedContext", "drain", "pump"}
