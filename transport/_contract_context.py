"""`check_security_context`: what the session relies on in every security context."""

import inspect
from collections.abc import Callable
from typing import Final

from ._security import ContextFacts, SecurityContext

__all__ = ["check_security_context"]

Ends = tuple[SecurityContext, SecurityContext]

_MOST_LEGS: Final = 8
_SIZES: Final = (1, 2, 15, 16, 17, 255, 256, 4096, 65536)
_FLIPPED: Final = 16
"""Places in a token where a bit is turned over, spread evenly."""


def check_security_context(make_pair: Callable[[], Ends]) -> None:
    """Check that a pair of security contexts keeps the contract of `SecurityContext`.

    The handshake completes on both ends with the same facts; sealing and signing work
    each way, independently; and tokens that are changed, repeated, moved or sent back
    are refused, as is a handshake with a changed token that would never end.

    Takes some dozens of handshakes.  Needs no test framework.

    Args:
        make_pair: Returns a new client's and a new server's context, which have not
            begun.

    Raises:
        AssertionError: It does not; the message says what was expected.
    """
    for check in _CHECKS:
        try:
            check(make_pair)
        except Exception as error:
            name = inspect.getdoc(check) or check.__name__
            raise AssertionError(f"{name}  {error!r}") from error


def _opened(make_pair: Callable[[], Ends]) -> Ends:
    client, server = make_pair()
    token = client.step(None)
    assert token, "the client's first step gave no token"
    legs = 0
    ends = (server, client)
    while token:
        assert legs < _MOST_LEGS, f"not complete after {legs} tokens"
        token = ends[legs % 2].step(token)
        legs += 1
    return client, server


def _refused(what: str, action: Callable[..., object], *arguments: object) -> None:
    try:
        action(*arguments)
    except Exception:  # of any kind: that is the contract
        return
    raise AssertionError(f"{what} was taken")


def handshake(make_pair: Callable[[], Ends]) -> None:
    """Both ends complete, with the same facts."""
    client, server = make_pair()
    for end in (client, server):
        assert not end.complete, "complete before the first step"
    client, server = _opened(make_pair)
    assert client.complete and server.complete, "no token is due, but not complete"
    ours, theirs = client.facts(), server.facts()
    for name in ("mechanism", "session_key", "enctype", "mutual"):
        here, there = getattr(ours, name), getattr(theirs, name)
        # Not their values: one of them is a key.
        assert here == there, f"the ends differ in {name}"
    for facts in (ours, theirs):
        _promises(facts)
    assert theirs.name, "the server does not know the client's name"


def _promises(facts: ContextFacts) -> None:
    assert facts.mechanism is not None, "facts name no mechanism"
    promised = ("complete", "integrity", "confidentiality")
    for name in (*promised, "replay_detection", "sequence_detection"):
        assert getattr(facts, name), f"facts do not say {name}"
    key = facts.session_key
    assert len(key) >= 16 and any(key), "no session key of 16 bytes or more"
    assert key.hex() not in repr(facts) and repr(key) not in repr(facts), (
        "repr shows the session key"
    )


def sealing(make_pair: Callable[[], Ends]) -> None:
    """What one end seals the other opens, hidden and whole, whatever its size."""
    client, server = _opened(make_pair)
    for size in _SIZES:
        for sender, receiver in ((client, server), (server, client)):
            data = bytes(number % 251 for number in range(size))
            token = sender.wrap(data)
            assert size < 16 or data not in token, "the token shows the plaintext"
            opened = receiver.unwrap(token)
            assert opened.encrypted, "the token says that it is not encrypted"
            assert bytes(opened.data) == data, f"{size} bytes came out otherwise"


def signing(make_pair: Callable[[], Ends]) -> None:
    """What one end signs the other verifies, and nothing else."""
    client, server = _opened(make_pair)
    for size in _SIZES:
        for sender, receiver in ((client, server), (server, client)):
            data = bytes(number % 251 for number in range(size))
            receiver.verify(data, sender.sign(data))
    for sender, receiver in ((client, server), (server, client)):
        mic = sender.sign(b"transfer 100")
        _refused("other data", receiver.verify, b"transfer 900", mic)


