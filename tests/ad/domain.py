"""What the tests of the domain share: a service, ways to call it, raw contexts."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import msgspec

from signetrpc.rpc import (
    Channel,
    ClientCredentials,
    Password,
    Protection,
    SecurityPolicy,
    Server,
    ServerCredentials,
    UnaryMethod,
    connect,
    current_caller,
    method,
    service,
)
from signetrpc.transport import HandshakeError
from tests.support.samba import DOMAIN, REALM, SERVICE, USERS

KERBEROS_ONLY = SecurityPolicy.kerberos_only()
ALLOW_NTLM = SecurityPolicy.allow_ntlm()


@dataclass(frozen=True, slots=True)
class Seen:
    """Who a handler was called by."""

    mechanism: str
    realm: str
    name: str
    mutual: bool


@service("ad.Mirror")
class Mirror:
    """Shows callers who they are."""

    @method(Protection.SEAL)
    async def look(self) -> Seen:
        """Return the caller as it was authenticated."""
        caller = current_caller()
        return Seen(caller.mechanism.value, caller.realm, caller.name, caller.mutual)

    @method(Protection.SEAL)
    async def groups(self) -> list[str]:
        """Return the caller's SIDs."""
        return sorted(current_caller().sids)


class _NoArguments(msgspec.Struct):
    pass


_LOOK = UnaryMethod[_NoArguments, Seen](
    service="ad.Mirror",
    name="look",
    protection=Protection.SEAL,
    arguments=_NoArguments,
    result=Seen,
)


def by_kerberos(name: str) -> Seen:
    """Return what the handler sees of a user who came by Kerberos."""
    return Seen("kerberos", REALM, name, True)


def by_ntlm(name: str) -> Seen:
    """Return what the handler sees of a user who came by NTLM."""
    return Seen("ntlm", DOMAIN, name, False)


def password(user: str, typed: str = "") -> Password:
    r"""Return a user's credentials, for a name typed as `CORP\user` by default."""
    return Password(typed or f"{DOMAIN}\\{user}", USERS[user])


async def look(channel: Channel) -> Seen:
    """Call the service."""
    return await channel.unary(_LOOK, _NoArguments())


@asynccontextmanager
async def serving(
    *accept: ServerCredentials, policy: SecurityPolicy = ALLOW_NTLM
) -> AsyncGenerator[str]:
    """Serve `Mirror` and give the address."""
    refusal: HandshakeError | None = None
    server = Server([Mirror], accept=accept, policy=policy)
    async with anyio.create_task_group() as group:
        address = await group.start(server.serve, "tcp://127.0.0.1:0")
        try:
            yield address
        except HandshakeError as error:
            refusal = error  # a task group would raise it in a group
        group.cancel_scope.cancel()
    if refusal is not None:
        raise refusal


async def seen_by(
    accept: Sequence[ServerCredentials],
    credentials: ClientCredentials | None,
    *,
    policy: SecurityPolicy = ALLOW_NTLM,
    service_principal: str = SERVICE,
) -> Seen:
    """Serve, connect, call, and return what the handler saw."""
    async with serving(*accept) as address:
        async with connect(
            address,
            credentials=credentials,
            policy=policy,
            service_principal=service_principal,
        ) as channel:
            return await look(channel)
