"""Fixtures for the attacks."""

from pathlib import Path

import pytest

from tests.support.kdc import Kdc
from tests.support.mechanisms import Real, kerberos, ntlm, real
from tests.support.sessions import SUITES

__all__ = ["real"]


@pytest.fixture(params=SUITES, scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    """Run an attack over each suite."""
    name: str = request.param
    return name


@pytest.fixture
def accounts(tmp_path: Path) -> Real:
    """Give NTLM against an account file."""
    return ntlm(tmp_path)


@pytest.fixture
def realm(kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch) -> Kdc:
    """Give the KDC, with alice signed in."""
    ccache = kerberos_environment.kinit("alice")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{ccache}")
    return kerberos_environment


@pytest.fixture
def tickets(realm: Kdc) -> Real:
    """Give Kerberos against the KDC."""
    return kerberos(realm)
