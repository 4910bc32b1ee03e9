"""The identity workers of a server: found, started, counted, ended.

One for each (uid, gid, groups, delegated credential).  Who the caller is on this
machine is asked at its first call and again after a while, in a thread, because the
name service may be far.
"""

import logging
import os
from typing import Final

import anyio

from signetrpc.transport import (
    DelegatedCredential,
    Identity,
    LocalUser,
    TransportError,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop
from signetrpc.transport._steps import StepThreads

from ._linux_impersonation import LinuxImpersonation
from ._local_users import LocalUsers, NotImpersonated
from ._status import StatusCode
from ._template import Template
from ._worker_control import WorkerControl
from ._worker_handle import Worker, WorkerKey
from ._worker_messages import Setup
from .errors import ImpersonationError, RpcError

__all__ = ["Workers"]

_log: Final = logging.getLogger("signetrpc.rpc")

_LOOKUPS: Final = 16
"""Callers looked up at once; a name service that hangs gets no more of them."""

_END_SECONDS: Final = 2.0
"""A worker that is told to end has this long."""


class _GoneError(RpcError):
    """A worker is gone, or as good as gone."""

    def __init__(self) -> None:
        super().__init__(StatusCode.UNAVAILABLE, "the process to run the call is gone")


class Workers:
    """All identity workers of a server."""

    def __init__(
        self, loop: Loop, config: LinuxImpersonation, users: LocalUsers, setup: Setup
    ) -> None:
        self.config = config
        self._loop = loop
        self._users = users
        self._setup = setup
        self._template = Template(self._ended)
        self._restarting = anyio.Lock()
        self._workers: dict[WorkerKey, Worker] = {}
        self._by_number: dict[int, Worker] = {}
        self._lookups = StepThreads(_LOOKUPS)
        self._closed = False

    @property
    def running(self) -> list[Worker]:
        """Those that take calls."""
        return [each for each in self._workers.values() if each.running]

    async def start(self) -> None:
        """Start the template process.

        Raises:
            ImpersonationError: No worker can be made here.
        """
        await self._template.start(self._loop, self._setup, self.config.environment)

    async def aclose(self) -> None:
        """End all of them and wait until they are gone."""
        self._closed = True
        await self._template.aclose()

    # From a caller to its worker.

    async def open(self, loop: Loop, caller: Identity) -> tuple[Worker, Link, float]:
        """Return the worker of a caller, a new link to it, and how long that holds.

        Raises:
            RpcError: PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAVAILABLE or INTERNAL;
                its cause says what the caller is not to know.
        """
        user = await self._find(caller)
        until = loop.time() + self.config.recheck_seconds
        try:
            worker, link = await self._open(user, caller)
        except _GoneError:
            # It had ended when the service did not know yet; no call had begun in it.
            worker, link = await self._open(user, caller)
        return worker, link, until

    async def _open(self, user: LocalUser, caller: Identity) -> tuple[Worker, Link]:
        key = _key(user, caller)
        while (worker := self._workers.get(key)) is None:
            going = self._make_room(user)
            if going is not None:
                await going.wait_gone()
                continue
            worker = self._workers[key] = Worker(self, user, key)
            self._loop.spawn(self._start(worker, caller.delegated))
        worker.opening += 1
        try:
            await worker.ready.wait()
            if worker.failure is not None:
                raise worker.failure
            return worker, await self._link(worker, caller)
        finally:
            worker.opening -= 1
            if not worker.busy:
                self.idle(worker)

    async def _find(self, caller: Identity) -> LocalUser:
        try:
            with anyio.fail_after(self.config.start_seconds):
                return await self._lookups.run(self._users.find, caller)
        except NotImpersonated as error:
            _log.warning("%s cannot be impersonated: %s", caller, error)
            raise RpcError(
                StatusCode.PERMISSION_DENIED, "the caller has no local user to run as"
            ) from error
        except TimeoutError as error:
            _log.error("looking %s up takes too long", caller)
            raise RpcError(
                StatusCode.UNAVAILABLE, "the caller's local user cannot be looked up"
            ) from error

    def _make_room(self, user: LocalUser) -> Worker | None:
        """Return None if there is room for one more, or whose end to wait for."""
        everybody = {*self._by_number.values(), *self._workers.values()}
        own = {each for each in everybody if each.user.uid == user.uid}
        config = self.config
        return self._make_room_among(
            own, config.max_user_workers, "this caller"
        ) or self._make_room_among(everybody, config.max_workers, "callers")

    def _make_room_among(
        self, workers: set[Worker], limit: int, whose: str
    ) -> Worker | None:
        if len(workers) < limit:
            return None
        going = [each for each in workers if each.going]
        if len(workers) - len(going) < limit:
            return going[0]
        idle = [each for each in workers if each.running and not each.busy]
        if not idle:
            raise RpcError(
                StatusCode.RESOURCE_EXHAUSTED,
                f"{len(workers)} processes run for {whose}, limit {limit}",
            )
        oldest = min(idle, key=lambda each: each.idle_since)
        self._end(oldest)
        return oldest

    async def _start(
        self, worker: Worker, credential: DelegatedCredential | None
    ) -> None:
        try:
            # That has a time of its own, and whoever gave it up would do so each time.
            await self._restart_template()
            with anyio.fail_after(self.config.start_seconds):
                credential = await self._portable(credential)
                control = worker.control = WorkerControl(worker, self._loop.time)
                with control.far:
                    # It waits there for the worker: the template never reads it.
                    control.begin(credential)
                    worker.number = self._template.fork(worker.user, control.far)
                self._by_number[worker.number] = worker
                serves = await control.first_word()
            if not serves or self._by_number.get(worker.number) is not worker:
                self._give_up(worker)
                return
        except (TimeoutError, OSError, ValueError, ImpersonationError) as error:
            _log.error("%s could not be started: %s", worker, error)
            self._give_up(worker)
        except Exception:
            _log.exception("starting %s", worker)
            self._give_up(worker)
        except BaseException:
            self._give_up(worker)
            raise
        else:
            worker.running = True
            worker.idle_since = self._loop.time()
            worker.ready.set()
            self.idle(worker)
            await self._listen(worker, control)

    def _give_up(self, worker: Worker) -> None:
        worker.failure = RpcError(
            StatusCode.UNAVAILABLE, "the process to run the call could not be started"
        )
        self.kill(worker)
        if worker.control is not None:
            worker.control.close()
            worker.control = None
        worker.ready.set()

    async def _restart_template(self) -> None:
        async with self._restarting:
            if not self._template.running and not self._closed:
                _log.error("the template process of the workers is gone: another one")
                await self._template.aclose()
                self._template = Template(self._ended)
                await self._template.start(
                    self._loop, self._setup, self.config.environment
                )

    async def _portable(
        self, credential: DelegatedCredential | None
    ) -> DelegatedCredential | None:
        if credential is None:
            return None
        from signetrpc.transport._delegation import for_worker

        return await self._lookups.run(for_worker, credential)

    async def _listen(self, worker: Worker, control: WorkerControl) -> None:
        """Log what a worker says, until it ends."""
        try:
            with anyio.CancelScope() as worker.reading:
                await control.listen()
        except (OSError, ValueError) as error:
            _log.error("%s sent no message: %s", worker, error)
            self.kill(worker)
        finally:
            worker.control = None
            control.close()
            self._forget(worker)
            # Whoever closes its control socket must not live on without one.
            self._end_later(worker)

    async def _link(self, worker: Worker, caller: Identity) -> Link:
        try:
            if worker.control is None:
                raise OSError("it has ended")
            return await worker.control.link(caller, self.config.start_seconds)
        except (OSError, TransportError) as error:
            _log.error("%s takes no connection: %s", worker, error)
            self.kill(worker)
            raise _GoneError from error

    # Ends.

    def idle(self, worker: Worker) -> None:
        """Note that a worker has no calls; it ends if that lasts."""
        worker.idle_since = self._loop.time()
        # One timer for each, whatever becomes of it: a lone caller's every call ends
        # with an idle worker.
        if not worker.watched:
            worker.watched = True
            self._look_later(worker)

    def _look_later(self, worker: Worker) -> None:
        when = worker.idle_since + self.config.idle_seconds
        self._loop.call_at(when, lambda: self._look(worker))

    def _look(self, worker: Worker) -> None:
        worker.watched = False
        if not worker.running or worker.busy:
            return
        if self._loop.time() < worker.idle_since + self.config.idle_seconds:
            worker.watched = True
            self._look_later(worker)
        else:
            self._end(worker)

    def _end(self, worker: Worker) -> None:
        """Have a worker without calls end by itself."""
        worker.dismissed = True
        self._forget(worker)
        if worker.reading is not None:
            worker.reading.cancel()  # which closes its control socket

    def _end_later(self, worker: Worker) -> None:
        if self._by_number.get(worker.number) is not worker:
            return
        number, template = worker.number, self._template
        self._loop.call_at(
            self._loop.time() + _END_SECONDS, lambda: template.kill(number)
        )

    def kill(self, worker: Worker) -> None:
        """End a worker at once."""
        self._forget(worker)
        # Once it is gone its number may be another's, of another template.
        if self._by_number.get(worker.number) is worker:
            self._template.kill(worker.number)

    def _forget(self, worker: Worker) -> None:
        worker.running = False
        if self._workers.get(worker.key) is worker:
            del self._workers[worker.key]

    def _ended(self, number: int, status: int | None) -> None:
        worker = self._by_number.pop(number, None)
        if worker is None:
            return
        worker.gone.set()
        if not self._closed and not worker.dismissed:
            how = "with the template process" if status is None else _words(status)
            _log.error("%s ended %s", worker, how)
        self._forget(worker)
        if worker.reading is not None:
            # It may live on for a moment where the template was killed.
            worker.reading.cancel()


def _words(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"by signal {-code}" if code < 0 else f"with status {code}"


def _key(user: LocalUser, caller: Identity) -> WorkerKey:
    # A credential is one session's: nobody else's calls may use it.
    credential = caller.session_id if caller.delegated is not None else ""
    return user, credential
