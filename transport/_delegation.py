"""Credentials that callers delegate to a service: told apart, cut down, handed on.

A forwarded credential is the caller's own ticket-granting ticket.  A constrained one
(S4U2Proxy, MS-SFU section 3.2.5.2) is the caller's ticket for this service, beside the
service's own ticket-granting ticket, with which the KDC gives tickets in the caller's
name for some services.  MIT's library makes one of the latter for every client of an
acceptor that can log in; what it holds tells the two apart, not that it is there.

Imports gssapi and krb5, which are an extra.
"""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import gssapi
import gssapi.raw
import krb5

from ._identity import DelegatedCredential, DelegationKind
from ._negotiate_errors import Situation, convert
from ._negotiate_tickets import KERBEROS, cache_name, principal_name, split_principal
from .errors import FailureReason

__all__ = ["for_worker", "received", "write_cache"]

_log: Final = logging.getLogger("signetrpc.transport")

# Not a ticket but a note in a cache, made by MIT's library (ccache/ccfns.c).
_NOTE: Final = "krb5_ccache_conf_data/"
_PROXY_NOTE: Final = f"{_NOTE}proxy_impersonator@"
_GRANTING: Final = "krbtgt/"


class _Ticket(NamedTuple):
    client: str
    server: str
    raw: krb5.Creds

    @property
    def forwardable(self) -> bool:
        return bool(self.raw.ticket_flags & krb5.TicketFlags.forwardable)

    @property
    def key(self) -> tuple[str, bytes]:
        return self.server, self.raw.ticket


def received(
    held: gssapi.raw.Creds, caller: str, targets: tuple[str, ...]
) -> DelegatedCredential | None:
    """Return what a client delegated, or None if it delegated nothing.

    Args:
        held: What the acceptor's context has of it.
        caller: Who the client is, `name@REALM`.
        targets: Where the service may act for its clients; empty if nowhere.
    """
    try:
        tickets = _tickets(held)
        own = _own(tickets, caller)
        if _is_proxy(tickets):
            # The library notes who acts for the caller, where that is its own making.
            # The KDC takes no other than a forwardable ticket.
            own = [ticket for ticket in own if targets and _evident(ticket)]
            kind = DelegationKind.CONSTRAINED
        else:
            own = [ticket for ticket in own if ticket.server.startswith(_GRANTING)]
            kind, targets = DelegationKind.FORWARDED, ()
        if not own:
            return None
        return DelegatedCredential(
            principal=caller,
            kind=kind,
            expires_at=_earliest_end(own),
            token=gssapi.raw.export_cred(held),
            targets=targets,
        )
    except (gssapi.raw.GSSError, krb5.Krb5Error) as error:
        _log.warning(
            "the credential that %s delegated cannot be used: %s", caller, error
        )
        return None


def _is_proxy(tickets: Sequence[_Ticket]) -> bool:
    return any(ticket.server.startswith(_PROXY_NOTE) for ticket in tickets)


def _own(tickets: Sequence[_Ticket], caller: str) -> list[_Ticket]:
    """Return the caller's own: a client could send any ticket along, of anybody's."""
    return [
        ticket
        for ticket in tickets
        if ticket.client == caller and not ticket.server.startswith(_NOTE)
    ]


def _evident(ticket: _Ticket) -> bool:
    return ticket.forwardable and not ticket.server.startswith(_GRANTING)


