"""What HELLO offers, what may be chosen of it, and the suite that comes of it.

A choice outside the offer is refused on the spot; a changed offer is found by
FINISHED, because both HELLOs are part of the transcript.
"""

from typing import Final

from ._aead import AeadSuite, public_key, shared_secret
from ._config import NO_BINDING, SessionConfig
from ._hello import MAGIC, VERSION, ClientHello, ServerHello, lowest
from ._protection import Protection, Suite, SuiteName
from ._security import ChannelBinding, SecurityContext
from ._suites import GssSuite
from .errors import HandshakeError, InsufficientProtection, RemoteProtocolError

__all__ = ["BINDING", "bound", "check_choice", "choose", "make_suite", "offer"]

BINDING: Final = "tls-server-end-point"
"""The feature by which ends agree to bind their proofs to the TLS channel."""

_WITH_KEYS: Final = {SuiteName.AES256GCM}


def offer(config: SessionConfig) -> ClientHello:
    """Return the client's HELLO."""
    minimum = config.policy.minimum_protection
    return ClientHello(
        magic=MAGIC,
        versions=[VERSION],
        suites=config.suites,
        levels=[level for level in Protection if level >= minimum],
        max_record=config.limits.max_record_bytes,
        max_message=config.limits.max_message_bytes,
        protocol="" if config.channel else config.protocol,
        target=config.target,
        impersonation=config.impersonation,
        nonce=config.nonce,
        key=_key(config, config.suites),
        features=[BINDING] if config.bindable else [],
    )


def choose(config: SessionConfig, hello: ClientHello) -> ServerHello:
    """Return the server's HELLO: its own best of what the client offers.

    Raises:
        HandshakeError: There is no version or suite in common.
        InsufficientProtection: The client can live with no level that this end can,
            or the channel cannot be bound as the policy demands.
        RemoteProtocolError: The client's key is missing.
    """
    if VERSION not in hello.versions:
        raise HandshakeError(f"no version in common; this end speaks {VERSION}")
    suite = next((name for name in config.suites if name in hello.suites), None)
    if suite is None:
        raise HandshakeError(
            f"no suite in common; this end allows {', '.join(config.suites)}"
        )
    _check_key(suite, hello.key)
    features = [BINDING] if config.bindable and BINDING in hello.features else []
    _check_binding(config, features)
    return ServerHello(
        magic=MAGIC,
        version=VERSION,
        suite=suite,
        minimum=lowest(hello.levels, floor=config.policy.minimum_protection),
        max_record=config.limits.max_record_bytes,
        max_message=config.limits.max_message_bytes,
        nonce=config.nonce,
        key=_key(config, [suite]),
        features=features,
    )


def check_choice(
    config: SessionConfig, hello: ClientHello, answer: ServerHello
) -> None:
    """Refuse a server's choice that was not offered.

    Raises:
        HandshakeError: The version or the suite was not.
        InsufficientProtection: The minimum level was not, or the channel is not bound
            as the policy demands.
        RemoteProtocolError: The server's key is missing.
    """
    if answer.version not in hello.versions or answer.suite not in hello.suites:
        raise HandshakeError("the server chose a version or suite not offered")
    if not set(answer.features) <= set(hello.features):
        raise HandshakeError("the server chose a feature not offered")
    if answer.minimum not in hello.levels:
        raise InsufficientProtection(
            f"the server chose {Protection(answer.minimum).name} as minimum; "
            f"this end's is {config.policy.minimum_protection.name}"
        )
    _check_key(answer.suite, answer.key)
    _check_binding(config, answer.features)


def bound(answer: ServerHello) -> bool:
    """Return whether the session's proofs are bound to the TLS channel."""
    return BINDING in answer.features


def make_suite(
    config: SessionConfig,
    hello: ClientHello,
    answer: ServerHello,
    *,
    initiator: bool,
    context: SecurityContext,
    session_key: bytes,
    transcript: bytes,
) -> Suite:
    """Return the suite that was chosen, with its keys.

    Args:
        config: This end's.
        hello: The client's HELLO.
        answer: The server's.
        initiator: True on the client's side.
        context: Complete, and accepted by every rule.
        session_key: The context's.
        transcript: The final T.

    Raises:
        RemoteProtocolError: The peer's key gives no secret.
    """
    if answer.suite == SuiteName.GSS:
        return GssSuite(context)
    peer_key = answer.key if initiator else hello.key
    assert peer_key is not None  # _check_key
    return AeadSuite(
        initiator=initiator,
        transcript=transcript,
        session_key=session_key,
        shared=shared_secret(config.secret, peer_key),
    )


def _key(config: SessionConfig, suites: list[str]) -> bytes | None:
    return public_key(config.secret) if _WITH_KEYS & set(suites) else None


def _check_key(suite: str, key: bytes | None) -> None:
    if suite in _WITH_KEYS and key is None:
        raise RemoteProtocolError(f"HELLO without a key for suite {suite}")


def _check_binding(config: SessionConfig, features: list[str]) -> None:
    always = config.policy.channel_binding is ChannelBinding.ALWAYS
    if config.channel is None and always and BINDING not in features:
        lacking = "the peer does not bind it"
        if config.binding == NO_BINDING:
            lacking = "this connection does not run over TLS"
        raise InsufficientProtection(f"channel binding is required, and {lacking}")
