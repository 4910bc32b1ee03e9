"""What is offered and chosen, and the suite that comes of it."""

from dataclasses import replace

import msgspec
import pytest

from signetrpc.transport._aead import AeadSuite
from signetrpc.transport._agreement import check_choice, choose, make_suite, offer
from signetrpc.transport._config import SessionConfig
from signetrpc.transport._protection import SuiteName
from signetrpc.transport._security import SecurityPolicy
from signetrpc.transport._suites import GssSuite
from signetrpc.transport.errors import (
    HandshakeError,
    InsufficientProtection,
    RemoteProtocolError,
)
from signetrpc.transport.testing import ScriptedContext
from tests.support.sessions import SIGN, config

GSS, AEAD = SuiteName.GSS, SuiteName.AES256GCM


def brings(*suites: str, initiator: bool = True) -> SessionConfig:
    """Return an end with those suites."""
    policy = SecurityPolicy(suites=suites, minimum_protection=SIGN)
    return replace(config(initiator=initiator), policy=policy)


@pytest.mark.parametrize(
    ("client", "server", "chosen"),
    [
        ((AEAD, GSS), (AEAD, GSS), AEAD),
        ((GSS, AEAD), (AEAD, GSS), AEAD),
        ((AEAD, GSS), (GSS, AEAD), GSS),
        ((AEAD, GSS), (GSS,), GSS),
        ((GSS,), (AEAD, GSS), GSS),
    ],
)
def test_the_server_takes_its_own_best(
    client: tuple[str, ...], server: tuple[str, ...], chosen: str
) -> None:
    hello = offer(brings(*client))
    answer = choose(brings(*server, initiator=False), hello)
    assert answer.suite == chosen
    check_choice(brings(*client), hello, answer)
    assert (answer.key is not None) == (chosen == AEAD)


def test_the_default_is_aes256gcm() -> None:
    assert SecurityPolicy().suites == (AEAD, GSS)


def test_a_key_is_offered_where_a_suite_needs_one() -> None:
    assert offer(brings(GSS)).key is None
    assert len(offer(brings(AEAD)).key or b"") == 32


def test_no_suite_in_common_is_refused() -> None:
    with pytest.raises(HandshakeError, match="no suite in common"):
        choose(brings(GSS, initiator=False), offer(brings(AEAD)))


def test_a_missing_key_is_refused_by_both_ends() -> None:
    client, server = brings(AEAD), brings(AEAD, initiator=False)
    hello = offer(client)
    bare = msgspec.structs.replace(hello, key=None)
    with pytest.raises(RemoteProtocolError, match="without a key"):
        choose(server, bare)
    answer = msgspec.structs.replace(choose(server, hello), key=None)
    with pytest.raises(RemoteProtocolError, match="without a key"):
        check_choice(client, hello, answer)


def test_choices_outside_the_offer_are_refused() -> None:
    client, server = brings(GSS), brings(GSS, AEAD, initiator=False)
    hello = offer(client)
    answer = choose(server, hello)
    for changed in ({"suite": AEAD}, {"version": 2}):
        other = msgspec.structs.replace(answer, **changed)
        with pytest.raises(HandshakeError, match="not offered"):
            check_choice(client, hello, other)
    with pytest.raises(InsufficientProtection, match="NONE as minimum"):
        check_choice(client, hello, msgspec.structs.replace(answer, minimum=0))


@pytest.mark.parametrize(("suite", "kind"), [(GSS, GssSuite), (AEAD, AeadSuite)])
def test_both_ends_make_the_suite_that_was_chosen(suite: str, kind: type) -> None:
    client, server = brings(suite), brings(suite, initiator=False)
    hello = offer(client)
    answer = choose(server, hello)
    for end in (client, server):
        made = make_suite(
            end,
            hello,
            answer,
            initiator=end is client,
            context=ScriptedContext(initiator=end is client),
            session_key=b"k" * 16,
            transcript=b"t" * 32,
        )
        assert type(made) is kind
