"""Calls of all kinds with trouble on their way, and how they may end."""

from collections import Counter
from typing import Final

import anyio

from signetrpc.rpc import (
    Channel,
    ClientCredentials,
    KeepalivePolicy,
    SecurityPolicy,
    StatusCode,
    connect,
)
from tests.e2e.faults import Fault, afflict
from tests.e2e.ledger import Journal
from tests.e2e.proxies import at_once, proxied, whole
from tests.support.kdc import SERVICE

__all__ = ["AT_ONCE", "trouble", "way_of"]

CALLS: Final = 60
AT_ONCE: Final = 16

# Who says nothing for half a second is gone.
SHORT: Final = KeepalivePolicy(idle_seconds=0.2, timeout_seconds=0.3)
HARMLESS: Final = {Fault.DELAYS, Fault.SPLITS}
ENDS: Final = {
    StatusCode.OK,
    StatusCode.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED,
}
# What changes in a handshake, neither end can prove or offer any more.
NO_SESSION: Final = {StatusCode.UNAUTHENTICATED, StatusCode.FAILED_PRECONDITION}
EXPECTED: Final = {
    Fault.DELAYS: {StatusCode.OK, StatusCode.DEADLINE_EXCEEDED},
    Fault.SPLITS: {StatusCode.OK, StatusCode.DEADLINE_EXCEEDED},
    Fault.CUTS: ENDS,
    Fault.STALLS: ENDS,
    Fault.CORRUPTS: ENDS | NO_SESSION,
    Fault.REPEATS: ENDS | NO_SESSION,
}
WAYS: Final = (
    ("ntlm", "aes256gcm"),
    ("kerberos", "aes256gcm"),
    ("ntlm", "gss"),
    ("kerberos", "gss"),
)


def way_of(number: int, loop: str) -> tuple[str, str]:
    """Return mechanism and suite for the test of that number.

    So each test meets both suites, one on either loop, and each loop meets all of them.
    """
    return WAYS[(number + (2 if loop == "trio" else 0)) % len(WAYS)]


async def call_until(
    channel: Channel, journal: Journal, wanted: int
) -> Counter[StatusCode]:
    """Make calls, many at once, until so many have ended well."""
    ends: Counter[StatusCode] = Counter()

    async def caller() -> None:
        while ends[StatusCode.OK] < wanted:
            status = await journal.make(channel)
            ends[status] += 1
            if status is not StatusCode.OK:
                # Right after a failed attempt the server is left alone.
                await anyio.sleep(0.02)

    async with anyio.create_task_group() as group:
        group.start_soon(journal.watch)
        async with anyio.create_task_group() as callers:
            for _ in range(AT_ONCE):
                callers.start_soon(caller)
        group.cancel_scope.cancel()
    return ends


async def trouble(
    address: str,
    credentials: ClientCredentials,
    journal: Journal,
    fault: Fault,
    suite: str = "aes256gcm",
) -> None:
    """Make calls through a proxy that does something to them, and then nothing more."""
    async with (
        proxied(address) as proxy,
        connect(
            proxy.address,
            credentials=credentials,
            policy=SecurityPolicy(suites=(suite,), handshake_seconds=1.0),
            service_principal=SERVICE,
            default_timeout=5.0,
            keepalive=KeepalivePolicy() if fault in HARMLESS else SHORT,
        ) as channel,
    ):
        faults = afflict(proxy, fault, 7420)
        ends = await call_until(channel, journal, CALLS)
        assert {*ends} <= EXPECTED[fault]
        assert sum(each.struck for each in faults) > 0
        if fault in HARMLESS:
            assert proxy.connections == 1
        for path in (proxy.to_server, proxy.to_client):
            path.change, path.pause = whole, at_once
        # It finds its way back by itself.
        await call_until(channel, journal, 1)
