"""What connections share: defaults that every server relies on."""

import math

import anyio
import pytest

from signetrpc.rpc._assembly import Buffers
from signetrpc.rpc._serving import Serving

pytestmark = pytest.mark.anyio


async def test_threads_are_counted_once() -> None:
    serving = Serving(
        endpoints={},
        max_body_bytes=1,
        max_calls=1,
        buffers=Buffers(),
        threads=anyio.CapacityLimiter(3),
    )
    assert serving.threads.total_tokens == 3
    assert serving.counted.total_tokens == math.inf
