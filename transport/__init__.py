"""Authenticated, protected, framed messages over any byte stream.

    listener = await listen("tcp://127.0.0.1:7000", accept=[AccountFile("accounts")])
    stream = await connect_stream("127.0.0.1:7000", credentials=Password(...))
    await stream.send(b"secret", Protection.SEAL)
    message = await stream.receive()

Usable without the RPC layer above it.
"""

from ._config import Limits
from ._connectors import Connector, NegotiateConnector, connect_stream
from ._credentials import (
    AccountFile,
    ClientCredentials,
    Keytab,
    Password,
    ServerCredentials,
    TicketCache,
    Winbind,
)
from ._identity import ANONYMOUS, Identity, ImpersonationLevel, Mechanism
from ._listeners import Listener, listen
from ._protection import Protection
from ._security import (
    ContextFacts,
    NegotiationProtocol,
    NtlmFacts,
    SecurityContext,
    SecurityPolicy,
    Unwrapped,
)
from ._stream import Message, SecureStream, SecureStreamAttribute
from .errors import (
    AuthenticationFailed,
    BusyError,
    ConnectFailed,
    ConnectionClosed,
    FailureReason,
    FrameTooLarge,
    HandshakeError,
    HandshakeTimeout,
    InsufficientProtection,
    IntegrityError,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    TransportError,
)

__all__ = [
    "ANONYMOUS",
    "AccountFile",
    "AuthenticationFailed",
    "BusyError",
    "ClientCredentials",
    "ConnectFailed",
    "ConnectionClosed",
    "Connector",
    "ContextFacts",
    "FailureReason",
    "FrameTooLarge",
    "HandshakeError",
    "HandshakeTimeout",
    "Identity",
    "ImpersonationLevel",
    "InsufficientProtection",
    "IntegrityError",
    "Keytab",
    "Limits",
    "Listener",
    "LocalProtocolError",
    "Mechanism",
    "Message",
    "NegotiateConnector",
    "NegotiationProtocol",
    "NtlmFacts",
    "Password",
    "Protection",
    "ProtocolError",
    "RemoteProtocolError",
    "SecureStream",
    "SecureStreamAttribute",
    "SecurityContext",
    "SecurityPolicy",
    "ServerCredentials",
    "TicketCache",
    "TransportError",
    "Unwrapped",
    "Winbind",
    "connect_stream",
    "listen",
]
