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
    ClientCredentials,
    Identity,
    ImpersonationLevel,
    Keytab,
    Mechanism,
    Password,
    Protection,
    SecurityPolicy,
    ServerCredentials,
    TicketCache,
    Winbind,
)

from ._blocking import BlockingChannel, connect_blocking
from ._client import Channel, connect
from ._context import CallContext, current_call, current_caller
from ._decorators import method, service
from ._metadata import Metadata, MetadataInput
from ._methods import UnaryMethod
from ._server import Server
from ._status import StatusCode
from .errors import DeadlineExceeded, RpcError, SchemaError

__all__ = [
    "AccountFile",
    "BlockingChannel",
    "CallContext",
    "Channel",
    "ClientCredentials",
    "DeadlineExceeded",
    "Identity",
    "ImpersonationLevel",
    "Keytab",
    "Mechanism",
    "Metadata",
    "MetadataInput",
    "Password",
    "Protection",
    "RpcError",
    "SchemaError",
    "SecurityPolicy",
    "Server",
    "ServerCredentials",
    "StatusCode",
    "TicketCache",
    "UnaryMethod",
    "Winbind",
    "connect",
    "connect_blocking",
    "current_call",
    "current_caller",
    "method",
    "service",
]
