"""Connect's cases of messages at and over a limit, driven from sizes.toml."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from signetrpc.rpc import Channel, RpcError, StatusCode, connect
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._decorators import service_definition
from tests.conformance.interop.conftest import Meeting
from tests.conformance.interop.connect_service import ConformanceService, Definition
from tests.support.kdc import SERVICE

pytestmark = pytest.mark.anyio

Case = dict[str, Any]

SERVER_LIMIT: Final = 100_000
CLIENT_LIMIT: Final = 80_000
"""Both are more than one part of a body has, and the server may pass the client's."""

CASES: list[Case] = tomllib.loads(Path(__file__).with_name("sizes.toml").read_text())[
    "case"
]
METHODS: dict[str, Any] = {
    name.rpartition("/")[2]: handler.method
    for name, handler in service_definition(ConformanceService).handlers.items()
}


@pytest.fixture(scope="module")
def server_options() -> dict[str, int]:
    return {"max_body_bytes": SERVER_LIMIT}


def filling(size: int, encoded: Callable[[str], bytes]) -> str:
    """Return the text with which a body has that size."""
    text = "." * size
    text = text[len(encoded(text)) - size :]
    assert len(encoded(text)) == size
    return text


class Sizes:
    """What a case sends and expects."""

    def __init__(self, case: Case) -> None:
        self.method = METHODS[case["kind"]]
        self._one = case["kind"] in ("unary", "client_stream")
        self._asks = case["kind"] in ("unary", "server_stream")
        requests, replies = case.get("requests", []), case.get("replies", [])
        self.definition = self._defined(replies)
        self.requests = [self._request(SERVER_LIMIT + over) for over in requests]
        if self._asks and not requests:
            self.requests = [""]

    def _defined(self, replies: list[int]) -> Definition:
        length = 0
        if replies:
            size = CLIENT_LIMIT + replies[0]
            length = len(filling(size, self._reply))
        return Definition(data=["x"] * len(replies), length=length, brief=True)

    def _reply(self, text: str) -> bytes:
        if not self._one:
            return encode_value(text)
        return encode_value(["0", text] if self._asks else [text])

    def _request(self, size: int) -> str:
        if not self._asks:
            return filling(size, encode_value)
        return filling(
            size, lambda text: self.method.encode_arguments(self.arguments(text))
        )

    def arguments(self, request: str) -> Any:
        """Return the arguments of the call, with the request if it is one of them."""
        given = {"request": request} if self._asks else {}
        return self.method.arguments(definition=self.definition, **given)

    @property
    def answer(self) -> list[str]:
        """What comes back when nothing is over a limit."""
        seen = [f"{len(each)}" for each in self.requests] if self._one else []
        return [*seen, *self.definition]


async def made(channel: Channel, sizes: Sizes, received: list[str]) -> None:
    """Make the call of a case."""
    method, requests = sizes.method, sizes.requests
    match method.kind.name:
        case "UNARY":
            received += await channel.unary(method, sizes.arguments(requests[0]))
        case "CLIENT_STREAM":
            given = sizes.arguments("")
            received += await channel.client_stream(method, given, requests)
        case "SERVER_STREAM":
            given = sizes.arguments(requests[0])
            async with channel.server_stream(method, given) as replies:
                async for reply in replies:
                    received.append(reply)
        case _:
            talk = channel.bidirectional(method, sizes.arguments(""), requests)
            async with talk as replies:
                async for reply in replies:
                    received.append(reply)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda each: f"{each['suite']}/{each['name']}"
)
async def test_case(meeting: Meeting, case: Case) -> None:
    client = case["suite"] == "Client Message Size"
    options: Any = {"max_body_bytes": CLIENT_LIMIT} if client else {}
    sizes = Sizes(case)
    received: list[str] = []
    async with connect(
        meeting.server.address,
        credentials=meeting.credentials,
        policy=meeting.policy,
        service_principal=SERVICE,
        **options,
    ) as channel:
        if "expect" in case:
            with pytest.raises(RpcError) as caught:
                await made(channel, sizes, received)
            assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
            limit = CLIENT_LIMIT if client else SERVER_LIMIT
            assert caught.value.message.startswith(case["expect"])
            assert caught.value.message.endswith(f" bytes, limit {limit}")
            assert received == sizes.answer[: len(received)]
        else:
            await made(channel, sizes, received)
            assert received == sizes.answer
        # The connection goes on.
        time_left = METHODS["time_left"]
        assert await channel.unary(time_left, time_left.arguments()) > 0
