"""The identity worker: serves the calls of one user, as that user.

Forked from the template for one (uid, gid, groups, delegated credential).  It becomes
the user before it runs anything of the user's or the service's, and then is an ordinary
server whose connections are socket pairs: one for each connection of the caller's at
the service, which authenticated the caller, judged the call and says who it is.
"""

import gc
import os
import select
import signal
import socket
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

import anyio

from signetrpc.transport import (
    DelegatedCredential,
    Identity,
    LocalUser,
    TransportError,
    open_channel,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop, open_loop
from signetrpc.transport._sockets import pipe_over

from ._assembly import Buffers
from ._authorization import anyone
from ._delegated import mark_worker
from ._error_registry import ErrorRegistry
from ._flow import LINK_WINDOW
from ._keepalive import KeepalivePolicy
from ._offer import Offer
from ._packets import Packets
from ._server_connection import ServerConnection
from ._serving import Serving
from ._worker_identity import become
from ._worker_log import send_log
from ._worker_messages import (
    LINK_POLICY,
    Begin,
    Fork,
    NewLink,
    Refused,
    Running,
    Setup,
    ToWorker,
    encode,
    link_channel,
    read_to_worker,
)

__all__ = ["CACHE_NAME", "run_worker"]

CACHE_NAME: Final = "krb5cc"

_END_SECONDS: Final = 3
"""So long what runs has to end when the service closes the control socket."""

_KEEPALIVE: Final = KeepalivePolicy(idle_seconds=86400.0, min_ping_seconds=1e-3)
"""The service may ask as often as it likes, and the system tells when it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What a worker is to do."""

    setup: Setup
    user: LocalUser
    credential: DelegatedCredential | None
    offer: Offer
    control: Packets


def run_worker(
    setup: Setup, fork: Fork, offer: Offer, control: socket.socket
) -> NoReturn:
    """Become the user and serve until the service closes `control`; never return.

    Args:
        setup: What all workers serve.
        fork: Who this one becomes.
        offer: What runs here.
        control: Over it come the links; no other descriptor stays open.
    """
    status = 1
    packets = Packets(control)
    try:
        _forget_template(control.fileno())
        become(fork.user, max_memory_bytes=setup.max_memory_bytes)
        credential = _begin(packets).credential
        _set_environment(fork, credential)
        send_log(packets, setup.log_level)
        work = _Work(
            setup=setup,
            user=fork.user,
            credential=credential,
            offer=offer,
            control=packets,
        )
        uvloop = {"use_uvloop": True} if setup.backend == "uvloop" else {}
        backend = "trio" if setup.backend == "trio" else "asyncio"
        anyio.run(_serve, work, backend=backend, backend_options=uvloop)
        status = 0
    except BaseException:
        _say(packets, Refused(traceback.format_exc()[-8192:]))
    finally:
        # Not by way of the interpreter's end, which runs what the template set up.
        os._exit(status)


def _forget_template(kept: int) -> None:
    """Close every descriptor but one; streams lead nowhere; signals do as always."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                pass  # not one that a process may change
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor != kept:
            try:
                os.close(descriptor)
            except OSError:
                pass  # that of the listing itself
    gc.enable()


def _begin(packets: Packets) -> Begin:
    """Return what the service says first, and to no other process."""
    select.select([packets], [], [])
    data, _ = packets.receive_now()
    message = read_to_worker(data)
    assert isinstance(message, Begin)
    return message


def _set_environment(fork: Fork, credential: DelegatedCredential | None) -> None:
    user = fork.user
    cache = f"FILE:{fork.folder}/{CACHE_NAME}"
    os.environ.update(
        HOME=user.home,
        USER=user.name,
        LOGNAME=user.name,
        SHELL=user.shell,
        # Without a delegated credential there is no such file, and none of the user's
        # own is found: to act here is not to act elsewhere.
        KRB5CCNAME=cache,
        KRB5_CLIENT_KTNAME=f"FILE:{fork.folder}/none",
        KRB5_KTNAME=f"FILE:{fork.folder}/none",
    )
    os.environ.pop("NTLM_USER_FILE", None)
    mark_worker()
    if credential is not None:
        from signetrpc.transport._delegation import write_cache

        os.mkdir(fork.folder, 0o700)
        write_cache(credential, str(Path(fork.folder, CACHE_NAME)))


def _say(control: Packets, message: Running | Refused) -> None:
    try:
        control.send(encode(message))
    except OSError:
        pass  # the service is gone, and so will this process be


async def _serve(work: _Work) -> None:
    setup = work.setup
    serving = Serving(
        endpoints=work.offer.endpoints(),
        max_body_bytes=setup.max_body_bytes,
        max_metadata_bytes=setup.max_metadata_bytes,
        max_calls=setup.max_calls,
        buffers=Buffers(),
        threads=anyio.CapacityLimiter(setup.max_threads),
        authorize=anyone,  # the service has judged the call
        window=LINK_WINDOW,
        errors=ErrorRegistry(work.offer.errors),
        keepalive=_KEEPALIVE,
    )
    _say(work.control, Running())
    connections: set[ServerConnection] = set()
    async with open_loop() as loop:
        while True:
            data, sockets = await work.control.receive()
            if not data:
                # Nobody else might end it then, whatever its threads do.
                signal.alarm(_END_SECONDS)
                # Before handlers are cancelled: that they were is not how their calls
                # ended, and the service tells what is true of a process that is gone.
                for each in connections:
                    each.cut_off()
                return
            link: ToWorker = read_to_worker(data)
            assert isinstance(link, NewLink)
            (sock,) = sockets
            caller = replace(
                link.caller, impersonated_as=work.user, delegated=work.credential
            )
            loop.spawn(_serve_link(loop, sock, caller, serving, connections))


async def _serve_link(
    loop: Loop,
    sock: socket.socket,
    caller: Identity,
    serving: Serving,
    connections: set[ServerConnection],
) -> None:
    try:
        pipe = await pipe_over(sock)
        opened = await open_channel(
            pipe,
            link_channel(caller),
            initiator=False,
            policy=LINK_POLICY,
            start=anyio.current_time(),
        )
    except (TransportError, OSError):
        return  # the caller went away
    # When a link ends is the service's to say.
    link = Link(opened.pipe, opened.session)
    connection = ServerConnection(loop, link, serving)
    connections.add(connection)
    try:
        connection.start()
        await connection.wait_ended()
    finally:
        connections.discard(connection)
        await connection.aclose()
