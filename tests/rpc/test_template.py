"""The service's handle on its template: starts that fail, and ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest

from signetrpc.rpc import _template as module
from signetrpc.rpc._offer import Offer
from signetrpc.rpc._template import Template, check_platform, make_setup
from signetrpc.rpc._worker_messages import Setup
from signetrpc.rpc.errors import ImpersonationError
from signetrpc.transport._loops import open_loop
from tests.support.chores import Chores
from tests.support.crew import alive, children_of, setup_of, until, user_of
from tests.support.measuring import measured
from tests.support.parts import Part, require

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which modules are imported."""
    require(Part.ROOT)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def offering(name: str) -> bytes:
    """Return a packed service of a module that this process does not import."""
    return f"c{name}\nService\n.".encode()


async def refused(setup: Setup) -> str:
    """Return why a template does not start."""
    ends: list[int] = []
    async with open_loop() as loop:
        template = Template(lambda number, _: ends.append(number))
        with pytest.raises(ImpersonationError) as caught, measured() as names:
            await template.start(loop, setup, names)
        assert not template.running
        await template.aclose()
    assert ends == []
    return str(caught.value)


# Starts that fail.


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise RuntimeError('broken')", "cannot start: RuntimeError: broken"),
        ("import no_such_module", "cannot start: ModuleNotFoundError: No module named"),
        ("x = 5", "cannot start: AttributeError: "),
        ("def broken(:", "cannot start: SyntaxError: "),
        ("raise SystemExit('no')", "cannot start: SystemExit: no"),
        ("import os; os._exit(3)", "the template process of the workers ended"),
        (
            "import threading\n"
            "threading.Thread(target=threading.Event().wait, name='eager',"
            " daemon=True).start()\n"
            "def Service(): pass",
            "importing the services started 1 threads (MainThread, eager); "
            "start them in a service's __init__ instead",
        ),
    ],
    ids=["raises", "imports", "lacks", "syntax", "exits", "dies", "threads"],
)
async def test_services_that_cannot_be_imported(
    folder: Path, source: str, says: str
) -> None:
    name = f"odd_{abs(hash(source))}"
    Path(folder, f"{name}.py").write_text(source)
    assert says in await refused(setup_of(offering(name)))


async def test_a_module_that_does_not_exist(folder: Path) -> None:
    found = await refused(setup_of(offering("no_such_service")))
    assert "ModuleNotFoundError: No module named 'no_such_service'" in found


async def test_an_import_that_takes_too_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_START_SECONDS", 0.5)
    monkeypatch.setattr(module, "_END_SECONDS", 0.1)
    Path(folder, "slow_service.py").write_text(
        "import threading; threading.Event().wait()"
    )
    found = await refused(setup_of(offering("slow_service")))
    assert found == "importing the services took over 0.5 seconds"
    assert "the template process of the workers does not end: killed" in caplog.text


async def test_more_than_a_packet_can_carry() -> None:
    found = await refused(setup_of(bytes(200 * 1024)))
    assert "cannot be sent to the template process: a packet of" in found


async def test_a_start_that_is_cancelled_leaves_no_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_END_SECONDS", 0.1)
    pids: list[int] = []
    real = subprocess.Popen

    def noted(*given: Any, **options: Any) -> Any:
        process = real(*given, **options)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", noted)
    Path(folder, "still_service.py").write_text(
        "import threading; threading.Event().wait()"
    )
    async with open_loop() as loop:
        template = Template(lambda number, status: None)
        async with anyio.create_task_group() as group:
            group.start_soon(template.start, loop, setup_of(offering("still_service")))
            await until(lambda: bool(pids) and bool(children_of(pids[0])))
            pids += children_of(pids[0])
            group.cancel_scope.cancel()
    assert not alive(pids[0])
    await until(lambda: not alive(pids[1]))


# Running.


async def test_workers_are_numbered_and_their_ends_told() -> None:
    require(Part.ROOT)
    ends: list[tuple[int, int | None]] = []
    setup = setup_of(Offer(services=[Chores]).packed())
    async with open_loop() as loop:
        template = Template(lambda number, status: ends.append((number, status)))
        await template.start(loop, setup)
        assert template.running
        controls = [_forked(template) for _ in range(3)]
        template.kill(2)
        await until(lambda: ends == [(2, signal.SIGKILL)])
        template.kill(2)  # and nothing happens
        template.kill(99)
        await template.aclose()
        assert not template.running
        # Those left were told by what comes at the end.
        assert sorted(each for each, _ in ends) == [1, 2, 3]
        for each in controls:
            each.close()
        with pytest.raises(OSError, match="the template process has ended"):
            _forked(template)
        await template.aclose()


def _forked(template: Template) -> socket.socket:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far:
        try:
            template.fork(user_of("alice"), far)
        except OSError:
            near.close()
            raise
    return near


