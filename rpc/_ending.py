"""The STATUS that a call ends with, whatever its handler made of the error."""

import logging
from typing import Final

from ._context import CallContext
from ._declared_errors import NO_ERRORS, ErrorClasses, named_error
from ._details import cut, written_details
from ._messages import encode_status
from ._metadata import DEFAULT_MAX_METADATA_BYTES, MetadataTooLarge, metadata
from ._metadata_limit import metadata_too_large
from ._status import StatusCode
from .errors import RpcError

__all__ = ["ending"]

_log: Final = logging.getLogger("signetrpc.rpc")


def ending(
    call_id: int,
    error: RpcError | None,
    context: CallContext,
    errors: ErrorClasses = NO_ERRORS,
    limit: int = DEFAULT_MAX_METADATA_BYTES,
) -> tuple[bytes, StatusCode]:
    """Return the STATUS of an error, or of none, and the code that it has there.

    Args:
        call_id: The call's number.
        error: What it ended with; None if with OK.
        context: The call.
        errors: What its method declares.
        limit: Bytes that the error's trailers may have.
    """
    try:
        if error is None:
            return encode_status(call_id, 0, "", context.trailers), StatusCode.OK
        error = _fitting(error, limit)
        code, trailers = StatusCode(error.status), error.trailers or context.trailers
        details = cut([*_typed(error, errors), *written_details(error.details)])
        return encode_status(call_id, code, error.message, trailers, details), code
    except Exception:
        # What a handler put into its error must hurt no other call.
        _log.exception("the error of call %d cannot travel", call_id)
        code = StatusCode.INTERNAL
        return encode_status(call_id, code, "the handler failed"), code


def _fitting(error: RpcError, limit: int) -> RpcError:
    """Return an error whose trailers may travel, in place of one whose may not."""
    try:
        metadata(error.trailers, limit, "trailers")
    except MetadataTooLarge as large:
        _log.error("an error cannot travel: %s", large)
        return metadata_too_large(large, StatusCode(error.status).name)
    return error


def _typed(error: RpcError, errors: ErrorClasses) -> list[tuple[str, bytes]]:
    """Return what makes an error one that its method declares."""
    made = named_error(error, errors)
    if made is None:
        return []
    try:
        return [(made.name, made.encode(error))]
    except Exception as failure:
        kind = type(failure).__name__  # whose own text may show a value
        text = failure.message if isinstance(failure, RpcError) else kind
        _log.error("error %s cannot travel as itself: %s", made.name, text)
        return []
