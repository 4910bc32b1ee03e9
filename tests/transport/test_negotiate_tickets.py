"""A client's Kerberos credentials."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from signetrpc.transport._credentials import (
    ClientCredentials,
    Keytab,
    Password,
    TicketCache,
)
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._security import NegotiationProtocol, SecurityPolicy
from signetrpc.transport.errors import AuthenticationFailed, FailureReason
from tests.support.kdc import OTHER_SERVICE, REALM, SERVICE, USERS, Kdc
from tests.support.negotiation import admit, exchange, initiator
from tests.support.parts import Part, require

if TYPE_CHECKING:
    import krb5

FORM = NegotiationProtocol.KERBEROS
STRICT = SecurityPolicy.kerberos_only()


def _logs_in_as(realm: Kdc, credentials: ClientCredentials) -> str:
    factory = AcceptorFactory([Keytab(realm.keytab_file)], STRICT)
    server = factory.context(FORM)
    exchange(initiator(credentials, FORM), server)
    return admit(server, factory, policy=STRICT).principal


class _Caches:
    """The caches in memory that were made, and those that still hold tickets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import krb5

        self._krb5 = krb5
        self._make = krb5.cc_new_unique
        self._names: list[bytes] = []
        monkeypatch.setattr(krb5, "cc_new_unique", self._record)

    def _record(self, context: "krb5.Context", kind: bytes) -> "krb5.CCache":
        cache = self._make(context, kind)
        assert cache.name is not None
        self._names.append(kind + b":" + cache.name)
        return cache

    @property
    def made(self) -> int:
        return len(self._names)

    @property
    def alive(self) -> int:
        return sum(map(self._is_alive, self._names))

    def _is_alive(self, name: bytes) -> bool:
        context = self._krb5.init_context()
        try:
            cache = self._krb5.cc_resolve(context, name)
            self._krb5.cc_get_principal(context, cache)
        except self._krb5.Krb5Error:
            return False
        return True


@pytest.fixture
def caches(kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch) -> _Caches:
    return _Caches(monkeypatch)


def test_the_signed_in_users_tickets(
    kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch
) -> None:
    ccache = kerberos_environment.kinit("bob")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{ccache}")
    assert _logs_in_as(kerberos_environment, TicketCache()) == f"bob@{REALM}"


def test_a_cache_by_its_file_or_its_whole_name(kerberos_environment: Kdc) -> None:
    alice, bob = (kerberos_environment.kinit(user) for user in ("alice", "bob"))
    for credentials, user in (
        (TicketCache(alice), "alice"),
        (TicketCache(str(bob), f"bob@{REALM}"), "bob"),
        (TicketCache(f"FILE:{alice}"), "alice"),
    ):
        assert _logs_in_as(kerberos_environment, credentials) == f"{user}@{REALM}"


def test_a_cache_has_to_be_of_the_principal_asked_for(
    kerberos_environment: Kdc,
) -> None:
    credentials = TicketCache(kerberos_environment.kinit("alice"), f"bob@{REALM}")
    with pytest.raises(AuthenticationFailed) as caught:
        initiator(credentials, FORM).step(None)
    assert caught.value.reason is FailureReason.NO_CREDENTIALS


@pytest.mark.parametrize("user", [f"alice@{REALM}", "alice", rf"{REALM.lower()}\alice"])
def test_a_password_logs_in_and_leaves_nothing_behind(
    kerberos_environment: Kdc, caches: _Caches, user: str
) -> None:
    credentials = Password(user, USERS["alice"])
    assert _logs_in_as(kerberos_environment, credentials) == f"alice@{REALM}"
    assert (caches.made, caches.alive) == (1, 0)
    assert not (kerberos_environment.folder / "no-tickets").exists()


def test_an_abandoned_login_leaves_nothing_behind(caches: _Caches) -> None:
    context = initiator(Password("alice", USERS["alice"]), FORM)
    assert context.step(None) is not None
    assert caches.alive == 1
    del context
    gc.collect()
    assert (caches.made, caches.alive) == (1, 0)


def test_a_failed_handshake_leaves_nothing_behind(caches: _Caches) -> None:
    context = initiator(Password("alice", USERS["alice"]), FORM)
    context.step(None)
    with pytest.raises(AuthenticationFailed):
        context.step(b"garbage")
    gc.collect()
    assert (caches.made, caches.alive) == (1, 0)


def test_a_keytab_logs_in_as_its_principal(kerberos_environment: Kdc) -> None:
    keytab = kerberos_environment.keytab(SERVICE, OTHER_SERVICE)
    credentials = Keytab(keytab, OTHER_SERVICE)
    principal = _logs_in_as(kerberos_environment, credentials)
    assert principal == f"{OTHER_SERVICE}@{REALM}"


def test_a_keytab_alone_names_nobody(kerberos_environment: Kdc) -> None:
    context = initiator(Keytab(kerberos_environment.keytab_file), FORM)
    with pytest.raises(AuthenticationFailed, match="only as its `principal`") as caught:
        context.step(None)
    assert caught.value.reason is FailureReason.NO_CREDENTIALS


@pytest.mark.parametrize("name", ["none", "empty"])
def test_a_keytab_without_the_key(
    kerberos_environment: Kdc, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").write_bytes(b"\x05\x02")
    context = initiator(Keytab(tmp_path / name, f"alice@{REALM}"), FORM)
    with pytest.raises(AuthenticationFailed) as caught:
        context.step(None)
    assert caught.value.reason is FailureReason.NO_CREDENTIALS


def test_a_netbios_domain_is_no_realm() -> None:
    require(Part.GSSAPI)
    with pytest.raises(AuthenticationFailed, match="names no Kerberos realm"):
        initiator(Password(r"CORP\alice", "x"), FORM).step(None)
