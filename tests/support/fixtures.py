"""Fixtures that stand on a real KDC; `tests/conftest.py` makes them known."""

from collections.abc import Iterator

import pytest

from tests.support.kdc import Kdc
from tests.support.ldap_kdc import BACK, FRONT, LdapKdc
from tests.support.parts import Part, require


@pytest.fixture(scope="session")
def kdc() -> Iterator[Kdc]:
    """One KDC for the whole session; skips where there is none to be had."""
    require(Part.KDC)
    with Kdc() as running:
        yield running


@pytest.fixture
def kerberos_environment(kdc: Kdc, monkeypatch: pytest.MonkeyPatch) -> Kdc:
    """Point this process at the KDC for one test: its service's keys, no tickets.

    libkrb5 has no other way to be told its configuration file.  For tickets use
    `monkeypatch.setenv("KRB5CCNAME", f"FILE:{kdc.kinit('alice')}")`.
    """
    require(Part.GSSAPI)
    for name, value in kdc.variables(keytab=kdc.keytab_file).items():
        monkeypatch.setenv(name, value)
    return kdc


@pytest.fixture(scope="session")
def ldap_kdc() -> Iterator[LdapKdc]:
    """A KDC that lets `FRONT` act for its callers towards `BACK` alone."""
    require(Part.LDAP_KDC)
    with LdapKdc() as running:
        running.add_service(BACK)
        running.allow_delegation(FRONT, [BACK])
        yield running


@pytest.fixture
def delegation_environment(
    ldap_kdc: LdapKdc, monkeypatch: pytest.MonkeyPatch
) -> LdapKdc:
    """Point this process at that KDC for one test: no keys, no tickets."""
    require(Part.GSSAPI)
    for name, value in ldap_kdc.variables().items():
        monkeypatch.setenv(name, value)
    return ldap_kdc
