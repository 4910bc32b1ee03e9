"""Connect's cases of what a peer should not send, driven from unexpected.toml."""

import json
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from signetrpc.rpc import Channel, Protection, RpcError, StatusCode
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._messages import Status, decode_message, encode_call
from signetrpc.transport import ConnectionClosed, SecureStream, connect_stream
from tests.conformance.interop.conftest import WAYS, Meeting
from tests.conformance.interop.connect_service import ConformanceService, Definition
from tests.conformance.interop.scripted import BODIES, CASES, SERVICE, Case, say
from tests.e2e.processes import PATIENCE, connected, start_module
from tests.support.kdc import SERVICE as PRINCIPAL
from tests.support.kdc import Kdc
from tests.support.negotiation import account_file

pytestmark = pytest.mark.anyio

METHODS: dict[str, Any] = {
    name.rpartition("/")[2]: handler.method
    for name, handler in service_definition(ConformanceService).handlers.items()
}
REQUESTS, RESPONSES = CASES["requests"], CASES["responses"]


def name_of(case: Case) -> str:
    return str(case["name"])


# To a server.


def call_to(kind: str, words: list[str]) -> bytes:
    """Return a CALL whose handler waits, with arguments as the words have it."""
    wire_name = encode_value(f"connectrpc.conformance.ConformanceService/{kind}")
    body = encode_value({"definition": Definition(delay_ms=60_000)})
    if kind in ("unary", "server_stream"):
        definition = Definition(delay_ms=60_000)
        body = encode_value({"definition": definition, "request": "ask"})
    for word in words:
        body = BODIES[word]
    return encode_call(1, wire_name, PATIENCE, b"\xc0", body)


async def end_of(stream: SecureStream) -> tuple[str, str]:
    """Return how a call ends, and what is said of it."""
    try:
        message = decode_message((await stream.receive()).data)
    except ConnectionClosed as error:
        assert not error.clean
        return "FATAL", ""
    assert isinstance(message, Status)
    return StatusCode(message.code).name, message.message


@pytest.mark.parametrize("case", REQUESTS, ids=name_of)
async def test_unexpected_requests(
    meeting: Meeting, channel: Channel, case: Case
) -> None:
    stream = await connect_stream(
        meeting.server.address,
        credentials=meeting.credentials,
        policy=meeting.policy,
        service_principal=PRINCIPAL,
    )
    async with stream:
        for word in case["says"]:
            name, *rest = word.split()
            if name == "CALL":
                await stream.send(call_to(case["kind"], rest), Protection.SEAL)
            else:
                await say(stream, word, 1)
        end, why = await end_of(stream)
        assert end == case["expect"]
    # Nobody else is harmed.
    time_left = METHODS["time_left"]
    assert await channel.unary(time_left, time_left.arguments()) > 0
    if end == "FATAL":
        assert case["why"] in meeting.server.log()
    else:
        assert why.startswith(case["why"])


# From one.


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def scripted(
    kdc: Kdc, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The address of a server that says what it should not."""
    options = {
        "accounts": str(account_file(tmp_path_factory.mktemp("accounts")).path),
        "keytab": str(kdc.keytab_file),
        "flavour": request.param,
    }
    with tempfile.TemporaryFile("w+") as errors:
        process = start_module(
            "tests.conformance.interop.scripted",
            json.dumps(options),
            env=kdc.environment(keytab=kdc.keytab_file),
            errors=errors,
        )
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        yield address
        process.communicate()
        errors.seek(0)
        assert (process.returncode, errors.read()) == (0, "")


def scripted_method(case: Case) -> Any:
    """Return the method whose call is answered as the case says."""
    like = METHODS[case["kind"]]
    options = {
        "service": SERVICE,
        "name": f"{RESPONSES.index(case)}",
        "protection": Protection.SEAL,
        "arguments": METHODS["time_left"].arguments,
        "result": str,
    }
    if like.kind.takes_items:
        options["item"] = str
    return type(like)(**options)


async def received_from(channel: Channel, case: Case, items: list[str]) -> None:
    """Call the server and read what it says."""
    method = scripted_method(case)
    given = method.arguments()
    match case["kind"]:
        case "unary":
            await channel.unary(method, given)
            return
        case "client_stream":
            await channel.client_stream(method, given, [])
            return
        case "server_stream":
            stream: Any = channel.server_stream(method, given)
        case _:
            stream = channel.bidirectional(method, given, [])
    async with stream:
        async for item in stream:
            items.append(item)


# The server is another one than that of the ways, on either loop too.
@pytest.mark.parametrize("meeting", WAYS[:4], indirect=True, ids=str)
@pytest.mark.parametrize("case", RESPONSES, ids=name_of)
async def test_unexpected_responses(
    meeting: Meeting, scripted: str, case: Case
) -> None:
    items: list[str] = []
    async with connected(
        scripted, credentials=meeting.credentials, policy=meeting.policy
    ) as channel:
        for _ in range(2):  # the second time over another connection
            with pytest.raises(RpcError) as caught:
                await received_from(channel, case, items)
            assert caught.value.status.name == case["expect"]
            assert case["why"] in caught.value.message
    assert items == ["x"] * 2 * case.get("received", 0)  # what came before