def for_worker(credential: DelegatedCredential) -> DelegatedCredential | None:
    """Return a credential that its caller's own processes may have.

    A forwarded one is the caller's anyway.  From a constrained one this gets the
    caller's tickets for all its targets and leaves the rest: the service's own ticket
    would let the caller be the service.  May wait for the KDC.

    Returns:
        None if the KDC refuses every target.  One that it refuses is left out, with a
        warning in the log.

    Raises:
        AuthenticationFailed: There is no KDC to be reached.
    """
    if credential.kind is DelegationKind.FORWARDED:
        return credential
    held = _imported(credential)
    tickets = _tickets(held)
    if not _is_proxy(tickets):
        return credential  # it is one already
    before = {ticket.key for ticket in tickets}
    (evidence, *_) = _own(tickets, credential.principal)
    _, realm = split_principal(evidence.server)
    reached = tuple(
        target
        for target in credential.targets
        if _fetch(held, credential.principal, target, realm)
    )
    fetched = [
        ticket
        for ticket in _own(_tickets(held), credential.principal)
        if ticket.key not in before
    ]
    if not fetched:
        return None
    return DelegatedCredential(
        principal=credential.principal,
        kind=DelegationKind.CONSTRAINED,
        expires_at=_earliest_end(fetched),
        token=_export(credential.principal, fetched),
        targets=reached,
    )


def _fetch(held: gssapi.Credentials, user: str, target: str, realm: str) -> bool:
    """Have the library get the user's ticket for `target` into its cache."""
    # Asked for without its realm, a ticket is found only by who asks so again.
    whole = target if split_principal(target)[1] else f"{target}@{realm}"
    context = gssapi.SecurityContext(
        name=principal_name(whole), creds=held, usage="initiate", mech=KERBEROS
    )
    # Deferral is gssapi's default: a failed step would not raise.
    setattr(context, "__DEFER_STEP_ERRORS__", False)  # noqa: B010
    try:
        context.step()  # the token is for nobody
    except gssapi.raw.GSSError as error:
        situation = Situation(initiator=True, service=target, user=user)
        failure = convert(error, situation, reading=False)
        if failure.reason is FailureReason.NO_KDC:
            raise failure from error
        _log.warning("no ticket of %s for %s: %s", user, target, failure)
        return False
    return True


def write_cache(credential: DelegatedCredential, path: str) -> None:
    """Write a credential as a cache file that only this process's user can read.

    Args:
        credential: A forwarded one, or what `for_worker` returned.
        path: A new file, or one to be replaced.

    Raises:
        ValueError: It holds tickets that are not the caller's.
        GSSError: The file cannot be written.
    """
    held = _imported(credential)
    tickets = _tickets(held)
    if _is_proxy(tickets) or any(t.client != credential.principal for t in tickets):
        raise ValueError("not for a worker: it holds tickets of others than its caller")
    held.store(store={"ccache": f"FILE:{path}"}, usage="initiate", overwrite=True)


def _imported(credential: DelegatedCredential) -> gssapi.Credentials:
    return gssapi.Credentials(base=gssapi.raw.import_cred(credential.token))


@contextmanager
def _memory_cache() -> Generator[tuple[krb5.Context, krb5.CCache, bytes]]:
    context = krb5.init_context()
    cache = krb5.cc_new_unique(context, b"MEMORY")
    name = cache_name(cache)
    try:
        yield context, cache, name
    finally:
        krb5.cc_destroy(context, cache)


def _tickets(held: gssapi.raw.Creds) -> list[_Ticket]:
    """Return what a credential's cache holds, notes included."""
    with _memory_cache() as (context, cache, name):
        gssapi.raw.store_cred_into(
            {b"ccache": name}, held, usage="initiate", overwrite=True
        )
        return [
            _Ticket(
                krb5.unparse_name_flags(context, raw.client).decode(),
                krb5.unparse_name_flags(context, raw.server).decode(),
                raw,
            )
            for raw in cache
        ]


def _export(principal: str, tickets: Sequence[_Ticket]) -> bytes:
    """Return a credential that holds these tickets and nothing else."""
    with _memory_cache() as (context, cache, name):
        owner = krb5.parse_name_flags(context, principal.encode())
        krb5.cc_initialize(context, cache, owner)
        for ticket in tickets:
            krb5.cc_store_cred(context, cache, ticket.raw)
        held = gssapi.Credentials(
            usage="initiate", mechs=[KERBEROS], store={"ccache": name}
        )
        return gssapi.raw.export_cred(held)


def _earliest_end(tickets: Sequence[_Ticket]) -> float:
    return float(min(ticket.raw.times.endtime for ticket in tickets))
