"""How a call failed, as text: status and message, and what came beside them."""

from collections.abc import Iterator

import msgspec

from signetrpc.rpc import RpcError
from signetrpc.rpc._declared_errors import declared
from signetrpc.rpc._details import UnknownDetail

from ._exits import printable

__all__ = ["told"]


def told(error: RpcError) -> str:
    """Return what to say of a call that failed.

    Args:
        error: What the call raised.

    Returns:
        A line of status and message; then one with name and JSON for a declared
        error's fields, and one for each detail. The server's words are escaped.
    """
    lines = [str(error), *_beside(error)]
    return "\n".join(printable(line) for line in lines)


def _beside(error: RpcError) -> Iterator[str]:
    made = declared(type(error))
    if made is not None:
        fields = {name: getattr(error, name) for name in made.struct.__struct_fields__}
        yield f"{made.name} {_json(fields)}"
    for detail in error.details:
        if isinstance(detail, UnknownDetail):
            yield f"{detail.name} of {len(detail.body)} bytes"
        else:
            yield f"signet.{type(detail).__name__} {_json(detail)}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
