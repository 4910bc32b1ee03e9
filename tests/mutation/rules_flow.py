"""Calls: how much of everything a peer can have, and what comes when."""

from typing import Final

from tests.mutation.rule import edit

__all__ = ["RULES"]

_FLOW = "rpc/test_flow.py::test_"
_INBOX = "rpc/test_inbox.py::test_"
_BODIES = "rpc/test_assembly.py::test_"
_KEEPALIVE = "rpc/test_keepalive.py::test_"
_LIMITS = "rpc/test_server_connection_limits.py::test_"
_SERVER = "rpc/test_server_connection_hostile.py::test_"
_STREAMS = "rpc/test_server_connection_streams_hostile.py::test_"
_CLIENT = "rpc/test_client_connection_hostile.py::test_"
_STATE = "self._gathered is not None or self._end is not None"

RULES: Final = (
    edit(
        "To a client: an item below the level of its call",
        "rpc._client_connection:ClientConnection._receive",
        "rpc/test_stream_call.py::test_nothing_of_a_stream_comes_below_its_level",
        "and level >= call.level\n            and call.take_item(message)",
        "and call.take_item(message)",
    ),
    edit(
        "To a client: a reply that came whole, below the level of its call",
        "rpc._client_connection:ClientConnection._receive",
        f"{_CLIENT}an_answer_below_its_calls_level_is_fatal",
        "and level >= call.level\n            and message.trailers is None",
        "and message.trailers is None",
    ),
    edit(
        "To a server: an item below the level of its call",
        "rpc._server_connection:ServerConnection._receive_of_call",
        f"{_STREAMS}nothing_of_a_stream_comes_below_its_level",
        "if level < call.level:",
        "if False:",
    ),
    edit(
        "A body without credit: windows overdrawn",
        "rpc._flow:ReceiveWindow.arrived",
        f"{_FLOW}nothing_comes_on_an_empty_window",
        "if self.left <= 0:",
        "if False:",
    ),
    edit(
        "Empty items without end, which no window would count",
        "rpc._inbox:Inbox.put",
        f"{_INBOX}what_is_put_needs_credit_and_makes_room",
        "size += ITEM_OVERHEAD",
        "pass",
    ),
    edit(
        "Credit that overflows a window",
        "rpc._flow:SendWindow.grant",
        f"{_FLOW}credit_adds_up_to_a_limit",
        "if self.left > MOST_CREDIT:",
        "if False:",
    ),
    edit(
        "An item in the middle of another, or after the end",
        "rpc._inbox:Inbox.add",
        f"{_INBOX}an_item_in_the_middle_of_another",
        f"if {_STATE}:",
        "if False:",
    ),
    edit(
        "An end in the middle of an item, or twice",
        "rpc._inbox:Inbox.finish",
        f"{_INBOX}an_end_in_the_middle",
        f"if {_STATE}:",
        "if False:",
    ),
    edit(
        "Items for a method that takes none, or before its arguments",
        "rpc._server_connection:ServerConnection._take",
        f"{_STREAMS}a_client_that_breaks_the_rules_is_thrown_out",
        "not takes or call.id in self._assemblies",
        "False",
    ),
    edit(
        "An item longer than one may be",
        "rpc._inbox:Inbox.add_part",
        f"{_INBOX}a_message_over_the_limit_is_refused_before_it_is_whole",
        "check_size(len(gathered), self._limit, self._what)",
        "pass",
    ),
    edit(
        "Arguments or a reply longer than they may be",
        "rpc._assembly:Assemblies.add",
        f"{_BODIES}the_limit_is_the_last_size_that_passes",
        "check_size(body.size + size, self._limit, self._what)",
        "pass",
    ),
    edit(
        "Half-received bodies of many calls, to fill the memory",
        "rpc._assembly:Assemblies.add",
        f"{_BODIES}all_bodies_together_are_bounded_and_room_comes_back",
        'check_size(self._total + counted, self._total_limit, "half-received bodies")',
        "pass",
    ),
    edit(
        "Half-received items of many calls, to fill the memory",
        "rpc._assembly:Budget.take",
        f"{_INBOX}what_is_held_beyond_the_windows_is_bounded_for_all_calls_together",
        'check_size(self.used + size, self._limit, "half-received items")',
        "pass",
    ),
    edit(
        "More calls at once than a connection may have",
        "rpc._server_connection:ServerConnection._judge",
        f"{_LIMITS}no_more_calls_at_once_than_allowed",
        "if len(self._calls) >= self._most_calls:",
        "if False:",
    ),
    edit(
        "Calls made and given up, whose handlers run on",
        "rpc._answering:AnsweringConnection._cancel",
        "hostile/test_given_up.py::"
        "test_handlers_of_calls_that_were_given_up_are_bounded",
        "if len(self._leaving) >= self._serving.max_calls:",
        "if False:",
    ),
    edit(
        "Places in the queue for room, left by calls given up",
        "rpc._exchange:Exchange.waiter_for_room",
        "hostile/test_given_up.py::"
        "test_who_queued_for_room_and_was_given_up_leaves_nothing",
        "if len(self._senders) >= self._most_queued:",
        "if False:",
    ),
    edit(
        "Threads kept by callers who neither take nor send",
        "rpc._running:Runner._in_thread",
        "hostile/test_threads.py::test_streams_leave_threads_to_others",
        "if call.endpoint.handler.method.kind is not CallKind.UNARY:",
        "if False:",
    ),
    edit(
        "A flood that keeps others from their turn",
        "rpc._connection:Connection._process",
        "hostile/test_fairness.py::test_a_flood_takes_its_turn",
        "if now >= until:",
        "if False:",
    ),
    edit(
        "More calls at once than a worker may have",
        "rpc._worker_handle:Worker.enter",
        "rpc/test_worker_handle.py::test_calls_are_counted_in_and_out",
        "if self.calls >= self._workers.config.max_calls:",
        "if False:",
    ),
    edit(
        "A call's number used again",
        "rpc._server_connection:ServerConnection._receive_call",
        f"{_SERVER}a_client_that_breaks_the_rules_is_thrown_out",
        "if call_id <= self._last_id:",
        "if False:",
    ),
    edit(
        "Metadata without end",
        "rpc._metadata:metadata",
        "rpc/test_metadata.py::test_size_counts_bytes_of_keys_and_values",
        "if size > limit:",
        "if False:",
    ),
    edit(
        "Pairs of metadata without end, which have few bytes each",
        "rpc._metadata:metadata",
        "rpc/test_metadata.py::test_there_are_no_more_pairs_than_a_message_may_have",
        "if len(checked) > _MOST_PAIRS:",
        "if False:",
    ),
    edit(
        "Metadata that passes for the library's own",
        "rpc._metadata:_checked_size",
        "rpc/test_metadata.py::test_broken_rules",
        "if key.startswith(_RESERVED):",
        "if False:",
    ),
    edit(
        "An answer to a call that was never made",
        "rpc._client_connection:ClientConnection._receive",
        f"{_CLIENT}a_server_that_breaks_the_rules_is_left",
        "if call_id >= self._next_id:",
        "if False:",
    ),
    edit(
        "PINGs that keep a peer busy answering",
        "rpc._keepalive:PingGuard.arrived",
        f"{_KEEPALIVE}a_few_too_many_are_borne",
        "if self._strikes > self._policy.max_strikes:",
        "if False:",
    ),
    edit(
        "A PONG that answers no PING, to seem alive",
        "rpc._keepalive:Keepalive.answered",
        f"{_KEEPALIVE}a_pong_answers_a_ping",
        "if number != self.answered_to + 1 or number > self.number:",
        "if False:",
    ),
    edit(
        "A peer that has vanished and keeps its place",
        "rpc._keepalive:Keepalive.beat",
        f"{_KEEPALIVE}a_silent_peer_is_asked_and_then_given_up",
        "return Beat.GIVE_UP",
        "return Beat.NOTHING",
    ),
    edit(
        "A client that does not read its answers, to fill the memory",
        "rpc._answering:AnsweringConnection._flush",
        f"{_LIMITS}a_client_that_does_not_read_is_not_read_from",
        "if self._pipe.congested:",
        "if False:",
    ),
)
