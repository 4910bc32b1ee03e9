"""Handshakes over pipes: what the clock ends."""

import anyio
import pytest

from signetrpc.transport import HandshakeTimeout, Protection, SecurityPolicy
from signetrpc.transport._config import Channel, SessionConfig
from signetrpc.transport._driver import shake_hands
from signetrpc.transport._session import Session
from tests.support.calls import HeldPipe

pytestmark = pytest.mark.anyio


class Stuck(HeldPipe):
    """A pipe that brings what the test gave it, and takes nothing."""

    def __init__(self, brings: bytes) -> None:
        super().__init__()
        self.full = True
        self._brings = brings

    async def receive(self) -> bytes:
        """Give what there is."""
        return self._brings

    async def drain(self) -> None:
        """Have room until the session says its last words."""
        if self.sent:
            await super().drain()


async def test_a_peer_that_does_not_read_the_end_runs_out_of_time() -> None:
    policy = SecurityPolicy(minimum_protection=Protection.NONE, handshake_seconds=0.01)
    config = SessionConfig(
        policy=policy,
        nonce=bytes(32),
        secret=bytes(32),
        channel=Channel(provides=Protection.NONE),
    )
    hello = Session(config, initiator=True, now=0.0).data_to_send()
    session = Session(config, initiator=False, now=anyio.current_time())
    pipe = Stuck(hello)
    with pytest.raises(HandshakeTimeout):
        await shake_hands(pipe, session)
    assert pipe.closed
