"""A service's own tickets: had once, renewed in time, missed without harm."""

import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from signetrpc.transport._credentials import Keytab
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport.errors import AuthenticationFailed, FailureReason
from tests.support.delegation import STRICT, nowhere
from tests.support.kdc import OTHER_SERVICE, REALM, SERVICE, Kdc

if TYPE_CHECKING:
    from signetrpc.transport._negotiate_own import OwnTickets
    from signetrpc.transport._negotiate_tickets import MemoryCache

HOUR = 3600.0


class _Clock:
    """The time of day, as a test says."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class _Logins:
    """Counts the logins, and the caches of theirs that are still there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from signetrpc.transport import _negotiate_own, _negotiate_tickets

        self._log_in = _negotiate_tickets.log_in
        self._caches: list[bytes] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        monkeypatch.setattr(_negotiate_own, "log_in", self._record)

    def _record(self, credentials: Keytab, **options: bool) -> "MemoryCache":
        self.begun.set()
        assert self.go_on.wait(30)
        made = self._log_in(credentials, **options)
        self._caches.append(b"MEMORY:" + (made[1].name or b""))
        return made

    def __len__(self) -> int:
        return len(self._caches)

    @property
    def alive(self) -> int:
        gc.collect()
        return sum(map(_is_alive, self._caches))


def _is_alive(name: bytes) -> bool:
    import krb5

    context = krb5.init_context()
    try:
        krb5.cc_get_principal(context, krb5.cc_resolve(context, name))
    except krb5.Krb5Error:
        return False
    return True


@pytest.fixture
def logins(kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch) -> _Logins:
    return _Logins(monkeypatch)


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def own(kerberos_environment: Kdc, clock: _Clock) -> "OwnTickets":
    from signetrpc.transport._negotiate_own import OwnTickets

    path = kerberos_environment.keytab_file
    return OwnTickets(path, f"{SERVICE}@{REALM}", clock)


def test_one_login_serves_everybody(own: "OwnTickets", logins: _Logins) -> None:
    assert len(logins) == 0
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(own.credential) for _ in range(40)]
    (credential,) = {each.result() for each in found}
    assert credential is not None
    assert (credential.usage, str(credential.name)) == ("both", f"{SERVICE}@{REALM}")
    assert len(logins) == logins.alive == 1


def test_it_is_renewed_at_half_its_life_and_the_old_one_goes(
    own: "OwnTickets", logins: _Logins, clock: _Clock
) -> None:
    first = own.credential()
    clock.now += 11 * HOUR  # the KDC gives a day
    assert own.credential() is first
    clock.now += 2 * HOUR
    second = own.credential()
    assert second is not None and second is not first
    assert (len(logins), logins.alive) == (2, 2)
    del first
    assert logins.alive == 1
    del second, own
    gc.collect()


def test_while_it_is_renewed_others_go_on_with_the_old_one(
    own: "OwnTickets", logins: _Logins, clock: _Clock
) -> None:
    first = own.credential()
    clock.now += 13 * HOUR
    logins.begun.clear()
    logins.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(own.credential)
        assert logins.begun.wait(30)
        assert own.credential() is first
        logins.go_on.set()
        assert renewing.result() is not first


def test_without_a_kdc_there_is_none_and_it_is_not_asked_all_the_time(
    own: "OwnTickets",
    logins: _Logins,
    clock: _Clock,
    kerberos_environment: Kdc,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="signetrpc.transport")
    with monkeypatch.context() as patch:
        patch.setenv("KRB5_CONFIG", str(nowhere(kerberos_environment, tmp_path)))
        assert own.credential() is None
        (record,) = caplog.records
        assert record.getMessage() == (
            f"{SERVICE}@{REALM} cannot log in, so it acts for no caller: no KDC could "
            "be reached"
        )
        clock.now += 29
        assert own.credential() is None
        assert len(caplog.records) == 1
    assert own.credential() is None
    clock.now += 2
    assert own.credential() is not None
    assert len(logins) == 1


def test_one_that_cannot_be_renewed_is_good_until_its_end(
    own: "OwnTickets",
    logins: _Logins,
    clock: _Clock,
    kerberos_environment: Kdc,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    first = own.credential()
    monkeypatch.setenv("KRB5_CONFIG", str(nowhere(kerberos_environment, tmp_path)))
    clock.now += 13 * HOUR
    assert own.credential() is first
    clock.now += 12 * HOUR
    assert own.credential() is None
    assert len(logins) == 1


def test_tickets_that_cannot_be_used_leave_no_cache(
    own: "OwnTickets", logins: _Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gssapi.raw

    from signetrpc.transport import _negotiate_own

    def fails(*_: object, **__: object) -> None:
        raise gssapi.raw.GSSError(7 << 16, 0)

    monkeypatch.setattr(_negotiate_own, "_Credential", fails)
    assert own.credential() is None
    assert (len(logins), logins.alive) == (1, 0)


def test_a_key_that_is_no_longer_good(
    kerberos_environment: Kdc, caplog: pytest.LogCaptureFixture
) -> None:
    from signetrpc.transport._negotiate_own import OwnTickets

    own = OwnTickets(kerberos_environment.keytab_file, f"{OTHER_SERVICE}@{REALM}")
    assert own.credential() is None
    assert "the keytab has no key for" in caplog.text


def test_a_server_under_two_names_is_refused(kerberos_environment: Kdc) -> None:
    path = kerberos_environment.keytab(SERVICE, OTHER_SERVICE)
    with pytest.raises(AuthenticationFailed, match="has 2: give `principal`") as caught:
        AcceptorFactory([Keytab(path, delegate_to=("back/x",))], STRICT)
    assert caught.value.reason is FailureReason.NO_CREDENTIALS
    one = Keytab(path, SERVICE, delegate_to=("back/x",))
    assert AcceptorFactory([one], STRICT).served == {SERVICE}
