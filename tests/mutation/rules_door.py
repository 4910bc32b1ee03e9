"""Before and around sessions: floods, guessing, the ends of TLS, logs and terminals."""

from typing import Final

from tests.mutation.rule import edit

__all__ = ["RULES"]

_NTLM = "transport/test_negotiate_ntlm.py::test_"
_DOORS = "hostile/test_door.py::test_"
_WORDS = "hostile/test_words.py::test_"

RULES: Final = (
    edit(
        "A flood of half-open connections",
        "transport._door:Door.refusal",
        f"{_DOORS}half_open_connections_are_bounded",
        "if self._handshakes >= limits.handshakes:",
        "if False:",
    ),
    edit(
        "A flood of half-open connections from one address",
        "transport._door:Door.refusal",
        f"{_DOORS}half_open_connections_of_one_peer_are_bounded",
        "if handshakes >= limits.handshakes_per_peer:",
        "if False:",
    ),
    edit(
        "More connections than the server can hold",
        "transport._door:Door.refusal",
        f"{_DOORS}connections_are_bounded",
        "if self._connections >= limits.connections:",
        "if False:",
    ),
    edit(
        "All connections taken by one address",
        "transport._door:Door.refusal",
        f"{_DOORS}connections_of_one_peer_are_bounded",
        "if connections >= limits.connections_per_peer:",
        "if False:",
    ),
    edit(
        "Guessing passwords without a pause",
        "transport._door:Door.refusal",
        f"{_DOORS}whoever_fails_again_and_again_has_to_wait_longer_each_time",
        "if failures is not None and failures.until > now:",
        "if False:",
    ),
    edit(
        "A listener without protection where others can reach it",
        "transport._plain:check_plain",
        f"{_DOORS}a_plain_connection_stays_on_this_machine",
        "if isinstance(address, TcpAddress) and not _is_loopback(address.host):",
        "if False:",
    ),
    edit(
        "A session that goes on after its ticket has ended",
        "transport._driver:lifetime_end",
        "transport/test_driver.py::test_a_lifetime_is_the_policys_or_the_proofs",
        "if expires_at is not None:",
        "if False:",
    ),
    edit(
        "A password to be guessed at leisure from a token in the log",
        "transport._negotiate_ntlm:NtlmContext.__init__",
        f"{_NTLM}the_log_says_more_and_no_secret",
        "self._is_wrapped = True",
        "self._is_wrapped = False",
    ),
    edit(
        "A name that makes a log line",
        "transport._identity:Identity.__str__",
        f"{_WORDS}no_name_makes_a_line_of_a_log",
        "if self.principal.isprintable():",
        "if True:",
    ),
    edit(
        "An answer that commands a terminal",
        "idl.cli._arguments:_escaped",
        f"{_WORDS}nothing_of_an_answer_commands_a_terminal",
        'each.isprintable() or each == "\\n"',
        "True",
    ),
    edit(
        "TLS: a server with another name than the one typed",
        "transport._tls:ClientTls.context",
        "transport/test_tls.py::test_a_server_with_another_name_is_refused",
        "context.minimum_version = ssl.TLSVersion.TLSv1_2",
        "context.check_hostname = False",
    ),
    edit(
        "TLS: a server that nobody trusted vouches for",
        "transport._tls:ClientTls.context",
        "transport/test_tls.py::test_a_server_that_somebody_else_vouches_for_is_refused",
        "context.minimum_version = ssl.TLSVersion.TLSv1_2",
        "context.check_hostname = False\n    context.verify_mode = ssl.CERT_NONE",
    ),
    edit(
        "TLS: a client without the certificate that is required",
        "transport._tls:ServerTls.context",
        "transport/test_tls.py::test_a_client_without_one_is_refused_where_it_is_required",
        "ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL",
        "ssl.CERT_OPTIONAL",
    ),
    edit(
        "TLS before 1.2",
        "transport._tls:ClientTls.context",
        "transport/test_tls.py::test_nothing_below_tls_1_2",
        "context.minimum_version = ssl.TLSVersion.TLSv1_2",
        "context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED",
    ),
)
