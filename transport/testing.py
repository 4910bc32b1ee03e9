"""Parts for testing what is built on the transport (public).

`check_connector` and `check_security_context` say whether a connector or a security
context does what all of them do (docs/howto/connectors.md); `memory_pipes` joins two
ends without a network.  None of them needs a test framework.

`ScriptedContext` is a security context that needs no Kerberos and no accounts: two of
them shake hands in as many legs as you say and protect with AES-GCM and HMAC under
a key you give.  It proves nothing about anybody; use it in tests only.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ._contract_connector import check_connector
from ._contract_context import check_security_context
from ._contract_pair import ConnectorPair
from ._contract_pipes import memory_pipes
from ._events import Event, StepRequired
from ._identity import Mechanism
from ._security import ContextFacts, Unwrapped
from ._session import Session

__all__ = [
    "ConnectorPair",
    "ScriptedContext",
    "check_connector",
    "check_security_context",
    "drain",
    "memory_pipes",
    "pump",
    "scripted_facts",
]


def scripted_facts(*, initiator: bool, target: str = "host/server") -> ContextFacts:
    """Return facts that every acceptance rule accepts.

    Args:
        initiator: True for the facts that the client's context reads.
        target: The service principal of the exchange.
    """
    return ContextFacts(
        complete=True,
        mechanism=Mechanism.KERBEROS,
        name=target if initiator else "alice",
        realm="EXAMPLE.COM",
        target=target,
        mutual=True,
        integrity=True,
        confidentiality=True,
        replay_detection=True,
        sequence_detection=True,
        channel_bound=True,
        session_key=b"k" * 32,
        enctype=18,
    )


@dataclass(kw_only=True)
class ScriptedContext:
    """A `SecurityContext` that follows a script.

    Attributes:
        initiator: True for the client's side.
        legs: Tokens exchanged in all, both directions; at least 1.
        key: Protects the messages; the two ends need the same.
        reported: What `facts` returns.
        token_bytes: Size of each token.
    """

    initiator: bool
    legs: int = 2
    key: bytes = field(default=b"0123456789abcdef0123456789abcdef", repr=False)
    reported: ContextFacts | None = None
    token_bytes: int = 64

    def __post_init__(self) -> None:
        self._leg = 0
        self._sent = 0
        self._received = 0
        self._cipher = AESGCM(self.key)

    def step(self, token: bytes | None) -> bytes | None:
        """Check that the peer's token is the expected one and return the next."""
        if token is not None:
            if token != self._token(self._leg):
                raise ValueError("not the scripted token")
            self._leg += 1
        if self._leg >= self.legs:
            return None
        mine = self._token(self._leg)
        self._leg += 1
        return mine

    def _token(self, leg: int) -> bytes:
        return (b"token %d " % leg).ljust(self.token_bytes, b".")

    @property
    def complete(self) -> bool:
        """True when no token of the peer is missing."""
        return self._leg >= self.legs

    def facts(self) -> ContextFacts:
        """Return `reported`, or facts that pass every rule."""
        return self.reported or scripted_facts(initiator=self.initiator)

    def wrap(self, data: bytes) -> bytes:
        """Seal with AES-256-GCM."""
        return self._cipher.encrypt(self._nonce(sending=True), data, None)

    def unwrap(self, token: bytes) -> Unwrapped:
        """Open, if it is the peer's next token."""
        try:
            data = self._cipher.decrypt(self._nonce(sending=False), token, None)
        except InvalidTag:
            raise ValueError("not the peer's next sealed token") from None
        return Unwrapped(data, True)

    def sign(self, data: bytes) -> bytes:
        """Return an HMAC-SHA-256 over direction, count and data."""
        return self._mic(data, self._nonce(sending=True))

    def verify(self, data: bytes, mic: bytes) -> None:
        """Raise ValueError unless `mic` is the peer's next one over `data`."""
        if not hmac.compare_digest(self._mic(data, self._nonce(sending=False)), mic):
            raise ValueError("not the peer's next signature")

    def _mic(self, data: bytes, nonce: bytes) -> bytes:
        return hmac.digest(self.key, nonce + data, hashlib.sha256)

    def _nonce(self, *, sending: bool) -> bytes:
        count = self._sent if sending else self._received
        if sending:
            self._sent += 1
        else:
            self._received += 1
        return (b"c" if self.initiator is sending else b"s") + count.to_bytes(11, "big")


def pump(client: Session, server: Session) -> tuple[list[Event], list[Event]]:
    """Join two sessions in memory until neither has anything more to say.

    Security context steps are taken on the spot.

    Returns:
        What the client and what the server reported, in order.

    Raises:
        TransportError: The first error that either end reports.
    """
    reported: tuple[list[Event], list[Event]] = ([], [])
    pairs = ((client, server, reported[0]), (server, client, reported[1]))
    moved = True
    while moved:
        moved = False
        for here, there, events in pairs:
            for event in drain(here):
                events.append(event)
                moved = True
            if data := here.data_to_send():
                there.receive_data(data)
                moved = True
    return reported


def drain(session: Session) -> Iterator[Event]:
    """Give the events that are ready, taking each step as it is asked for."""
    while (event := session.next_event()) is not None:
        if isinstance(event, StepRequired):
            try:
                token = session.step(event.token)
            except Exception as error:
                session.step_failed(error)
            else:
                session.step_finished(token)
        else:
            yield event
