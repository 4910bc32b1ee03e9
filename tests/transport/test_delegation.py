"""Delegated credentials against real KDCs: had, told apart, used, cut down."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from signetrpc.transport._credentials import Password, TicketCache
from signetrpc.transport._delegation_words import why_not_delegated
from signetrpc.transport._identity import (
    DelegatedCredential,
    DelegationKind,
    ImpersonationLevel,
)
from signetrpc.transport._security import NegotiationProtocol
from signetrpc.transport.errors import AuthenticationFailed, FailureReason
from tests.support.delegation import (
    DELEGATE,
    FORMS,
    Server,
    listed,
    nowhere,
    reach,
    without_granting_ticket,
)
from tests.support.kdc import OTHER_SERVICE, REALM, USERS, Kdc
from tests.support.ldap_kdc import BACK, FRONT, LdapKdc
from tests.support.negotiation import initiator

ALICE, BOB = f"alice@{REALM}", f"bob@{REALM}"
TGT = f"krbtgt/{REALM}@{REALM}"


@pytest.fixture
def realm(kerberos_environment: Kdc) -> Kdc:
    return kerberos_environment


@pytest.fixture
def front(delegation_environment: LdapKdc) -> Server:
    """A server that may act for its callers towards `BACK` and `OTHER_SERVICE`.

    So it says; the KDC lets it towards `BACK` alone.
    """
    targets = (BACK, OTHER_SERVICE)
    return Server.of(delegation_environment, FRONT, delegate_to=targets)


@pytest.fixture
def back(delegation_environment: LdapKdc) -> Server:
    return Server.of(delegation_environment, BACK)


def _forwardable(realm: Kdc, user: str = "alice") -> TicketCache:
    return TicketCache(realm.kinit(user, forwardable=True))


# Forwarded.


@pytest.mark.parametrize("form", FORMS)
def test_a_forwarded_ticket_is_the_callers_own(
    realm: Kdc, form: NegotiationProtocol
) -> None:
    caller = Server.of(realm).meets(_forwardable(realm), form=form)
    credential = caller.delegated
    assert credential is not None
    assert (credential.principal, credential.kind) == (ALICE, DelegationKind.FORWARDED)
    assert credential.targets == ()
    assert caller.expires_at is not None
    assert credential.expires_at <= caller.expires_at


def test_a_password_can_forward(realm: Kdc) -> None:
    credential = Server.of(realm).given(Password(ALICE, USERS["alice"]))
    assert credential.principal == ALICE


def test_it_calls_onward_as_the_caller_hop_after_hop(realm: Kdc) -> None:
    first, second = Server.of(realm), Server.of(realm, OTHER_SERVICE)
    credential = first.given(_forwardable(realm))
    for server in (second, first, second):
        caller = server.meets(credential)
        assert caller.principal == ALICE
        assert caller.delegated is not None
        credential = caller.delegated
    assert credential.kind is DelegationKind.FORWARDED


def test_a_ticket_that_is_not_forwardable_is_silently_none(realm: Kdc) -> None:
    caller = Server.of(realm).meets(TicketCache(realm.kinit("alice")))
    assert caller.impersonation is DELEGATE
    assert caller.delegated is None
    assert "kinit -f" in why_not_delegated(caller)


@pytest.mark.parametrize("level", list(ImpersonationLevel)[:2])
@pytest.mark.parametrize("client_level", [None, DELEGATE])
def test_below_that_level_there_is_nothing(
    realm: Kdc, level: ImpersonationLevel, client_level: ImpersonationLevel | None
) -> None:
    # Not even where the client's library sends the ticket all the same.
    caller = Server.of(realm).meets(
        _forwardable(realm), level=level, client_level=client_level
    )
    assert (caller.principal, caller.delegated) == (ALICE, None)
    assert "ImpersonationLevel.DELEGATE" in why_not_delegated(caller)


def test_a_ticket_of_somebody_elses_is_no_delegation(
    realm: Kdc, caplog: pytest.LogCaptureFixture
) -> None:
    import gssapi.raw

    from signetrpc.transport._delegation import received

    held = gssapi.raw.import_cred(Server.of(realm).given(_forwardable(realm)).token)
    found = received(held, ALICE, ())
    assert found is not None and found.principal == ALICE
    assert received(held, BOB, ()) is None
    assert received(held, BOB, (BACK,)) is None


def test_it_is_shown_nowhere(realm: Kdc, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caller = Server.of(realm).meets(_forwardable(realm))
    assert caller.delegated is not None
    for text in (repr(caller), repr(caller.delegated), str(caller), caplog.text):
        assert "token" not in text
        assert repr(caller.delegated.token[:16])[2:-1] not in text


def test_callers_do_not_mix_and_the_environment_stays(realm: Kdc) -> None:
    before = dict(os.environ)
    first, second = Server.of(realm), Server.of(realm, OTHER_SERVICE)
    credentials = {
        f"{user}@{REALM}": first.given(_forwardable(realm, user))
        for user in ("alice", "bob")
    }

    def onward(principal: str) -> bool:
        seen = second.meets(credentials[principal])
        assert seen.delegated is not None
        return seen.principal == seen.delegated.principal == principal

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(onward, [ALICE, BOB] * 40))
    assert dict(os.environ) == before


def test_one_that_has_expired_says_so(realm: Kdc) -> None:
    credential = Server.of(realm).given(_forwardable(realm))
    expired = replace(credential, expires_at=1.0)
    with pytest.raises(AuthenticationFailed) as caught:
        initiator(expired, NegotiationProtocol.KERBEROS).step(None)
    assert caught.value.reason is FailureReason.EXPIRED
    assert str(caught.value) == f"the credential that {ALICE!r} delegated has expired"


def test_what_the_library_cannot_export_is_left_out_and_logged(
    realm: Kdc, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import gssapi.raw

    def fails(_: object) -> bytes:
        raise gssapi.raw.GSSError(1 << 16, 0)

    monkeypatch.setattr(gssapi.raw, "export_cred", fails)
    caller = Server.of(realm).meets(_forwardable(realm))
    assert (caller.principal, caller.delegated) == (ALICE, None)
    assert f"the credential that {ALICE} delegated cannot be used" in caplog.text


def test_a_worker_gets_the_forwarded_ticket_in_a_file(
    realm: Kdc, tmp_path: Path
) -> None:
    from signetrpc.transport._delegation import for_worker, write_cache

    credential = Server.of(realm).given(_forwardable(realm))
    assert for_worker(credential) is credential
    cache = tmp_path / "cache"
    cache.write_bytes(b"what was there before")
    write_cache(credential, str(cache))
    assert cache.stat().st_mode & 0o777 == 0o600
    assert listed(realm, cache) == [(ALICE, TGT)]
    reach(realm, cache, OTHER_SERVICE)


# Constrained.


def _evidence(realm: Kdc, user: str = "alice") -> TicketCache:
    return without_granting_ticket(realm, user, FRONT)


@pytest.mark.parametrize("form", FORMS)
def test_a_service_acts_for_its_caller_where_the_kdc_lets_it(
    delegation_environment: LdapKdc,
    front: Server,
    back: Server,
    form: NegotiationProtocol,
) -> None:
    caller = front.meets(_evidence(delegation_environment), form=form)
    credential = caller.delegated
    assert credential is not None
    assert credential.kind is DelegationKind.CONSTRAINED
    assert credential.principal == ALICE
    assert credential.targets == (BACK, OTHER_SERVICE)
    assert (
        back.meets(credential, level=ImpersonationLevel.IMPERSONATE).principal == ALICE
    )


def test_another_target_is_refused_with_a_clear_error(
    delegation_environment: LdapKdc, front: Server
) -> None:
    credential = front.given(_evidence(delegation_environment))
    client = initiator(credential, NegotiationProtocol.KERBEROS, service=OTHER_SERVICE)
    with pytest.raises(AuthenticationFailed) as caught:
        client.step(None)
    assert caught.value.reason is FailureReason.REFUSED
    assert str(caught.value) == (
        f"the KDC does not let this service act for {ALICE!r} towards the service "
        f"principal {OTHER_SERVICE!r}"
    )


def test_who_forwards_is_told_from_who_does_not(
    delegation_environment: LdapKdc, front: Server, back: Server
) -> None:
    forwarded = front.given(_forwardable(delegation_environment))
    assert (forwarded.kind, forwarded.targets) == (DelegationKind.FORWARDED, ())
    other = Server.of(delegation_environment, OTHER_SERVICE)
    assert other.meets(forwarded).principal == ALICE


def test_a_service_that_cannot_log_in_still_takes_forwarded_tickets(
    delegation_environment: LdapKdc, front: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from signetrpc.transport._negotiate_own import OwnTickets

    def none(_: OwnTickets) -> None:
        return None

    monkeypatch.setattr(OwnTickets, "credential", none)
    forwarded = front.given(_forwardable(delegation_environment))
    assert forwarded.kind is DelegationKind.FORWARDED
    assert front.meets(_evidence(delegation_environment)).delegated is None


def test_what_the_library_hands_out_for_everybody_is_not_delegated(
    delegation_environment: LdapKdc, front: Server
) -> None:
    # The ticket for this service is not forwardable, and the library has a credential
    # for it all the same.
    cache = TicketCache(delegation_environment.kinit("alice"))
    assert front.meets(cache).delegated is None
    for level in (ImpersonationLevel.IDENTIFY, ImpersonationLevel.IMPERSONATE):
        evidence = _evidence(delegation_environment)
        assert front.meets(evidence, level=level).delegated is None


def test_a_service_that_calls_itself_does_not_delegate_its_own_ticket(
    delegation_environment: LdapKdc, front: Server
) -> None:
    # Its own ticket-granting ticket is in what the library makes, and is the caller's.
    cache = TicketCache(delegation_environment.log_in_service(FRONT))
    # In its library the client only impersonates, so it forwards nothing.
    caller = front.meets(cache, client_level=ImpersonationLevel.IMPERSONATE)
    assert caller.name == FRONT
    assert caller.delegated is not None
    assert caller.delegated.kind is DelegationKind.CONSTRAINED


def test_without_targets_nothing_is_read_into_what_the_library_made(
    delegation_environment: LdapKdc, front: Server
) -> None:
    import gssapi.raw

    from signetrpc.transport._delegation import received

    credential = front.given(_evidence(delegation_environment))
    held = gssapi.raw.import_cred(credential.token)
    assert received(held, ALICE, (BACK,)) is not None
    assert received(held, ALICE, ()) is None
    assert received(held, BOB, (BACK,)) is None
    # The service's own ticket-granting ticket is in there, and is not its caller's.
    assert received(held, f"{FRONT}@{REALM}", (BACK,)) is None


def test_a_constrained_credential_forwards_nothing(
    delegation_environment: LdapKdc, front: Server, back: Server
) -> None:
    credential = front.given(_evidence(delegation_environment))
    caller = back.meets(credential, level=DELEGATE)
    assert (caller.principal, caller.delegated) == (ALICE, None)


@pytest.fixture
def cut_down(
    delegation_environment: LdapKdc,
    front: Server,
    caplog: pytest.LogCaptureFixture,
) -> DelegatedCredential:
    """What a worker gets of a constrained credential with one target refused."""
    from signetrpc.transport._delegation import for_worker

    credential = for_worker(front.given(_evidence(delegation_environment)))
    assert credential is not None
    return credential


def test_a_worker_gets_the_callers_tickets_and_nothing_of_the_services(
    delegation_environment: LdapKdc, cut_down: DelegatedCredential, tmp_path: Path
) -> None:
    from signetrpc.transport._delegation import write_cache

    cache = tmp_path / "cache"
    write_cache(cut_down, str(cache))
    assert listed(delegation_environment, cache) == [(ALICE, f"{BACK}@{REALM}")]
    reach(delegation_environment, cache, BACK)
    with pytest.raises(RuntimeError):
        reach(delegation_environment, cache, FRONT)
    assert FRONT.encode() not in cache.read_bytes()
    assert b"krbtgt" not in cache.read_bytes()


def test_what_a_worker_gets_reaches_the_target_and_no_other(
    cut_down: DelegatedCredential, back: Server, delegation_environment: LdapKdc
) -> None:
    assert (cut_down.principal, cut_down.kind) == (ALICE, DelegationKind.CONSTRAINED)
    assert cut_down.targets == (BACK,)
    level = ImpersonationLevel.IMPERSONATE
    for form in FORMS:
        assert back.meets(cut_down, level=level, form=form).principal == ALICE
    with pytest.raises(AuthenticationFailed):
        Server.of(delegation_environment, FRONT).meets(cut_down, level=level)


def test_what_a_worker_gets_is_not_cut_down_again(
    cut_down: DelegatedCredential,
) -> None:
    from signetrpc.transport._delegation import for_worker

    assert for_worker(cut_down) is cut_down


def test_a_refused_target_is_named_in_the_log(
    cut_down: DelegatedCredential, caplog: pytest.LogCaptureFixture
) -> None:
    del cut_down
    records = caplog.get_records("setup")
    (text,) = [record.getMessage() for record in records if "ticket" in record.msg]
    assert text.startswith(
        f"no ticket of {ALICE} for {OTHER_SERVICE}: the KDC does not"
    )


def test_the_services_own_ticket_is_never_written_out(
    delegation_environment: LdapKdc, front: Server, tmp_path: Path
) -> None:
    from signetrpc.transport._delegation import write_cache

    credential = front.given(_evidence(delegation_environment))
    with pytest.raises(ValueError, match="tickets of others than its caller"):
        write_cache(credential, str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_where_every_target_is_refused_there_is_nothing(
    delegation_environment: LdapKdc, front: Server
) -> None:
    from signetrpc.transport._delegation import for_worker

    credential = front.given(_evidence(delegation_environment))
    targets = (OTHER_SERVICE, "unknown/localhost")
    assert for_worker(replace(credential, targets=targets)) is None


def test_without_a_kdc_the_tickets_are_not_left_out_but_waited_for(
    delegation_environment: LdapKdc,
    front: Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from signetrpc.transport._delegation import for_worker

    credential = front.given(_evidence(delegation_environment))
    monkeypatch.setenv("KRB5_CONFIG", str(nowhere(delegation_environment, tmp_path)))
    with pytest.raises(AuthenticationFailed) as caught:
        for_worker(credential)
    assert caught.value.reason is FailureReason.NO_KDC
