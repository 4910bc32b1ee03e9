"""A stream goes over a real connection at its level, and single items of it higher."""

from typing import Any, Final

import pytest

from signetrpc.rpc import ClientCredentials, Protection, SecurityPolicy, TicketCache
from signetrpc.transport._frames import FrameType
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import connected
from tests.e2e.proxies import Path, proxied
from tests.e2e.trial import Trial
from tests.support.kdc import Kdc
from tests.support.kinds import of
from tests.support.negotiation import ALICE
from tests.support.sessions import frames

pytestmark = pytest.mark.anyio

SIGN, SEAL = Protection.SIGN, Protection.SEAL
OPEN: Final = "retreat at noon"
SECRET: Final = "ATTACK AT DAWN"
"""The service gives back what is in capitals sealed."""


@pytest.fixture(params=["ntlm", "kerberos"])
def place(
    request: pytest.FixtureRequest,
    kerberos_environment: Kdc,
    kerberos_servers: ServerOf,
    ntlm_servers: ServerOf,
    flavour: str,
) -> tuple[str, ClientCredentials]:
    """A server's address and what to log in to it with."""
    if request.param == "ntlm":
        return ntlm_servers(flavour).address, ALICE
    tickets = TicketCache(kerberos_environment.kinit("alice"))
    return kerberos_servers(flavour).address, tickets


def levels(path: Path) -> set[Protection]:
    """Return the levels of what was recorded, and forget it; no handshake is in it."""
    found = frames(bytes(path.recorded))
    path.recorded.clear()
    return {Protection(each.level) for each in found if each.kind is FrameType.RECORD}


@pytest.mark.parametrize("suite", ["gss", "aes256gcm"])
async def test_what_is_raised_is_sealed_each_way_and_the_rest_is_signed(
    place: tuple[str, ClientCredentials], suite: str
) -> None:
    address, credentials = place
    method: Any = of("echo", Trial)
    policy = SecurityPolicy(suites=(suite,))
    async with (
        proxied(address) as proxy,
        connected(proxy.address, credentials=credentials, policy=policy) as channel,
        channel.bidirectional(method, method.arguments()) as talk,
    ):
        paths = (proxy.to_server, proxy.to_client)
        await talk.send(OPEN)
        assert await anext(talk) == OPEN
        for path in paths:
            assert OPEN.encode() in path.recorded
            path.recorded.clear()
        await talk.send(SECRET, protection=SEAL)
        assert await anext(talk) == SECRET
        for path in paths:
            assert SECRET.encode() not in path.recorded
            assert SEAL in levels(path)
        await talk.send(OPEN)
        assert await anext(talk) == OPEN
        for path in paths:
            assert OPEN.encode() in path.recorded
            assert levels(path) == {SIGN}


@pytest.mark.parametrize("suite", ["gss", "aes256gcm"])
async def test_a_stream_that_was_opened_higher_is_higher_to_its_end(
    place: tuple[str, ClientCredentials], suite: str
) -> None:
    address, credentials = place
    method: Any = of("echo", Trial)
    policy = SecurityPolicy(suites=(suite,))
    async with (
        proxied(address) as proxy,
        connected(proxy.address, credentials=credentials, policy=policy) as channel,
    ):
        for path in (proxy.to_server, proxy.to_client):
            path.recorded.clear()
        texts = [OPEN, SECRET, OPEN]
        async with channel.bidirectional(
            method, method.arguments(), texts, protection=SEAL
        ) as talk:
            assert [text async for text in talk] == texts
        for path in (proxy.to_server, proxy.to_client):
            assert OPEN.encode() not in path.recorded
            assert levels(path) == {SEAL}
