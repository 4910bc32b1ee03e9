"""Writes the golden exchanges and calls anew: only when the wire is changed."""

import json

import anyio

from tests.conformance.conversations import CALLS, SCRIPTS, played
from tests.conformance.exchanges import FOLDER, NAMES, life_of, vector


def main() -> None:
    """Write every vector."""
    FOLDER.mkdir(exist_ok=True)
    for name in NAMES:
        with life_of(name):
            text = json.dumps(vector(name), indent=1)
        (FOLDER / f"{name}.json").write_text(text + "\n")
    CALLS.mkdir(exist_ok=True)
    for name in SCRIPTS:
        lines = [json.dumps(entry) for entry in anyio.run(played, name)]
        text = "[\n " + ",\n ".join(lines) + "\n]\n"
        (CALLS / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
