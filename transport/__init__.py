"""Authenticated, protected, framed messages over any byte stream.

    listener = await listen("tcp://127.0.0.1:7000", accept=[AccountFile("accounts")])
    stream = await connect_stream("127.0.0.1:7000", credentials=Password(...))
    await stream.send(b"secret", Protection.SEAL)
    message = await stream.receive()

Usable without the RPC layer above it.
"""

from ._acceptors import Acceptor, NegotiateAcceptor, PlainAcceptor, TlsAcceptor
from ._addresses import Address, TcpAddress, UnixAddress, parse_address
from ._config import Channel, Limits
from ._connectors import (
    Connector,
    NegotiateConnector,
    PlainConnector,
    TlsConnector,
    connect_stream,
    connect_stream_with,
)
from ._credentials import (
    AccountFile,
    ClientCredentials,
    Keytab,
    Password,
    ServerCredentials,
    TicketCache,
    Winbind,
)
from ._door import DoorLimits
from ._driver import Link, open_channel
from ._identity import (
    ANONYMOUS,
    DelegatedCredential,
    DelegationKind,
    Identity,
    ImpersonationLevel,
    LocalUser,
    Mechanism,
)
from ._listeners import Listener, listen, listen_with
from ._pipes import Pipe, StreamPipe
from ._protection import Protection
from ._security import (
    ChannelBinding,
    ContextFacts,
    NegotiationProtocol,
    NtlmFacts,
    SecurityContext,
    SecurityPolicy,
    Unwrapped,
)
from ._stream import Message, SecureStream, SecureStreamAttribute
from ._tls import ClientTls, ServerTls
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
    "Acceptor",
    "AccountFile",
    "Address",
    "AuthenticationFailed",
    "BusyError",
    "Channel",
    "ChannelBinding",
    "ClientCredentials",
    "ClientTls",
    "ConnectFailed",
    "ConnectionClosed",
    "Connector",
    "ContextFacts",
    "DelegatedCredential",
    "DelegationKind",
    "DoorLimits",
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
    "Link",
    "Listener",
    "LocalProtocolError",
    "LocalUser",
    "Mechanism",
    "Message",
    "NegotiateAcceptor",
    "NegotiateConnector",
    "NegotiationProtocol",
    "NtlmFacts",
    "Password",
    "Pipe",
    "PlainAcceptor",
    "PlainConnector",
    "Protection",
    "ProtocolError",
    "RemoteProtocolError",
    "SecureStream",
    "SecureStreamAttribute",
    "SecurityContext",
    "SecurityPolicy",
    "ServerCredentials",
    "ServerTls",
    "StreamPipe",
    "TcpAddress",
    "TicketCache",
    "TlsAcceptor",
    "TlsConnector",
    "TransportError",
    "UnixAddress",
    "Unwrapped",
    "Winbind",
    "connect_stream",
    "connect_stream_with",
    "listen",
    "listen_with",
    "open_channel",
    "parse_address",
]