def independence(make_pair: Callable[[], Ends]) -> None:
    """The directions do not disturb each other, nor do seals and signatures."""
    client, server = _opened(make_pair)
    sealed = [client.wrap(b"%d" % number) for number in range(5)]
    answers = [(server.sign(b"%d" % n), server.wrap(b"-%d" % n)) for n in range(5)]
    for number, (mic, token) in enumerate(answers):
        client.verify(b"%d" % number, mic)
        assert bytes(client.unwrap(token).data) == b"-%d" % number
    for number, token in enumerate(sealed):
        assert bytes(server.unwrap(token).data) == b"%d" % number


def replay(make_pair: Callable[[], Ends]) -> None:
    """A token counts once."""
    for way in (0, 1):
        ends = _opened(make_pair)
        sender, receiver = ends[way], ends[1 - way]
        token = sender.wrap(b"pay")
        receiver.unwrap(token)
        _refused("a sealed token again", receiver.unwrap, token)
        ends = _opened(make_pair)
        sender, receiver = ends[way], ends[1 - way]
        mic = sender.sign(b"pay")
        receiver.verify(b"pay", mic)
        _refused("a signature again", receiver.verify, b"pay", mic)


def reordering(make_pair: Callable[[], Ends]) -> None:
    """A token out of its turn is refused."""
    for way in (0, 1):
        ends = _opened(make_pair)
        sender, receiver = ends[way], ends[1 - way]
        sender.wrap(b"first")
        second = sender.wrap(b"second")
        _refused("the second sealed token", receiver.unwrap, second)
        ends = _opened(make_pair)
        sender, receiver = ends[way], ends[1 - way]
        sender.sign(b"first")
        mic = sender.sign(b"second")
        _refused("the second first", receiver.verify, b"second", mic)


def reflection(make_pair: Callable[[], Ends]) -> None:
    """An end does not take its own tokens for the peer's."""
    for way in (0, 1):
        end = _opened(make_pair)[way]
        token = end.wrap(b"pay")
        _refused("its own sealed token", end.unwrap, token)
        end = _opened(make_pair)[way]
        mic = end.sign(b"pay")
        _refused("its own signature", end.verify, b"pay", mic)


def flipped_bits(make_pair: Callable[[], Ends]) -> None:
    """A token with a bit turned over is refused, wherever the bit is."""
    client, _ = _opened(make_pair)
    sealed, signed = len(client.wrap(b"transfer 100")), len(client.sign(b"transfer"))
    for number in range(_FLIPPED):
        # A new pair each time: a refusal must not be due to the one before.
        client, server = _opened(make_pair)
        place = number * sealed // _FLIPPED
        token = _flipped(client.wrap(b"transfer 100"), place)
        _refused(f"a seal with byte {place} changed", server.unwrap, token)
    for number in range(_FLIPPED):
        client, server = _opened(make_pair)
        place = number * signed // _FLIPPED
        mic = _flipped(client.sign(b"transfer"), place)
        what = f"a signature with byte {place} changed"
        _refused(what, server.verify, b"transfer", mic)


def _flipped(token: bytes, place: int) -> bytes:
    changed = bytearray(token)
    changed[place] ^= 1
    return bytes(changed)


def shortened(make_pair: Callable[[], Ends]) -> None:
    """A token that lacks its end, or has more than one, is refused."""
    changes: dict[str, Callable[[bytes], bytes]] = {
        "an empty token": lambda token: b"",
        "half a token": lambda token: token[: len(token) // 2],
        "a token without its last byte": lambda token: token[:-1],
        "a token with a byte more": lambda token: token + b"\0",
    }
    for what, change in changes.items():
        client, server = _opened(make_pair)
        token = change(client.wrap(b"transfer 100"))
        _refused(what, server.unwrap, token)
        client, server = _opened(make_pair)
        mic = change(client.sign(b"transfer"))
        _refused(what, server.verify, b"transfer", mic)


def garbage(make_pair: Callable[[], Ends]) -> None:
    """A handshake that is given garbage fails, and stays failed."""
    for token in (b"\0" * 32, b"\xff" * 64, b"NTLMSSP\0" + bytes(8), b"`\x03abc"):
        client, server = make_pair()
        _refused("garbage for a first token", server.step, token)
        client.step(None)
        _refused("garbage for an answer", client.step, token)
        for end in (client, server):
            assert not end.complete, "complete after a failure"
            _refused("sealing after a failure", end.wrap, b"x")
            _refused("signing after a failure", end.sign, b"x")


_CHECKS: Final = (
    handshake,
    sealing,
    signing,
    independence,
    replay,
    reordering,
    reflection,
    flipped_bits,
    shortened,
    garbage,
)
