"""Making one call of any kind: items come from standard input, answers are printed."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import typer

from signetrpc.rpc import (
    BidirectionalMethod,
    BlockingChannel,
    ClientStreamMethod,
    ServerStreamMethod,
    UnaryMethod,
)

from ._arguments import printed_item, printed_result

__all__ = ["AnyMethod", "items_given", "make_call"]

AnyMethod = (
    UnaryMethod[Any, Any]
    | ClientStreamMethod[Any, Any, Any]
    | ServerStreamMethod[Any, Any]
    | BidirectionalMethod[Any, Any, Any]
)
"""A method of any kind."""


def make_call(
    channel: BlockingChannel,
    method: AnyMethod,
    arguments: Any,
    options: dict[str, Any],
) -> None:
    """Make a call and print what it brings, each item of a stream as it comes.

    Args:
        channel: Where to make it.
        method: What to call.
        arguments: Its arguments, without a stream.
        options: Timeout, metadata and protection.

    Raises:
        RpcError: The call failed.
        ValueError: A line of standard input is no item.
    """
    match method:
        case UnaryMethod():
            typer.echo(printed_result(channel.unary(method, arguments, **options)))
        case ClientStreamMethod():
            given = items_given(method.item)
            result = channel.client_stream(method, arguments, given, **options)
            typer.echo(printed_result(result))
        case ServerStreamMethod():
            with channel.server_stream(method, arguments, **options) as stream:
                _print_each(stream)
        case BidirectionalMethod():
            given = items_given(method.item)
            with channel.bidirectional(method, arguments, given, **options) as stream:
                _print_each(stream)


def _print_each(items: Iterable[object]) -> None:
    for item in items:
        typer.echo(printed_item(item))


def items_given(type_: Any) -> Iterator[Any]:
    """Yield the items on standard input, one of JSON on each line that is not empty.

    Raises:
        ValueError: A line is not JSON, or not of the type.
    """
    decoder = msgspec.json.Decoder(type_)
    for number, line in enumerate(_lines(), 1):
        if not line.strip():
            continue
        try:
            item = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = (
                str(error).replace("`", "")
                if isinstance(error, msgspec.DecodeError)
                else "it is not UTF-8"
            )
            raise ValueError(f"line {number} of standard input: {reason}") from None
        yield item


def _lines() -> Iterator[bytes]:
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # something else took its place
        yield from sys.stdin.buffer
        return
    # Not from the file object: a thread that waits for input has it locked, and the
    # interpreter could not end before there is some.
    rest = b""
    while chunk := os.read(descriptor, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest
