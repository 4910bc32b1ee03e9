"""Workers that a test plays itself: a template that starts none, and their ends."""

import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest

from signetrpc.rpc import _workers as workers_module
from signetrpc.rpc._linux_impersonation import LinuxImpersonation
from signetrpc.rpc._local_users import LocalUsers
from signetrpc.rpc._mapping import UserTable
from signetrpc.rpc._packets import Packets
from signetrpc.rpc._worker_handle import Worker
from signetrpc.rpc._worker_messages import (
    LINK_POLICY,
    Begin,
    Fork,
    NewLink,
    Running,
    Setup,
    encode,
    link_channel,
    read_to_worker,
)
from signetrpc.rpc._workers import Workers
from signetrpc.rpc.errors import RpcError
from signetrpc.transport import (
    DelegatedCredential,
    DelegationKind,
    Identity,
    LocalUser,
    Mechanism,
    open_channel,
)
from signetrpc.transport._loops import Loop, open_loop
from signetrpc.transport._sockets import pipe_over
from tests.support.calls import HeldLoop
from tests.support.turns import settle

__all__ = [
    "Played",
    "PlayedTemplate",
    "Workshop",
    "as_it_is",
    "caller",
    "credential",
    "hurry",
    "refused",
    "workshop",
]

SETUP = Setup(
    offer=b"",
    search_path=[],
    main_module="",
    main_path="",
    backend="asyncio",
    max_body_bytes=1,
    max_calls=1,
    max_threads=1,
    max_memory_bytes=1,
    log_level=0,
)


def caller(name: str, **fields: Any) -> Identity:
    """Return a caller by Kerberos."""
    return Identity(
        mechanism=Mechanism.KERBEROS, name=name, realm="EXAMPLE.COM", **fields
    )


class Users(LocalUsers):
    """Everybody is a user, until the test says otherwise."""

    def __init__(self) -> None:
        super().__init__(UserTable({}))
        self.asked: list[str] = []
        self.on_find: Callable[[Identity], LocalUser | None] = lambda _: None

    def find(self, caller: Identity) -> LocalUser:
        """Return a user with a number made of the name."""
        self.asked.append(caller.name)
        uid = 60000 + sum(caller.name.encode())
        user = LocalUser(name=caller.name, uid=uid, gid=uid, groups=(uid,))
        return self.on_find(caller) or user


class Played:
    """A worker's end of its control socket.

    Attributes:
        told: The links that it was given.
        over: True once the service has closed the control socket.
    """

    def __init__(self, request: Fork, control: Packets, begin: Begin) -> None:
        self.request = request
        self.control = control
        self.begin = begin
        self.told: list[NewLink] = []
        self.over = False

    def say(self, message: object) -> None:
        """Send a packet."""
        self.control.send(encode(message))

    async def link(self) -> socket.socket | None:
        """Wait for a link; None is the end."""
        data, sockets = await self.control.receive()
        if not data:
            self.over = True
            return None
        message = read_to_worker(data)
        assert isinstance(message, NewLink)
        self.told.append(message)
        (sock,) = sockets
        return sock

    async def play(self) -> None:
        """Do what a worker does, but for calls."""
        self.say(Running())
        while (sock := await self.link()) is not None:
            pipe = await pipe_over(sock)
            opened = await open_channel(
                pipe,
                link_channel(self.told[-1].caller),
                initiator=False,
                policy=LINK_POLICY,
                start=anyio.current_time(),
            )
            await opened.pipe.aclose()


class PlayedTemplate:
    """A template whose workers are the test's.

    Attributes:
        plays: True if they do what workers do by themselves.
    """

    def __init__(self, on_end: Callable[[int, int | None], None]) -> None:
        self.on_end = on_end
        self.running = False
        self.played: list[Played] = []
        self.killed: list[int] = []
        self.starts = 0
        self.failure: Exception | None = None
        self.closed = False
        self.plays = True
        self._loop: Loop | None = None

    async def start(
        self, loop: Loop, setup: Setup, environment: Sequence[str] = ()
    ) -> None:
        """Run from now on, unless the test says otherwise."""
        del setup, environment
        self._loop = loop
        self.starts += 1
        if self.failure is not None:
            raise self.failure
        self.running = True

    def fork(self, user: LocalUser, far: socket.socket) -> int:
        """Give the worker's end to the test."""
        if not self.running:
            raise OSError("the template process has ended")
        number = 1 + len(self.played)
        control = Packets(far.dup())
        data, _ = control.receive_now()
        begin = read_to_worker(data)
        assert isinstance(begin, Begin)
        played = Played(Fork(number, user, f"/none/{number}"), control, begin)
        self.played.append(played)
        if self.plays:
            assert self._loop is not None
            self._loop.spawn(played.play())
        return number

    def kill(self, number: int) -> None:
        """Note it."""
        self.killed.append(number)

    async def aclose(self) -> None:
        """Note it."""
        self.closed = True
        self.running = False


@dataclass
class Workshop:
    """What a test of `Workers` holds.

    Attributes:
        workers: Under test.
        templates: Each template that was made.
        users: Who callers are.
        loop: The clock.
    """

    workers: Workers
    templates: list[PlayedTemplate]
    users: Users
    loop: HeldLoop

    @property
    def template(self) -> PlayedTemplate:
        """The newest template."""
        return self.templates[-1]

    @property
    def played(self) -> list[Played]:
        """The workers of the newest template."""
        return self.template.played

    async def open(self, name: str, **fields: Any) -> Worker:
        """Open a link for a caller, and close it."""
        worker, link, _ = await self.workers.open(self.loop, caller(name, **fields))
        await link.pipe.aclose()
        return worker

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what a thread does."""
        with anyio.fail_after(10):
            while not condition():
                await anyio.sleep(0)
        await settle()


def credential() -> DelegatedCredential:
    """Return one as a caller would have delegated it."""
    return DelegatedCredential(
        principal="alice@EXAMPLE.COM",
        kind=DelegationKind.FORWARDED,
        expires_at=2e9,
        token=b"ticket",
    )


def as_it_is(given: DelegatedCredential) -> DelegatedCredential:
    """Make nothing new of a credential, which is none."""
    return given


def hurry(shop: Workshop) -> None:
    """Have what is waited for from now on be late soon."""
    shop.workers.config = replace(shop.workers.config, start_seconds=0.3)


async def refused(shop: Workshop, name: str, **fields: Any) -> RpcError:
    """Return how a caller's link is refused."""
    with pytest.raises(RpcError) as caught:
        await shop.open(name, **fields)
    return caught.value


@asynccontextmanager
async def workshop(
    monkeypatch: pytest.MonkeyPatch, **options: Any
) -> AsyncGenerator[Workshop]:
    """Give `Workers` whose processes the test plays.

    Args:
        monkeypatch: Puts the template in place.
        options: Those of `LinuxImpersonation`.
    """
    templates: list[PlayedTemplate] = []

    def make(on_end: Callable[[int, int | None], None]) -> PlayedTemplate:
        templates.append(PlayedTemplate(on_end))
        return templates[-1]

    monkeypatch.setattr(workers_module, "Template", make)
    try:
        async with open_loop() as real:
            loop = HeldLoop(real)
            users = Users()
            config = LinuxImpersonation(mapping=UserTable({}), **options)
            workers = Workers(loop, config, users, SETUP)
            await workers.start()
            yield Workshop(workers, templates, users, loop)
            await workers.aclose()
            await settle()
    finally:
        for template in templates:
            for each in template.played:
                each.control.close()
