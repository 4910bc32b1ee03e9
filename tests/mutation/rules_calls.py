"""Calls: their levels and their callers."""

from typing import Final

from tests.mutation.rule import edit

__all__ = ["RULES"]

_SERVER = "rpc/test_server_connection.py::test_"
_CLIENT = "rpc/test_client_connection_hostile.py::test_"

RULES: Final = (
    edit(
        "A call below the level its method declares",
        "rpc._server_connection:ServerConnection._judge",
        f"{_SERVER}a_call_below_its_methods_level_does_not_run",
        "if level < declared:",
        "if False:",
    ),
    edit(
        "A part or cancellation below the level of its call",
        "rpc._server_connection:ServerConnection._receive_of_call",
        f"{_SERVER}an_item_below_its_calls_level_is_fatal",
        "if level < call.level:",
        "if False:",
    ),
    edit(
        "A reply or status below the level of its call",
        "rpc._client_connection:ClientConnection._receive",
        f"{_CLIENT}an_answer_below_its_calls_level_is_fatal",
        "if level < call.level:",
        "if False:",
    ),
    edit(
        "An unprotected call in somebody's name",
        "rpc._server_connection:ServerConnection._receive_call",
        f"{_SERVER}an_unprotected_call_has_no_caller",
        "self._peer if level else ANONYMOUS",
        "self._peer",
    ),
)
