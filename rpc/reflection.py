"""The service `signet.Reflection`: what a server serves, from the running server.

    server = Server([Accounts, Reflection], ...)

    schema = await read_schema(channel, "bank.Accounts")

Its client is `signetrpc.rpc.reflection_client.ReflectionClient`.
"""

from typing import Final

import msgspec

from signetrpc.transport import Protection

from ._aware import Served, ServerAware
from ._channel import Channel
from ._decorators import method, service
from ._described import schema_of
from ._descriptions import (
    EnumDescription,
    ErrorDescription,
    FieldDescription,
    MemberDescription,
    MethodDescription,
    ParameterDescription,
    ServiceDescription,
    StructDescription,
    TagDescription,
    TypeDescription,
    TypeKind,
    described,
)
from ._impersonation import Impersonation
from ._methods import UnaryMethod
from ._schema import ServiceSchema
from ._status import StatusCode
from .errors import RpcError

__all__ = [
    "EnumDescription",
    "ErrorDescription",
    "FieldDescription",
    "MemberDescription",
    "MethodDescription",
    "ParameterDescription",
    "Reflection",
    "ServiceDescription",
    "StructDescription",
    "TagDescription",
    "TypeDescription",
    "TypeKind",
    "read_schema",
]


@service("signet.Reflection", impersonate=Impersonation.NOT_ALLOWED)
class Reflection(ServerAware):
    """Tells what the server serves.

    Every caller learns of every service, those too that it may not call.
    """

    def __init__(self) -> None:
        self._descriptions: dict[str, ServiceDescription] = {}

    @method(inline=True)
    def services(self) -> list[str]:
        """Return the full names of the server's services, in its order."""
        return list(self._descriptions)

    @method(inline=True)
    def describe(self, service: str) -> ServiceDescription:
        """Return the interface of a service, by its full name.

        Ends with NOT_FOUND if the server has no such service.
        """
        found = self._descriptions.get(service)
        if found is None:
            raise RpcError(StatusCode.NOT_FOUND, f"no service {service!r} here")
        return found

    def attach(self, server: Served) -> None:
        """Take the interfaces of the server's services."""
        self._descriptions = {
            schema.name: described(schema) for schema in server.schemas
        }


class _DescribeArguments(msgspec.Struct):
    service: str


_DESCRIBE: Final = UnaryMethod[_DescribeArguments, ServiceDescription](
    service="signet.Reflection",
    name="describe",
    protection=Protection.SEAL,
    arguments=_DescribeArguments,
    result=ServiceDescription,
    impersonate=Impersonation.NOT_ALLOWED,
)


async def read_schema(
    channel: Channel, service: str, *, timeout: float | None = None
) -> ServiceSchema:
    """Return the interface of a service from the server that serves it.

    Args:
        channel: To a server with the service `Reflection`.
        service: The full name, `bank.Accounts`.
        timeout: Seconds it may take; None for the channel's default.

    Raises:
        RpcError: The call failed; NOT_FOUND: there is no such service.
        SchemaError: What the server says can be no interface.
    """
    arguments = _DescribeArguments(service)
    return schema_of(await channel.unary(_DESCRIBE, arguments, timeout=timeout))
