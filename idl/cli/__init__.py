"""The command `signet`.

This module works without the extra `cli`, to say how to get it.
"""

import sys
from importlib.util import find_spec

__all__ = ["main"]

_NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command with the arguments of the process, and exit."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"error: signet needs {' and '.join(missing)}\n"
            "hint: pip install 'signetrpc[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    from ._app import app

    app()
