"""The shape of the code: who may import whom and what, how long a file may be.

DESIGN: imports point one way, the security libraries stay behind one edge, and only
modules named as shells touch sockets, processes, threads or clocks.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each folder, and the folders below it that it may import.
LAYERS = {
    "transport": {"transport"},
    "rpc": {"rpc", "transport"},
    "idl": {"idl", "rpc", "transport"},
}

SECURITY_LIBRARIES = {"spnego", "gssapi", "krb5"}
SECURITY_EDGE = (
    "transport/_negotiate*.py",
    "transport/_pac.py",
    "transport/_delegation.py",
)

OUTSIDE_WORLD = {"asyncio", "trio", "socket", "subprocess", "threading", "time"}
SHELLS = (
    "transport/_loops*.py",
    "transport/_pipes*.py",
    "transport/_driver.py",
    "transport/_steps.py",
    "transport/_sockets.py",
    "transport/_connectors.py",
    "transport/_stream.py",
    "transport/_listeners.py",
    "transport/_negotiate*.py",
    "transport/_impersonate_windows.py",
    "transport/testing.py",
    "rpc/_client.py",
    "rpc/_channel.py",
    "rpc/_audit.py",
    "rpc/_server.py",
    "rpc/_signals.py",
    "rpc/_blocking*.py",
    "rpc/_workers.py",
    "rpc/_janitors.py",
    "rpc/_warden.py",
    "rpc/_worker.py",
    "rpc/_worker_control.py",
    "rpc/_worker_template.py",
    "rpc/_template.py",
    "rpc/_packets.py",
    "rpc/testing.py",
    "idl/cli/*.py",
)

MAX_LINES = 400

# Private modules without a test file of their own, and where they are tested.
TESTED_ELSEWHERE: dict[str, str] = {
    "transport/_contract_connector.py": "tests/contract/test_connectors.py",
    "transport/_contract_context.py": "tests/contract/test_contexts.py",
    "transport/_contract_ends.py": "tests/contract/test_finds.py",
    "transport/_contract_flow.py": "tests/contract/test_finds.py",
    "transport/_contract_pipes.py": "tests/contract/test_pipes.py",
    "transport/_contract_pair.py": "tests/contract/test_connectors.py",
}

FILES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _matches(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(_name(path), pattern) for pattern in patterns)


def imports(path: Path, source: str) -> Iterator[str]:
    """Yield what a file imports, absolute: `signetrpc.rpc._x`, `asyncio.tasks`."""
    package = ("signetrpc", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=0):
                # "from signetrpc import rpc" imports signetrpc.rpc.
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            case ast.ImportFrom():
                base = [*package[: len(package) - node.level + 1]]
                base += [node.module] if node.module else []
                yield from (".".join([*base, alias.name]) for alias in node.names)
            case _:
                pass


def _top_levels(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path, path.read_text())}


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_point_one_way(path: Path) -> None:
    layer = _name(path).split("/")[0]
    parts = [name.split(".") for name in imports(path, path.read_text())]
    imported = {part[1] for part in parts if part[0] == "signetrpc"}
    assert imported <= LAYERS[layer]


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_only_the_edge_knows_the_security_libraries(path: Path) -> None:
    if not _matches(path, SECURITY_EDGE):
        assert not _top_levels(path) & SECURITY_LIBRARIES


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_only_shells_touch_the_outside_world(path: Path) -> None:
    if not _matches(path, SHELLS):
        assert not _top_levels(path) & OUTSIDE_WORLD


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.name.startswith("_") and path.stem != "__init__"],
    ids=_name,
)
def test_each_private_module_has_its_test_file(path: Path) -> None:
    inside = path.relative_to(ROOT)
    test = ROOT / "tests" / inside.parent / f"test_{path.stem.lstrip('_')}.py"
    assert test.exists() != (_name(path) in TESTED_ELSEWHERE)


def test_reasons_name_files_that_exist() -> None:
    for module, test in TESTED_ELSEWHERE.items():
        assert (ROOT / module).exists(), module
        assert (ROOT / test).exists(), test


def test_relative_and_absolute_imports_are_found() -> None:
    source = "import a.b\nfrom c import d\nfrom . import e\nfrom ..f.g import h\n"
    found = set(imports(ROOT / "idl" / "cli" / "x.py", source))
    assert found == {"a.b", "c.d", "signetrpc.idl.cli.e", "signetrpc.idl.f.g.h"}
