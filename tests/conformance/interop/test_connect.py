"""Connect's conformance cases that are not of HTTP, driven from connect.toml."""

import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from signetrpc.rpc import CallInfo, Channel, RpcError, StatusCode
from signetrpc.rpc._decorators import service_definition
from tests.conformance.interop.calling import elsewhere
from tests.conformance.interop.connect_service import ConformanceService, Definition

pytestmark = pytest.mark.anyio

Case = dict[str, Any]

CASES: list[Case] = tomllib.loads(Path(__file__).with_name("connect.toml").read_text())[
    "case"
]
METHODS: dict[str, Any] = {
    name.rpartition("/")[2]: handler.method
    for name, handler in service_definition(ConformanceService).handlers.items()
}
TIME_LEFT = METHODS["time_left"]


class Outcome:
    """What the caller saw."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.info = CallInfo()
        self.headers: Any = ()
        self.trailers: Any = ()
        self.error: RpcError | None = None


def _definition(case: Case) -> Definition:
    return Definition(
        headers=_pairs(case, "headers"),
        trailers=_pairs(case, "trailers"),
        data=case.get("data", []),
        delay_ms=case.get("delay_ms", 0),
        hold_ms=case.get("hold_ms", 0),
        status=case.get("status", 0),
        message=case.get("message", ""),
        timed="time_left" in case,
    )


async def _items(case: Case, sent: anyio.Event) -> AsyncIterator[str]:
    for request in case["requests"]:
        yield request
    sent.set()
    if case.get("cancel") == "before-close":
        await anyio.sleep_forever()


async def _one_reply(channel: Channel, case: Case, outcome: Outcome) -> None:
    """Make a call of one reply, and give it up in its midst if the case says so."""
    sent = anyio.Event()
    options: dict[str, Any] = {"call_info": outcome.info, "timeout": _timeout(case)}
    over = anyio.Event()

    async def call() -> None:
        definition = _definition(case)
        try:
            if case["kind"] == "unary":
                method = METHODS["unary"]
                (request,) = case["requests"]
                arguments = method.arguments(definition=definition, request=request)
                sent.set()
                found = await channel.unary(method, arguments, **options)
            else:
                method = METHODS["client_stream"]
                arguments = method.arguments(definition=definition)
                items = _items(case, sent)
                found = await channel.client_stream(method, arguments, items, **options)
        finally:
            over.set()
        outcome.received.extend(found)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            if "cancel" in case:
                await sent.wait()
                # What was sent before this has arrived, too.
                await channel.unary(TIME_LEFT, TIME_LEFT.arguments())
                assert not over.is_set()
                outcome.error = RpcError(StatusCode.CANCELLED, "given up")
                group.cancel_scope.cancel()
    finally:
        outcome.headers, outcome.trailers = outcome.info.headers, outcome.info.trailers


async def _many_replies(channel: Channel, case: Case, outcome: Outcome) -> None:
    method = METHODS[case["kind"]]
    definition = _definition(case)
    cancel = case.get("cancel")
    sent = anyio.Event()
    if case["kind"] == "server_stream":
        (request,) = case["requests"]
        arguments = method.arguments(definition=definition, request=request)
        stream: Any = channel.server_stream(method, arguments, timeout=_timeout(case))
        sent.set()
    else:
        stream = channel.bidirectional(
            method,
            method.arguments(definition=definition),
            _items(case, sent),
            timeout=_timeout(case),
        )
    async with stream:
        if isinstance(cancel, str):
            await sent.wait()
            stream.cancel()
        try:
            async for item in stream:
                outcome.received.append(item)
                if len(outcome.received) == cancel:
                    stream.cancel()
            outcome.headers = await stream.headers()
        finally:
            if outcome.headers == () and cancel is None:
                outcome.headers = await stream.headers()
            outcome.trailers = stream.trailers


def _pairs(case: Case, name: str) -> list[tuple[str, str]]:
    return [(key, value) for key, value in case.get(name, [])]


def _timeout(case: Case) -> float:
    return float(case.get("timeout_ms", 60_000)) / 1000


@pytest.mark.parametrize(
    "case", CASES, ids=lambda each: f"{each['suite']}/{each['name']}"
)
async def test_case(channel: Channel, case: Case) -> None:
    outcome = Outcome()
    try:
        match case["kind"]:
            case "unimplemented":
                method = elsewhere("connectrpc.conformance.ConformanceService", "none")
                await channel.unary(method, method.arguments())
            case "unary" | "client_stream":
                await _one_reply(channel, case, outcome)
            case _:
                await _many_replies(channel, case, outcome)
    except* RpcError as group:
        (error,) = group.exceptions
        assert isinstance(error, RpcError)
        outcome.error = error
    if "time_left" in case:
        *outcome.trailers, (key, left) = outcome.trailers
        assert key == "time-left"
        assert 0 < float(left) <= case["time_left"]
    expected = case.get("expect")
    found = None if outcome.error is None else outcome.error.status.name
    assert found == expected
    assert outcome.received == case["received"]
    if expected is None or "status" in case:
        assert list(outcome.headers) == [
            tuple(each) for each in case.get("headers", [])
        ]
        assert list(outcome.trailers) == [
            tuple(each) for each in case.get("trailers", [])
        ]
    if "status" in case:
        assert outcome.error is not None and outcome.error.message == case["message"]
