"""How much of a long test to run.

`scripts/soak` runs the long tests in full, `scripts/test` a fiftieth of them.
"""

import os

# A fiftieth keeps the whole suite within minutes on two cores.
_DEFAULT = 0.02


def scaled(count: int) -> int:
    """Return `count` times `SIGNETRPC_SCALE` (default 0.02), and 1 at least."""
    return max(1, round(count * float(os.environ.get("SIGNETRPC_SCALE", _DEFAULT))))
