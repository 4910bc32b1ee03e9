"""Relayed calls: what a caller and a worker may say of one, and when."""

from typing import Final

from tests.mutation.rule import edit, off

__all__ = ["RULES"]

_CROSSING = "rpc/test_crossing.py::test_"
_HOSTILE = "rpc/test_relay_hostile.py::test_"
_FLOW = "rpc/test_relay_flow.py::test_"
_OF_CALLER = "rpc._crossing:Crossing.of_caller"
_OF_WORKER = "rpc._crossing:Crossing.of_worker"
_RECEIVE = "rpc._relay:RelayLink._receive"
_RULES = f"{_CROSSING}a_worker_that_breaks_the_rules"

RULES: Final = (
    off(
        "To a worker: items for a method that takes none, or at another moment",
        "rpc._crossing:Crossing._check_stream",
        f"{_CROSSING}a_stream_for_a_method_that_takes_none",
    ),
    edit(
        "To a worker: a part of nothing",
        _OF_CALLER,
        f"{_CROSSING}a_callers_stream_has_an_order",
        "if not self._more_follows:",
        "if False:",
    ),
    edit(
        "To a worker: more than it has room for",
        _OF_CALLER,
        f"{_CROSSING}a_caller_has_the_streams_window_and_what_the_worker_grants",
        "self._to_worker.arrived(size)",
        "pass",
    ),
    edit(
        "To a worker: calls without end, before it is there",
        "rpc._relay:Relay._count",
        f"{_FLOW}little_waits_for_a_worker_before_the_caller_is_held",
        "if self._waiting_bytes > _MOST_WAITING and self._started is not None:",
        "if False:",
    ),
    edit(
        "From a worker: more than its caller has room for",
        _OF_WORKER,
        f"{_CROSSING}a_worker_sends_what_the_caller_has_room_for",
        "if self._to_caller.left <= 0:",
        "if False:",
    ),
    edit(
        "From a worker: credit that nobody used up",
        _OF_WORKER,
        _RULES,
        "if self._to_worker.left > STREAM_WINDOW:",
        "if False:",
    ),
    edit(
        "From a worker: headers twice, or after the answer has begun",
        _OF_WORKER,
        _RULES,
        "if self._headed or self._replied is not None:",
        "if False:",
    ),
    edit(
        "From a worker: a success without a result",
        _OF_WORKER,
        _RULES,
        "if code == StatusCode.OK and not gives:",
        "if False:",
    ),
    edit(
        "From a worker: a success in the middle of an item",
        _OF_WORKER,
        _RULES,
        "if code == StatusCode.OK and self._more_comes:",
        "if False:",
    ),
    edit(
        "From a worker: a part of nothing",
        _OF_WORKER,
        _RULES,
        "if not self._more_comes:",
        "if False:",
    ),
    edit(
        "From a worker: a second reply, or one where items are given",
        _OF_WORKER,
        _RULES,
        "if gives or self._replied is not None:",
        "if False:",
    ),
    edit(
        "From a worker: an item where none is given, or amid another",
        _OF_WORKER,
        _RULES,
        "if not gives or self._more_comes:",
        "if False:",
    ),
    edit(
        "From a worker: a body over the limit",
        _OF_WORKER,
        f"{_CROSSING}bodies_of_a_worker_have_a_limit",
        "if self._replied > self._limit:",
        "if False:",
    ),
    off(
        "From a worker: metadata against its rules, for the caller to choke on",
        "rpc._crossing:Crossing._check_pairs",
        _RULES,
    ),
    edit(
        "From a worker: an answer below the level of its call",
        _RECEIVE,
        f"{_HOSTILE}nothing_of_a_call_comes_below_its_level",
        "if level < call.level:",
        "if False:",
    ),
    edit(
        "From a worker: an answer to a call that was never made",
        _RECEIVE,
        f"{_HOSTILE}a_link_between_calls_knows_no_call",
        "if message.id > self._last_id:",
        "if False:",
    ),
    edit(
        "From a worker: an answer to a call that the service runs itself",
        _RECEIVE,
        f"{_HOSTILE}answers_to_calls_that_are_not_its_own_are_nobodys",
        "call = self._passed.get(message.id)",
        "call = self._passed.get(message.id) or self._owner._calls.get(message.id)",
    ),
    edit(
        "From a worker: bytes without end for calls that are over",
        _RECEIVE,
        f"{_HOSTILE}bytes_for_calls_that_are_over_use_up_the_link_too",
        "self._arrived(size)",
        "pass",
    ),
    edit(
        "A worker that broke a rule, and goes on",
        "rpc._relay:RelayLink._close_when_ended",
        f"{_HOSTILE}it_is_killed_and_its_calls_fail",
        "self._worker.kill()",
        "pass",
    ),
)
