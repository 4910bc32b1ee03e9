"""A service whose handlers go wrong as they are told, in each style and kind."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Final

import anyio

from signetrpc.rpc import (
    DeclaredError,
    ErrorMapping,
    Protection,
    RpcError,
    StatusCode,
    current_call,
    declared_error,
    method,
    service,
)
from signetrpc.rpc.details import Detail, ErrorInfo, RetryInfo, UnknownDetail

__all__ = ["MAPPING", "RETRY", "Locked", "Mishaps", "Overdrawn"]

RETRY: Final = RetryInfo(retry_delay=timedelta(seconds=3))


class Overdrawn(LookupError):
    """An exception of the user's that means something to callers."""


@declared_error("mishaps.Locked", status=StatusCode.ABORTED)
class Locked(DeclaredError):
    """Somebody else works on it."""

    by: str


@service("test.Mishaps", protection=Protection.SIGN)
class Mishaps:
    """Goes wrong as it is told, in each style and kind."""

    def __init__(self) -> None:
        self.causes: dict[str, str] = {}

    @method
    async def wait(self, key: str) -> None:
        """Wait for ever, and note why that ends."""
        call = current_call()
        call.send_headers({"waiting": key})
        self.causes[key] = "waiting"
        try:
            await anyio.sleep_forever()
        finally:
            because = call.cancelled_because
            self.causes[key] = "" if because is None else because.name

    @method
    async def cause(self, key: str) -> str | None:
        """Return why that ended, or that it waits, if it has begun."""
        return self.causes.get(key)

    @method(errors=[Locked])
    async def task(self, how: str) -> None:
        raise mishap(how)

    @method(errors=[Locked])
    def thread(self, how: str) -> None:
        raise mishap(how)

    @method(inline=True, errors=[Locked])
    def inline(self, how: str) -> None:
        raise mishap(how)

    @method(errors=[Locked])
    async def items(self, how: str) -> AsyncIterator[int]:
        yield 1
        raise mishap(how)

    @method(errors=[Locked])
    def thread_items(self, how: str) -> Iterator[int]:
        yield 1
        raise mishap(how)

    @method(errors=[Locked])
    async def taking(self, how: str, items: AsyncIterator[int]) -> None:
        async for _ in items:
            raise mishap(how)

    @method(errors=[Locked])
    async def both(self, how: str, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item
            raise mishap(how)


def mishap(how: str) -> Exception:
    current_call().set_trailers({"from": "context"})
    match how:
        case "declared":
            return Locked(by="bob")
        case "of another type":
            return Locked(by=object())  # type: ignore[arg-type]  # pyright: ignore
        case "mapped":
            return Overdrawn("hunter2")
        case "explained":
            return KeyError("42")
        case "explained badly":
            return IndexError("hunter2")
        case "missing file":
            return FileNotFoundError("/etc/hunter2")
        case "forbidden":
            return PermissionError("/etc/hunter2")
        case "details":
            given: list[Detail] = [RETRY, UnknownDetail("acme.X", b"\x07")]
            return RpcError(StatusCode.UNAVAILABLE, "later", details=given)
        case "many details":
            many = [ErrorInfo(reason=str(number)) for number in range(40)]
            return RpcError(StatusCode.UNAVAILABLE, "later", details=many)
        case "declared and details":
            locked = Locked(by="bob")
            locked.details = (RETRY,)
            return locked
        case _:
            return ValueError("hunter2")


def explain(error: KeyError) -> RpcError:
    info = ErrorInfo(reason="NO_ACCOUNT", metadata={"account": str(error.args[0])})
    return RpcError(StatusCode.NOT_FOUND, "no such account", details=[info])


def explain_badly(error: IndexError) -> RpcError:
    raise RuntimeError(f"while explaining {error}")


MAPPING: ErrorMapping = {
    LookupError: StatusCode.NOT_FOUND,
    Overdrawn: StatusCode.FAILED_PRECONDITION,
    KeyError: explain,
    IndexError: explain_badly,
}