@pytest.mark.parametrize("killed", ["template", "warden"])
async def test_its_own_end_is_that_of_all(killed: str) -> None:
    require(Part.ROOT)
    ends: list[tuple[int, int | None]] = []
    setup = setup_of(Offer(services=[Chores]).packed())
    async with open_loop() as loop:
        template = Template(lambda number, status: ends.append((number, status)))
        await template.start(loop, setup)
        control = _forked(template)
        process = template._process  # pyright: ignore[reportPrivateUsage]
        assert process is not None
        (itself,) = children_of(process.pid)
        await until(lambda: bool(children_of(itself)))
        os.kill(itself if killed == "template" else process.pid, signal.SIGKILL)
        await until(lambda: not template.running)
        # Without a warden it ends in order, and tells.
        assert ends == [(1, None if killed == "template" else signal.SIGKILL)]
        await until(lambda: not alive(itself))
        template.kill(1)  # nobody is there to ask
        control.close()
        await template.aclose()


# What a template is told.


async def test_the_setup_of_services_in_modules(anyio_backend_name: str) -> None:
    setup = make_setup(
        Offer(services=[Chores]).packed(),
        max_body_bytes=1,
        max_calls=2,
        max_threads=3,
        max_memory_bytes=4,
    )
    assert (setup.main_module, setup.main_path) == ("", "")
    assert setup.backend == anyio_backend_name
    assert all(map(os.path.isabs, setup.search_path))
    assert str(ROOT) in setup.search_path
    limits = (setup.max_body_bytes, setup.max_calls, setup.max_threads)
    assert (*limits, setup.max_memory_bytes) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("name", "file", "found"),
    [
        ("app.main", "/srv/app/main.py", ("app.main", "")),
        (None, "script.py", ("", str(Path("script.py").absolute()))),
        (None, None, ("", "")),
    ],
    ids=["module", "file", "neither"],
)
async def test_the_main_module_is_named_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
    name: str | None,
    file: str | None,
    found: tuple[str, str],
) -> None:
    main = ModuleType("__main__")
    if name is not None:
        main.__spec__ = type(sys.__spec__)(name, None)
    if file is not None:
        main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)
    setup = setup_of(b"c__main__\nService\n.")
    assert (setup.main_module, setup.main_path) == found
    setup = setup_of(b"cother\nService\n.")
    assert (setup.main_module, setup.main_path) == ("", "")


def test_uvloop_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = type("Loop", (), {"__module__": "uvloop"})()
    monkeypatch.setattr("asyncio.get_running_loop", lambda: loop)
    assert module.backend_name() == "uvloop"


@pytest.mark.parametrize("how", ["file", "module"])
async def test_services_of_the_main_program_work(how: str) -> None:
    require(Part.ROOT)
    name = "tests.support.main_chores"
    program = {"file": [f"{name.replace('.', '/')}.py"], "module": ["-m", name]}
    done = await anyio.run_process(
        [sys.executable, *program[how]],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.stderr.decode() == ""
    assert done.stdout.decode() == "61001\n"


# Where it can be.


def status_with(effective: str) -> Callable[..., Any]:
    real: Callable[..., Any] = open

    def opening(path: Any, *given: Any, **options: Any) -> Any:
        if path == "/proc/self/status":
            file = Path(os.environ["STATUS"])
            file.write_text(f"Name:\tx\nCapEff:\t{effective}\n")
            path = file
        return real(path, *given, **options)

    return opening


@pytest.mark.parametrize(
    ("effective", "missing"),
    [
        ("0000000000000000", "CAP_SETGID and CAP_SETUID"),
        ("0000000000000040", "CAP_SETUID"),
        ("0000000000000080", "CAP_SETGID"),
        ("ffffffffffffff3f", "CAP_SETGID and CAP_SETUID"),
        ("00000000000000c0", None),
    ],
)
def test_both_capabilities_are_needed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    effective: str,
    missing: str | None,
) -> None:
    monkeypatch.setenv("STATUS", str(tmp_path / "status"))
    monkeypatch.setattr("builtins.open", status_with(effective))
    if missing is None:
        check_platform()
        return
    with pytest.raises(
        ImpersonationError, match=f"^impersonation needs {missing}: run"
    ):
        check_platform()


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ImpersonationError, match="needs Linux; this is win32"):
        check_platform()


def test_variables_are_named_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "LC_TIME", "PYTHONPATH", "KRB5_CONFIG", "APP.X", "APPLX"):
        monkeypatch.setenv(name, "x")
    found = module._environment(["APP.X"])  # pyright: ignore[reportPrivateUsage]
    assert {"PATH", "LC_TIME", "PYTHONPATH", "KRB5_CONFIG", "APP.X"} <= found.keys()
    for name in ("APPLX", "KRB5_KTNAME", "XPATH", "AWS_SECRET_ACCESS_KEY"):
        assert name not in found
