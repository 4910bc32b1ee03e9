"""The client without an event loop, used from several threads."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from signetrpc.rpc import (
    BlockingChannel,
    DeadlineExceeded,
    RpcError,
    StatusCode,
    connect_blocking,
)
from signetrpc.transport import ConnectFailed
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import PATIENCE, ServerProcess
from tests.e2e.trial import call_blocking
from tests.support.negotiation import ALICE


def test_several_threads(ntlm_servers: ServerOf, flavour: str) -> None:
    address = ntlm_servers(flavour).address
    with (
        connect_blocking(address, credentials=ALICE) as channel,
        ThreadPoolExecutor(8) as pool,
    ):
        start = threading.Barrier(8)

        def square_all(first: int) -> list[int]:
            start.wait(PATIENCE)
            return [
                call_blocking(channel, "square", number=number, turns=number % 3)
                for number in range(first, first + 50)
            ]

        futures = {first: pool.submit(square_all, first) for first in range(8)}
        for first, future in futures.items():
            expected = [number * number for number in range(first, first + 50)]
            assert future.result(PATIENCE) == expected


def test_a_deadline(ntlm_servers: ServerOf) -> None:
    address = ntlm_servers("asyncio").address
    with connect_blocking(address, credentials=ALICE) as channel:
        with pytest.raises(DeadlineExceeded):
            call_blocking(channel, "hold", key="blocking", timeout=0.2)
        call_blocking(channel, "until", event="dropped blocking", timeout=PATIENCE)


def test_an_error_leaves_the_block_as_itself(ntlm_servers: ServerOf) -> None:
    cause = KeyError("its cause")
    with pytest.raises(ValueError) as caught:
        with connect_blocking(ntlm_servers("asyncio").address, credentials=ALICE):
            raise ValueError("the body's") from cause
    assert caught.value.__cause__ is cause


def test_nobody_listens() -> None:
    with pytest.raises(ConnectFailed):
        with connect_blocking("127.0.0.1:1", credentials=ALICE):
            raise AssertionError("connected to nothing")


def test_a_server_that_is_killed(accounts: str) -> None:
    with ServerProcess(accounts=accounts) as server, ThreadPoolExecutor(4) as pool:
        with connect_blocking(server.address, credentials=ALICE) as channel:
            futures: list[Future[object]] = [
                pool.submit(call_blocking, channel, "hold", key=f"x{number}")
                for number in range(4)
            ]
            for number in range(4):
                call_blocking(channel, "until", event=f"held x{number}")
            server.kill()
            for future in futures:
                with pytest.raises(RpcError) as caught:
                    future.result(PATIENCE)
                assert caught.value.status is StatusCode.UNAVAILABLE


def test_closing_ends_the_calls_of_other_threads(ntlm_servers: ServerOf) -> None:
    address = ntlm_servers("asyncio").address
    with ThreadPoolExecutor(4) as pool:
        with connect_blocking(address, credentials=ALICE) as channel:
            futures: list[Future[object]] = [
                pool.submit(call_blocking, channel, "hold", key=f"close{number}")
                for number in range(4)
            ]
            for number in range(4):
                call_blocking(channel, "until", event=f"held close{number}")
        for future in futures:
            with pytest.raises(RpcError) as caught:
                future.result(PATIENCE)
            assert caught.value.status is StatusCode.UNAVAILABLE


def test_a_channel_that_is_closed(ntlm_servers: ServerOf) -> None:
    address = ntlm_servers("asyncio").address
    with connect_blocking(address, credentials=ALICE) as channel:
        assert call_blocking(channel, "signed", text="x") == "x"
    with pytest.raises(RpcError) as caught:
        call_blocking(channel, "signed", text="x")
    assert caught.value.status is StatusCode.CANCELLED


def test_threads_that_call_while_the_channel_closes(ntlm_servers: ServerOf) -> None:
    """Each of their calls ends, whenever it comes."""
    address = ntlm_servers("asyncio").address
    with ThreadPoolExecutor(4) as pool:

        def call_until_closed(channel: BlockingChannel) -> StatusCode:
            while True:
                try:
                    call_blocking(channel, "square_inline", number=3)
                except RpcError as error:
                    if error.status is not StatusCode.UNAVAILABLE:
                        return error.status

        for _ in range(10):
            with connect_blocking(address, credentials=ALICE) as channel:
                futures = [pool.submit(call_until_closed, channel) for _ in range(4)]
                assert call_blocking(channel, "square_inline", number=3) == 9
            for future in futures:
                assert future.result(PATIENCE) is StatusCode.CANCELLED
