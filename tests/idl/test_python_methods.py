"""Generated methods for streams: what they hand to the channel, in each form."""

import inspect
from pathlib import Path
from typing import Any, assert_type, cast

import msgspec
import pytest

from signetrpc.idl._python import client_source
from signetrpc.rpc import (
    BidirectionalMethod,
    BidirectionalStream,
    BlockingBidirectionalStream,
    BlockingChannel,
    BlockingServerStream,
    Channel,
    ClientStreamMethod,
    Impersonation,
    MetadataInput,
    Protection,
    ServerStream,
    ServerStreamMethod,
)
from signetrpc.rpc._decorators import service_definition
from tests.idl.services import feeds, feeds_client
from tests.idl.test_layout import formatted

SCHEMA = service_definition(feeds.Feeds).schema
GOLDEN = Path(__file__).parent / "services" / "feeds_client.py"
OPTIONS: dict[str, Any] = {
    "timeout": 2.0,
    "metadata": {"a": "b"},
    "protection": Protection.SEAL,
    "wait_for_ready": True,
}
NO_OPTIONS = dict.fromkeys(OPTIONS)
# What comes beside one reply goes where the caller says; a stream has it.
WITHOUT_INFO = {**OPTIONS, "call_info": None}


class Recorder:
    """A channel that calls nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def call(method: Any, *given: Any, **options: Any) -> int:
            self.calls.append((name, method, *given, options))
            return 7

        async def call_later(*given: Any, **options: Any) -> int:
            return call(*given, **options)

        return call_later if name == "client_stream" else call


class BlockingRecorder(Recorder):
    """The same for threads."""

    def client_stream(self, *given: Any, **options: Any) -> int:
        self.calls.append(("client_stream", *given, options))
        return 7


def test_the_generated_module_is_as_it_is_checked_in() -> None:
    source = client_source(SCHEMA)
    assert GOLDEN.read_text() == source
    assert formatted(source) == source


@pytest.mark.anyio
async def test_client_streams() -> None:
    recorder = Recorder()
    client = feeds_client.FeedsClient(cast("Channel", recorder))
    assert await client.total([1, 2], **OPTIONS) == 7
    parts = [feeds_client.ItemSource(name="a")]
    await client.join(", ", parts, end=".")
    (kind, method, arguments, items, options), join = recorder.calls
    assert (kind, items, options) == ("client_stream", [1, 2], WITHOUT_INFO)
    assert isinstance(method, ClientStreamMethod)
    assert (method.full_name, method.item, method.result) == (
        "feeds.Feeds/total",
        int,
        int,
    )
    assert msgspec.msgpack.encode(arguments) == b"\x80"
    assert join[0] == "client_stream"
    assert (join[2].between, join[2].end, join[3]) == (", ", ".", parts)
    assert join[4] == {**NO_OPTIONS, "call_info": None}


def test_blocking_client_streams() -> None:
    recorder = BlockingRecorder()
    client = feeds_client.BlockingFeedsClient(cast("BlockingChannel", recorder))
    assert client.total([1, 2], **OPTIONS) == 7
    ((kind, _, _, items, options),) = recorder.calls
    assert (kind, items, options) == ("client_stream", [1, 2], WITHOUT_INFO)


@pytest.mark.parametrize("blocking", [False, True])
def test_server_streams(blocking: bool) -> None:
    recorder, client = made(blocking)
    # Neither form has to be awaited for the stream itself.
    assert client.watch("42", **OPTIONS) == 7
    ((kind, method, arguments, options),) = recorder.calls
    assert (kind, options) == ("server_stream", OPTIONS)
    assert isinstance(method, ServerStreamMethod)
    assert method.result is feeds_client.ItemSource
    assert method.protection is Protection.SEAL
    assert method.impersonate is Impersonation.REQUIRED
    assert (arguments.account, arguments.count) == ("42", 2)


@pytest.mark.parametrize("blocking", [False, True])
def test_bidirectional_streams(blocking: bool) -> None:
    recorder, client = made(blocking)
    assert client.chat() == 7
    client.chat(["a"], **OPTIONS)
    client.Iterable(5, float=[1.5], to=6)
    without, given, odd = recorder.calls
    assert isinstance(without[1], BidirectionalMethod)
    assert (without[0], *without[3:]) == ("bidirectional", None, NO_OPTIONS)
    assert given[3:] == (["a"], OPTIONS)
    assert (odd[2].start, odd[2].to, odd[3]) == (5, 6, [1.5])


def made(blocking: bool) -> tuple[Recorder, Any]:
    recorder = BlockingRecorder() if blocking else Recorder()
    client = "BlockingFeedsClient" if blocking else "FeedsClient"
    return recorder, getattr(feeds_client, client)(recorder)


def test_parameters_stand_where_they_were_declared() -> None:
    assert list(inspect.signature(feeds_client.FeedsClient.join).parameters)[1:4] == [
        "between",
        "parts",
        "end",
    ]
    odd = inspect.signature(feeds_client.FeedsClient.Iterable).parameters
    # One without a default comes after one with, so from there on they go by name.
    assert list(odd)[1:4] == ["start", "to", "float"]
    assert odd["to"].kind is inspect.Parameter.KEYWORD_ONLY


async def check_types(client: feeds_client.FeedsClient, meta: MetadataInput) -> None:
    """Hold both type checkers to what a caller sees."""
    assert_type(await client.total(range(3), metadata=meta), int)
    assert_type(client.watch("42"), ServerStream[feeds_client.ItemSource])
    async with client.chat() as talk:
        assert_type(talk, BidirectionalStream[str, str])
        await talk.send("hello")
        assert_type(await anext(talk), str)
    numbers = client.chat()
    assert_type(await client.total(len(text) async for text in numbers), int)


def check_blocking_types(client: feeds_client.BlockingFeedsClient) -> None:
    """Hold both type checkers to what a caller in a thread sees."""
    assert_type(client.total(range(3)), int)
    with client.watch("42") as entries:
        assert_type(entries, BlockingServerStream[feeds_client.ItemSource])
        assert_type([entry.name for entry in entries], list[str])
    with client.chat(iter(["a"])) as talk:
        assert_type(talk, BlockingBidirectionalStream[str, str])
        talk.send(next(talk))
    talk.send(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
