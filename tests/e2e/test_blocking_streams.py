"""Streams from threads, to a server in another process, by each mechanism and suite."""

import threading

import pytest

from signetrpc.rpc import (
    BlockingChannel,
    ClientCredentials,
    RpcError,
    SecurityPolicy,
    StatusCode,
    TicketCache,
    connect_blocking,
)
from tests.conformance.interop.calling import FULL_DUPLEX, INPUT, OUTPUT
from tests.conformance.interop.service import ResponseParameters, StreamingRequest
from tests.e2e.conftest import ServerOf
from tests.support.kdc import SERVICE, Kdc
from tests.support.negotiation import ALICE

SIZES = (31415, 9, 2653, 58979)
THREADS = 8


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


def use(channel: BlockingChannel) -> None:
    """Make a call of each kind that streams."""
    request = StreamingRequest([ResponseParameters(size) for size in SIZES])
    with channel.server_stream(OUTPUT, OUTPUT.arguments(request=request)) as replies:
        assert [len(reply) for reply in replies] == list(SIZES)
    payloads = (bytes(size) for size in SIZES)
    total = channel.client_stream(INPUT, INPUT.arguments(), payloads)
    assert total == sum(SIZES)
    with channel.bidirectional(FULL_DUPLEX, FULL_DUPLEX.arguments()) as talk:
        for size in SIZES:
            talk.send(StreamingRequest([ResponseParameters(size)]))
            assert len(next(talk)) == size
        talk.end()
        assert list(talk) == []


@pytest.mark.parametrize("suite", ["gss", "aes256gcm"])
def test_several_threads_stream_over_one_connection(
    place: tuple[str, ClientCredentials], suite: str
) -> None:
    address, credentials = place
    done: list[bool] = []

    def thread(channel: BlockingChannel) -> None:
        use(channel)
        done.append(True)

    with connect_blocking(
        address,
        credentials=credentials,
        policy=SecurityPolicy(suites=(suite,)),
        service_principal=SERVICE,
    ) as channel:
        threads = [
            threading.Thread(target=thread, args=[channel]) for _ in range(THREADS)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert done == [True] * THREADS


def test_leaving_a_stream_ends_it_and_no_other(
    place: tuple[str, ClientCredentials],
) -> None:
    address, credentials = place
    endless = StreamingRequest([ResponseParameters(10, interval_us=1000)] * 100_000)
    with connect_blocking(
        address, credentials=credentials, service_principal=SERVICE
    ) as channel:
        arguments = OUTPUT.arguments(request=endless)
        with channel.server_stream(OUTPUT, arguments) as replies:
            assert len(next(replies)) == 10
        with pytest.raises(RpcError) as caught:
            while True:  # what has come is there until the loop's thread hears of it
                next(replies)
        assert caught.value.status is StatusCode.CANCELLED
        use(channel)
