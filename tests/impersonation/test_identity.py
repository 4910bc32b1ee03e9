"""Two callers at once: whatever a handler does, the kernel sees its own caller do it.

And the service process, of which the workers come by way of its template, is who it was
all the time.
"""

import os
import random
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from signetrpc.rpc import Channel
from tests.e2e.processes import FLAVOURS
from tests.impersonation.acting import ACTIONS, STYLES, Acting
from tests.impersonation.acting_calls import act_by
from tests.impersonation.calling import call, calling_as
from tests.impersonation.door import Door
from tests.impersonation.processes import ServerProcess, status_of
from tests.impersonation.watching import IdentityWatch, children_of, template_of
from tests.support.people import (
    ALICE,
    BOB,
    CROWD_OF,
    EVENS,
    ODDS,
    PROJECTS,
    SERVER,
    People,
    Person,
)

pytestmark = pytest.mark.anyio

TURNS = 3
"""How often each caller does each thing, in each way."""


@dataclass(frozen=True)
class World:
    """A server, and what its callers find on this machine.

    Attributes:
        square: Where everybody may make files.
        shared: A folder of the group `projects`, with a file `plan`; mode 0750.
        door: The path of a `Door`.
    """

    server: ServerProcess
    square: Path
    shared: Path
    door: Path


@pytest.fixture(scope="module")
def shared(people: People) -> Path:
    folder = people.square / "projects"
    folder.mkdir()
    (folder / "plan").write_text("of projects")
    (folder / "plan").chmod(0o640)
    for path in (folder / "plan", folder):
        os.chown(path, 0, PROJECTS)
    folder.chmod(0o750)
    return folder


@pytest.fixture(scope="module")
def door(people: People) -> Iterator[Path]:
    path = people.square / "door"
    with Door(path):
        yield path


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((flavour, plain), id=f"{flavour}-{'plain' if plain else 'root'}")
        for flavour in FLAVOURS
        for plain in (False, True)
    ],
)
def world(
    people: People, shared: Path, door: Path, request: pytest.FixtureRequest
) -> Iterator[World]:
    flavour, plain = request.param
    with ServerProcess(
        services=["tests.impersonation.acting:Acting"],
        flavour=flavour,
        plain=plain,
        accounts=str(people.accounts),
    ) as server:
        template = template_of(server.pid)
        with IdentityWatch(server.pid) as watch, IdentityWatch(template):
            yield World(server, people.square, shared, door)
            assert watch.looks > 0
            uid = SERVER.uid if plain else 0
            assert status_of(server.pid)["Uid"].split() == [str(uid)] * 4


def ids_of(person: Person) -> str:
    """Return what the status file of a process of that person's says."""
    groups = " ".join(map(str, person.groups))
    uid, gid = (" ".join([str(each)] * 4) for each in (person.uid, person.gid))
    return f"Uid: {uid}; Gid: {gid}; Groups: {groups}"


def expected(world: World, person: Person, other: Person) -> list[tuple[str, str, str]]:
    """Return what a person does: the actions, their arguments and what they give."""
    peer = f"{person.uid} {person.gid} {person.groups}"
    deeds = [
        ("ids", "", ids_of(person)),
        ("child ids", "", ids_of(person)),
        ("caller", "", f"{person.name} {peer}"),
        ("knock", str(world.door), peer),
    ]
    for whose, text in ((person, f"of {person.name}"), (other, "PermissionError")):
        listed = "secret" if whose is person else "PermissionError"
        deeds += [
            ("read", str(whose.secret), text),
            ("listing", str(whose.home), listed),
        ]
    if PROJECTS in person.groups:
        plan, listed = "of projects", "plan"
    else:
        plan = listed = "PermissionError"
    deeds += [
        ("read", str(world.shared / "plan"), plan),
        ("listing", str(world.shared), listed),
        ("create", str(other.home / "planted"), "PermissionError"),
        ("create", "/etc/planted", "PermissionError"),
        ("read", "/etc/shadow", "PermissionError"),
    ]
    return deeds


async def done(channel: Channel, style: str, action: str, argument: object) -> str:
    """Have an action done and return what it gave."""
    return await act_by(channel, style, action, str(argument))


async def make(world: World, channel: Channel, person: Person, style: str) -> None:
    """Have files made, which are then the caller's and for nobody else."""
    for action, mode in (("create", 0o600), ("folder", 0o700)):
        path = world.square / f"{action} {secrets.token_hex(8)}"
        assert await done(channel, style, action, path) == ""
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (person.uid, person.gid)
        assert stat.S_IMODE(status.st_mode) == mode


async def act(world: World, channel: Channel, person: Person, other: Person) -> None:
    """Do everything in each way, all at once and in an order of chance."""

    async def one(style: str, action: str, argument: str, found: str) -> None:
        what = style, action, argument
        assert await done(channel, *what) == found, what

    deeds = [
        (style, *deed) for style in STYLES for deed in expected(world, person, other)
    ]
    assert {action for _, action, _, _ in deeds} == {*ACTIONS} - {"folder"}
    order = random.Random(person.uid)
    for _ in range(TURNS):
        order.shuffle(deeds)
        async with anyio.create_task_group() as group:
            for deed in deeds:
                group.start_soon(one, *deed)
            for style in STYLES:
                group.start_soon(make, world, channel, person, style)


async def test_two_callers_at_once(world: World, anyio_backend: str) -> None:
    async with (
        calling_as(ALICE, world.server.address) as alice,
        calling_as(BOB, world.server.address) as bob,
        anyio.create_task_group() as group,
    ):
        group.start_soon(act, world, alice, ALICE, BOB)
        group.start_soon(act, world, bob, BOB, ALICE)


async def test_a_caller_on_several_connections_has_one_process(
    world: World, anyio_backend: str
) -> None:
    workers: dict[str, set[int]] = {}
    for person in (ALICE, BOB, ALICE, BOB):
        async with calling_as(person, world.server.address) as channel:
            found = workers.setdefault(person.name, set())
            found.add(await call(channel, Acting, "worker"))
    assert [len(each) for each in workers.values()] == [1, 1]
    assert workers["alice"] != workers["bob"]
    template = template_of(world.server.pid)
    assert {*workers["alice"], *workers["bob"]} <= children_of(template)


async def test_groups_open_what_they_open(world: World, anyio_backend: str) -> None:
    even, odd = CROWD_OF[0], CROWD_OF[1]
    for gid in (EVENS, ODDS):
        folder = world.square / f"group {gid}"
        folder.mkdir(exist_ok=True)
        os.chown(folder, 0, gid)
        folder.chmod(0o770)
    for person, own, closed in ((even, EVENS, ODDS), (odd, ODDS, EVENS)):
        async with calling_as(person, world.server.address) as channel:
            for style in STYLES:
                name = secrets.token_hex(8)
                for gid, made in ((own, ""), (closed, "PermissionError")):
                    path = world.square / f"group {gid}" / name
                    assert await done(channel, style, "create", path) == made
                # Nor is a member of the one group in that of alice and bob.
                listing = await done(channel, style, "listing", world.shared)
                assert listing == "PermissionError"
