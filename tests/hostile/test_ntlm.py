"""Ways into a server with an account file, none of which is one."""

from pathlib import Path

import anyio
import pytest
from spnego._ntlm_raw.messages import AvId, Challenge

from signetrpc.transport import listen
from signetrpc.transport._frames import Frame, FrameType
from signetrpc.transport._security import SecurityPolicy
from signetrpc.transport._stream import SecureStream
from signetrpc.transport.errors import HandshakeError, InsufficientProtection
from tests.hostile.scripts import (
    NTLM_ATTACKS,
    Attack,
    against_listener,
    against_session,
    completed_first,
    without_integrity,
)
from tests.support.mechanisms import Real
from tests.support.negotiation import account_file
from tests.support.paths import assert_both_fail, attacked
from tests.support.sessions import raw


@pytest.mark.parametrize("attack", NTLM_ATTACKS.values(), ids=NTLM_ATTACKS.keys())
def test_nobody_gets_in(attack: Attack, accounts: Real, suite: str) -> None:
    server = accounts.server(suite)
    result = against_session(attack(suite), server)
    assert isinstance(result.error, HandshakeError)
    assert not result.inside
    assert len(result.rejections) == 1
    assert FrameType.FINISHED not in {frame.kind for frame in result.frames}


@pytest.mark.anyio
@pytest.mark.parametrize("attack", NTLM_ATTACKS.values(), ids=NTLM_ATTACKS.keys())
async def test_nobody_gets_into_a_listener(
    attack: Attack, tmp_path: Path, suite: str
) -> None:
    inside: list[SecureStream] = []

    async def handler(stream: SecureStream) -> None:
        inside.append(stream)

    accept = [account_file(tmp_path)]
    policy = SecurityPolicy(suites=(suite,))
    async with await listen("tcp://127.0.0.1:0", accept=accept, policy=policy) as door:
        async with anyio.create_task_group() as group:
            group.start_soon(door.serve, handler)
            result = await against_listener(attack(suite), door)
            assert len(result.rejections) == 1
            assert FrameType.FINISHED not in {frame.kind for frame in result.frames}
            group.cancel_scope.cancel()
    assert not inside


def test_no_integrity_is_what_is_missed(accounts: Real, suite: str) -> None:
    result = against_session(without_integrity(suite), accounts.server(suite))
    assert isinstance(result.error, InsufficientProtection)
    assert "lacks integrity" in str(result.error)


def test_a_stripped_mic_is_missed_by_both_ends(accounts: Real, suite: str) -> None:
    # Without a time in the challenge no client sends a message integrity code, and
    # nothing of the mechanism's own would tell that the challenge was changed.
    def strip(frame: Frame) -> list[bytes]:
        if frame.kind is not FrameType.TOKEN:
            return [frame.encoded]
        message = Challenge.unpack(bytes(frame.body))
        info = message.target_info
        assert info is not None
        del info[AvId.timestamp]
        changed = Challenge(
            message.flags,
            message.server_challenge,
            target_name=message.target_name,
            target_info=info,
            version=message.version,
        )
        return [raw(FrameType.TOKEN, changed.pack())]

    ends = accounts.client(suite), accounts.server(suite)
    outcomes = attacked(ends, strip, to_server=False)
    assert_both_fail(ends, outcomes)
    assert isinstance(outcomes[0].error, InsufficientProtection)
    assert "a message integrity code" in str(outcomes[0].error)


def test_a_negotiation_that_begins_with_its_end(accounts: Real, suite: str) -> None:
    result = against_session(completed_first(suite), accounts.server(suite))
    assert "does not begin with its first token" in str(result.error)
