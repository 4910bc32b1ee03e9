"""grpc.aio with TLS as a subject: the peer that secures its calls."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.support.workload import Echo

__all__ = ["connect_grpc", "make_certificate", "serve_grpc"]

_PAYLOAD = bytes(100)
_UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for localhost; return it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


async def _echo(request: bytes, context: object) -> bytes:
    return request


async def _upload(request: bytes, context: object) -> bytes:
    return b"%d" % len(request)


async def _download(request: bytes, context: object) -> bytes:
    return bytes(int(request))


async def _stream(request: bytes, context: object) -> AsyncIterator[bytes]:
    for _ in range(int(request)):
        yield _PAYLOAD


async def _talk(
    requests: AsyncIterator[bytes], context: object
) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def serve_grpc(options: dict[str, str]) -> None:
    """Serve until the process ends; print the address."""
    server = grpc.aio.server(options=_UNLIMITED)
    make: Any = grpc.unary_unary_rpc_method_handler
    handlers: dict[str, Any] = {
        "echo": make(_echo),
        "upload": make(_upload),
        "download": make(_download),
        "stream": grpc.unary_stream_rpc_method_handler(_stream),
        "talk": grpc.stream_stream_rpc_method_handler(_talk),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("benchmark.Echo", handlers),)
    )
    key = Path(options["key"]).read_bytes()
    certificate = Path(options["certificate"]).read_bytes()
    port = server.add_secure_port(
        "localhost:0", grpc.ssl_server_credentials([(key, certificate)])
    )
    await server.start()
    print(f"localhost:{port}", flush=True)
    await server.wait_for_termination()


def _streaming(channel: Any, name: str, count: int) -> Echo:
    """Return what reads one whole stream of that many messages."""

    async def echo() -> None:
        read = 0
        if name == "stream":
            call = channel.unary_stream("/benchmark.Echo/stream")(b"%d" % count)
        else:
            said = (_PAYLOAD for _ in range(count))
            call = channel.stream_stream("/benchmark.Echo/talk")(said)
        async for _ in call:
            read += 1
        assert read == count

    return echo


@asynccontextmanager
async def connect_grpc(
    address: str, options: dict[str, str], connections: int
) -> AsyncGenerator[list[Echo]]:
    """Connect and give an echo for each connection."""
    credentials = grpc.ssl_channel_credentials(
        Path(options["certificate"]).read_bytes()
    )
    # Without its own pool of subchannels, all channels would share one connection.
    arguments = [("grpc.use_local_subchannel_pool", 1), *_UNLIMITED]
    channels = [
        grpc.aio.secure_channel(address, credentials, options=arguments)
        for _ in range(connections)
    ]
    try:
        name = options.get("call", "echo")
        if name in ("stream", "talk"):
            yield [
                _streaming(channel, name, int(options["size"])) for channel in channels
            ]
            return
        payload = {
            "echo": _PAYLOAD,
            "upload": bytes(int(options.get("size", "0"))),
            "download": options.get("size", "0").encode(),
        }[name]
        calls: list[Any] = [
            channel.unary_unary(f"/benchmark.Echo/{name}") for channel in channels
        ]
        yield [partial(call, payload, timeout=30.0) for call in calls]
    finally:
        for channel in channels:
            await channel.close()
