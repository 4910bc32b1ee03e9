"""The second hop is not ours: handlers read a Samba share as their callers."""

import os
import pwd
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    Channel,
    ImpersonationLevel,
    Keytab,
    LinuxImpersonation,
    RpcError,
    Server,
    StatusCode,
    TicketCache,
    connect,
)
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._mapping import DomainNames
from tests.ad.domain import KERBEROS_ONLY
from tests.ad.shares import Share
from tests.support.samba import DOMAIN, REALM, SERVICE, USERS, DomainController, run

pytestmark = pytest.mark.anyio

_FOLDER = Path("/run/files")
_SHARE = f"""
[files]
    path = {_FOLDER}
    read only = yes
"""
_READ: Any = service_definition(Share).handlers["ad.Share/read"].method


@pytest.fixture(scope="module")
def share(dc: DomainController) -> Iterator[None]:
    """A share with a file for each of two users, which nobody else may read."""
    names = Path("/etc/nsswitch.conf")
    before = names.read_text()
    names.write_text("passwd: files winbind\ngroup: files winbind\nhosts: files\n")
    _FOLDER.mkdir(mode=0o755)
    for user in ("alice", "bob"):
        file = _FOLDER / user
        file.write_text(f"for {user} alone\n")
        os.chown(file, pwd.getpwnam(f"{DOMAIN}\\{user}").pw_uid, 0)
        file.chmod(0o600)
    with Path("/etc/samba/smb.conf").open("a") as config:
        config.write(_SHARE)
    run("smbcontrol", "all", "reload-config")
    yield
    names.write_text(before)


@asynccontextmanager
async def calling(
    dc: DomainController, user: str, level: ImpersonationLevel
) -> AsyncGenerator[Channel]:
    """Serve, and give a channel of a user who is signed in with `kinit -f`."""
    cache = dc.folder / f"sharing-{user}"
    run("kinit", "-f", "-c", str(cache), user, text=USERS[user])
    server = Server(
        [Share],
        accept=[Keytab(dc.keytab_file)],
        policy=KERBEROS_ONLY,
        impersonate=LinuxImpersonation(mapping=DomainNames({REALM: DOMAIN})),
    )
    async with anyio.create_task_group() as group:
        address = await group.start(server.serve, "tcp://127.0.0.1:0")
        async with connect(
            address,
            credentials=TicketCache(cache),
            service_principal=SERVICE,
            impersonation=level,
        ) as channel:
            yield channel
        group.cancel_scope.cancel()


async def _read(channel: Channel, name: str) -> str:
    text: str = await channel.unary(_READ, _READ.arguments(name=name))
    return text


async def _refusal(channel: Channel, name: str) -> str:
    with pytest.raises(RpcError) as caught:
        await _read(channel, name)
    assert caught.value.status is StatusCode.PERMISSION_DENIED
    return caught.value.message


@pytest.mark.parametrize(("user", "other"), [("alice", "bob"), ("bob", "alice")])
async def test_a_handler_reads_a_share_as_its_caller(
    dc: DomainController, share: None, user: str, other: str
) -> None:
    async with calling(dc, user, ImpersonationLevel.DELEGATE) as channel:
        assert await _read(channel, user) == f"for {user} alone\n"
        assert "NT_STATUS_ACCESS_DENIED" in await _refusal(channel, other)


async def test_to_act_here_is_not_to_act_there(
    dc: DomainController, share: None
) -> None:
    async with calling(dc, "alice", ImpersonationLevel.IMPERSONATE) as channel:
        await _refusal(channel, "alice")
