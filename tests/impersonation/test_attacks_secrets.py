"""Of the service's secrets and other callers' nothing is in a worker's memory."""

import base64
import os
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from signetrpc.rpc import (
    Channel,
    ImpersonationLevel,
    SecurityPolicy,
    StatusCode,
    TicketCache,
    connect,
)
from tests.e2e.processes import PATIENCE
from tests.impersonation.besieged import refused
from tests.impersonation.calling import call, calling_as
from tests.impersonation.hostile import Hostile
from tests.impersonation.memory import found_in
from tests.impersonation.processes import ServerProcess
from tests.impersonation.watching import settled, template_of
from tests.support.kdc import SERVICE, Kdc
from tests.support.parts import Part, require
from tests.support.people import ALICE, BOB, PLAIN, People, Person

pytestmark = pytest.mark.anyio

HIDDEN = "SIGNETRPC_HIDDEN", "a variable of the service's, not let through"
SHOWN = "SIGNETRPC_SHOWN", "a variable of the service's that handlers see"
_HOSTILE = ["tests.impersonation.hostile:Hostile"]


@pytest.fixture(params=[False, True], ids=["root", "plain"])
def plain(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    for name, value in (HIDDEN, SHOWN):
        monkeypatch.setenv(name, value)
    is_plain: bool = request.param
    return is_plain


def passwords() -> list[bytes]:
    texts = [each.credentials.password for each in (ALICE, BOB, PLAIN[-1])]
    return [text.encode(code) for text in texts for code in ("ascii", "utf-16-le")]


async def test_no_secret_of_the_service_is_in_a_worker(
    people: People, anyio_backend: str, *, plain: bool
) -> None:
    hidden, shown = (value.encode() for _, value in (HIDDEN, SHOWN))
    with ServerProcess(
        plain=plain,
        services=_HOSTILE,
        flavour=anyio_backend,
        accounts=str(people.accounts),
        impersonation={"environment": [SHOWN[0]]},
    ) as server:
        async with (
            calling_as(ALICE, server.address) as alice,
            calling_as(BOB, server.address) as bob,
        ):
            template = template_of(server.pid)
            workers = [await call(each, Hostile, "worker") for each in (alice, bob)]
            wanted = hidden, shown, *passwords()
            assert {hidden, shown} <= found_in(server.pid, *wanted)
            for pid in (template, *workers):
                assert found_in(pid, *wanted) == {shown}


# By Kerberos.


@pytest.fixture
def kerberos_server(
    people: People,
    kdc: Kdc,
    anyio_backend: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    plain: bool,
) -> Iterator[ServerProcess]:
    require(Part.GSSAPI)
    keytab = people.open_kerberos(kdc)
    monkeypatch.delenv("KRB5_CONFIG", raising=False)
    with ServerProcess(
        plain=plain, services=_HOSTILE, flavour=anyio_backend, keytab=str(keytab)
    ) as server:
        yield server


@asynccontextmanager
async def delegating(
    server: ServerProcess, kdc: Kdc, person: Person
) -> AsyncGenerator[Channel]:
    """Connect as a person who sends a ticket-granting ticket along."""
    with anyio.fail_after(PATIENCE):
        async with connect(
            server.address,
            credentials=TicketCache(kdc.kinit(person.name, forwardable=True)),
            policy=SecurityPolicy.kerberos_only(),
            service_principal=SERVICE,
            impersonation=ImpersonationLevel.DELEGATE,
        ) as channel:
            yield channel


def keys_of(keytab: Path) -> list[bytes]:
    """Return the keys in a keytab, as MIT's klist shows them."""
    command = ["klist", "-k", "-K", str(keytab)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)
    words = [line.split()[-1] for line in listing.stdout.splitlines() if "(0x" in line]
    return [bytes.fromhex(word.strip("()").removeprefix("0x")) for word in words]


def traces_of(cache: str) -> list[bytes]:
    """Return parts of a credential cache: as they are, and in GSS-API's exported form.

    The ticket, which is at the end, is in base64 there.
    """
    part = Path(cache).read_bytes()[-400:-100]
    shifted = [base64.b64encode(part[shift:])[4:-4] for shift in range(3)]
    return [part, *shifted]


def can_read(person: Person, path: str) -> bool:
    ids = [f"--reuid={person.uid}", f"--regid={person.gid}", "--clear-groups"]
    done = subprocess.run(["setpriv", *ids, "--", "cat", path], capture_output=True)
    return done.returncode == 0


async def test_no_key_of_the_service_is_in_a_worker(
    kerberos_server: ServerProcess, kdc: Kdc, anyio_backend: str
) -> None:
    keys = keys_of(kdc.keytab_file)
    assert keys
    async with delegating(kerberos_server, kdc, ALICE) as alice:
        template = template_of(kerberos_server.pid)
        worker = await call(alice, Hostile, "worker")
        for pid in (template, worker):
            assert found_in(pid, *keys) == set()


async def test_no_ticket_of_another_caller_is_in_a_worker(
    kerberos_server: ServerProcess, kdc: Kdc, anyio_backend: str
) -> None:
    async with delegating(kerberos_server, kdc, ALICE) as alice:
        traces = traces_of(await call(alice, Hostile, "cache"))
        assert found_in(await call(alice, Hostile, "worker"), *traces) != set()
        # Forked after alice's ticket has come.
        async with delegating(kerberos_server, kdc, BOB) as bob:
            template = template_of(kerberos_server.pid)
            for pid in (template, await call(bob, Hostile, "worker")):
                assert found_in(pid, *traces) == set()


async def test_a_delegated_ticket_is_its_owners_and_goes_with_the_worker(
    kerberos_server: ServerProcess, kdc: Kdc, anyio_backend: str
) -> None:
    async with delegating(kerberos_server, kdc, ALICE) as alice:
        cache = await call(alice, Hostile, "cache")
        # The owner's programs may: it is the owner's own ticket.
        assert can_read(ALICE, cache)
        assert not can_read(BOB, cache)
        with refused(StatusCode.UNAVAILABLE):
            await call(alice, Hostile, "threaded", deed="kill")
        await settled(lambda: not os.path.exists(os.path.dirname(cache)))
