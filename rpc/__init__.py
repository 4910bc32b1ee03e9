"""Remote calls over a secured transport: decorators, client and server.

@service("bank.Accounts")
class Accounts:
    @method(Protection.SEAL)
    async def balance(self, account: str) -> Decimal: ...

await Server([Accounts], accept=[Keytab(path)]).serve("tcp://0.0.0.0:7420")

async with connect("bank.example.com:7420") as channel:
    print(await AccountsClient(channel).balance("42"))
"""

from signetrpc.transport import (
    AccountFile,
    AuthenticationFailed,
    ChannelBinding,
    ClientCredentials,
    ClientTls,
    ConnectFailed,
    DelegatedCredential,
    DoorLimits,
    HandshakeError,
    Identity,
    ImpersonationLevel,
    Keytab,
    LocalUser,
    Mechanism,
    Password,
    Protection,
    SecurityPolicy,
    ServerCredentials,
    ServerTls,
    TicketCache,
    TransportError,
    Winbind,
)

from ._audit import AuditRecord
from ._authorization import AuthorizationRequest, Authorizer, anyone, authenticated
from ._blocking import BlockingChannel, connect_blocking
from ._blocking_streams import BlockingBidirectionalStream, BlockingServerStream
from ._call_info import CallInfo
from ._channel import Channel
from ._client import connect, connect_with
from ._client_call import ClientCall
from ._connectivity import ConnectivityState
from ._context import CallContext, CancellationCause, current_call, current_caller
from ._declared_errors import declared_error
from ._decorators import method, service
from ._delegated import delegated_credential
from ._error_registry import ErrorMapper, ErrorMapping
from ._impersonation import Impersonation
from ._interceptors import (
    BidirectionalInterceptor,
    CallInterceptor,
    ClientStreamInterceptor,
    Interceptor,
    ServerStreamInterceptor,
    UnaryInterceptor,
)
from ._items import lowered, raised
from ._keepalive import KeepalivePolicy
from ._linux_impersonation import LinuxImpersonation
from ._local_users import LocalUsers, NotImpersonated
from ._mapping import AuthToLocal, DomainNames, MappingError, NameMapping, UserTable
from ._metadata import Metadata, MetadataInput
from ._methods import (
    BidirectionalMethod,
    ClientStreamMethod,
    ServerStreamMethod,
    UnaryMethod,
)
from ._rules import Rules
from ._rules_file import RulesError
from ._server import Server
from ._status import StatusCode
from ._streams import BidirectionalStream, ItemSource, ServerStream
from .errors import (
    DeadlineExceeded,
    DeclaredError,
    ImpersonationError,
    NotCarriedOut,
    RpcError,
    SchemaError,
)

__all__ = [
    "AccountFile",
    "AuditRecord",
    "AuthToLocal",
    "AuthenticationFailed",
    "AuthorizationRequest",
    "Authorizer",
    "BidirectionalInterceptor",
    "BidirectionalMethod",
    "BidirectionalStream",
    "BlockingBidirectionalStream",
    "BlockingChannel",
    "BlockingServerStream",
    "CallContext",
    "CallInfo",
    "CallInterceptor",
    "CancellationCause",
    "Channel",
    "ChannelBinding",
    "ClientCall",
    "ClientCredentials",
    "ClientStreamInterceptor",
    "ClientStreamMethod",
    "ClientTls",
    "ConnectFailed",
    "ConnectivityState",
    "DeadlineExceeded",
    "DeclaredError",
    "DelegatedCredential",
    "DomainNames",
    "DoorLimits",
    "ErrorMapper",
    "ErrorMapping",
    "HandshakeError",
    "Identity",
    "Impersonation",
    "ImpersonationError",
    "ImpersonationLevel",
    "Interceptor",
    "ItemSource",
    "KeepalivePolicy",
    "Keytab",
    "LinuxImpersonation",
    "LocalUser",
    "LocalUsers",
    "MappingError",
    "Mechanism",
    "Metadata",
    "MetadataInput",
    "NameMapping",
    "NotCarriedOut",
    "NotImpersonated",
    "Password",
    "Protection",
    "RpcError",
    "Rules",
    "RulesError",
    "SchemaError",
    "SecurityPolicy",
    "Server",
    "ServerCredentials",
    "ServerStream",
    "ServerStreamInterceptor",
    "ServerStreamMethod",
    "ServerTls",
    "StatusCode",
    "TicketCache",
    "TransportError",
    "UnaryInterceptor",
    "UnaryMethod",
    "UserTable",
    "Winbind",
    "anyone",
    "authenticated",
    "connect",
    "connect_blocking",
    "connect_with",
    "current_call",
    "current_caller",
    "declared_error",
    "delegated_credential",
    "lowered",
    "method",
    "raised",
    "service",
]
