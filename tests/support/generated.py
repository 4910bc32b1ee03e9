"""The generated clients in the repository: `x_client.py` is made from `x.py` beside it.

python -m tests.support.generated            makes them again
python -m tests.support.generated --check    fails if one is not as it would be made
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("examples", "benchmarks", "rpc")
SUFFIX = "_client.py"


def clients() -> list[Path]:
    """Return every generated client: those with the module they are made from."""
    return sorted(
        client
        for folder in FOLDERS
        for client in (ROOT / folder).rglob(f"*{SUFFIX}")
        if _interface(client).exists()
    )


def command(client: Path, *options: str) -> list[str]:
    """Return the command that makes `client`, to be run in its folder."""
    interface = _interface(client)
    module = interface.stem
    if interface.parent == ROOT / "rpc":
        module = f"signetrpc.rpc.{module}"  # whose relative imports need the package
    targets = [f"{module}:{name}" for name in _services(interface)]
    signet = str(Path(sys.executable).parent / "signet")
    return [signet, "idl", "generate", *targets, "-o", client.name, *options]


def _interface(client: Path) -> Path:
    return client.with_name(client.name.removesuffix(SUFFIX) + ".py")


def _services(interface: Path) -> list[str]:
    classes = [
        node
        for node in ast.parse(interface.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]
    return [
        node.name
        for node in classes
        if any(ast.unparse(mark).startswith("service(") for mark in node.decorator_list)
    ]


def main() -> int:
    """Make or check every client; 1 if one failed, with its command's output."""
    options = sys.argv[1:]
    codes = [
        subprocess.run(command(client, *options), cwd=client.parent).returncode
        for client in clients()
    ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
