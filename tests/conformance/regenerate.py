"""Writes the golden exchanges anew: only when the wire has changed on purpose."""

import json

from tests.conformance.exchanges import FOLDER, NAMES, life_of, vector


def main() -> None:
    """Write every vector."""
    FOLDER.mkdir(exist_ok=True)
    for name in NAMES:
        with life_of(name):
            text = json.dumps(vector(name), indent=1)
        (FOLDER / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
