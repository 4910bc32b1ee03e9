"""Calls: their levels and callers, which are made again, and what handlers raise."""

from typing import Final

from tests.mutation.rule import edit

__all__ = ["RULES"]

_SERVER = "rpc/test_server_connection.py::test_"
_CLIENT = "rpc/test_client_connection_hostile.py::test_"
_FAREWELLS = "hostile/test_farewells.py::test_"

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
    edit(
        "A sealed call made twice by an unsigned GOAWAY",
        "rpc._client_connection:ClientConnection._receive",
        f"{_FAREWELLS}what_nobody_signed_has_no_protected_call_made_again",
        "if call_id > last_id and (level or not call.level):",
        "if call_id > last_id:",
    ),
    edit(
        "At the server: a sealed call made twice by an unsigned GOAWAY",
        "rpc._server_connection:ServerConnection._send_away",
        f"{_FAREWELLS}a_farewell_is_signed_wherever_it_can_be",
        "max(Protection.SIGN, self.established.minimum)",
        "self.established.minimum",
    ),
    edit(
        "A server that answered and then says it took nothing",
        "rpc._stream_call:StreamCall.end",
        "rpc/test_opening.py::test_a_server_that_has_answered_is_not_believed",
        "and not answered",
        "",
    ),
    edit(
        "Waiting (`wait_for_ready`) with wrong credentials, to lock an account",
        "rpc._attempt:Failure.of",
        "rpc/test_reconnecting.py::test_what_waiting_does_not_cure_ends_calls_at_once",
        "status = StatusCode.UNAUTHENTICATED",
        "status = StatusCode.UNAVAILABLE",
    ),
    edit(
        "A handler's panic, to take the server down",
        "rpc._running:Runner._failed",
        "hostile/test_misuse.py::test_what_is_no_exception_ends_its_call_alone",
        "mistake, other = _parted(error)",
        "mistake, other = None, error",
    ),
)
