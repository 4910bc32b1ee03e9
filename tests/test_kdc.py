"""The KDC that other tests stand on."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.kdc import OTHER_SERVICE, SERVICE, Kdc
from tests.support.parts import Part, require, which


def _valid(
    kdc: Kdc, ccache: Path | None = None, clock_offset: timedelta = timedelta(0)
) -> bool:
    """Ask MIT itself whether the cache holds a ticket that is valid at that time."""
    klist = which("klist")
    assert klist is not None
    env = kdc.environment(ccache=ccache, clock_offset=clock_offset)
    return subprocess.run([klist, "-s"], env=env).returncode == 0


def test_a_ticket_from_kinit_is_good_for_a_service(kdc: Kdc) -> None:
    before = dict(os.environ)
    ccache = kdc.kinit("alice", service=SERVICE)
    assert _valid(kdc, ccache)
    assert not _valid(kdc)
    assert dict(os.environ) == before


def test_the_keytab_holds_the_principals_asked_for(kdc: Kdc) -> None:
    klist = which("klist")
    assert klist is not None
    keytab = kdc.keytab(OTHER_SERVICE)
    listing = subprocess.check_output([klist, "-k", keytab], text=True)
    assert kdc.principal(OTHER_SERVICE) in listing
    assert SERVICE not in listing


def test_a_ticket_can_have_expired(kdc: Kdc) -> None:
    require(Part.FAKETIME)
    past = timedelta(hours=-2)
    ccache = kdc.kinit("alice", lifetime=timedelta(hours=1), clock_offset=past)
    assert not _valid(kdc, ccache)
    assert _valid(kdc, ccache, past)


def test_kerberos_can_be_set_for_one_test(kerberos_environment: Kdc) -> None:
    import gssapi
    from gssapi.raw import GSSError

    name = gssapi.Name(SERVICE, gssapi.NameType.kerberos_principal)
    held = gssapi.Credentials(name=name, usage="accept")
    assert str(held.name) == kerberos_environment.principal(SERVICE)
    with pytest.raises(GSSError):
        _ = gssapi.Credentials(usage="initiate").name
