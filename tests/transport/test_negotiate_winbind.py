"""Winbind as a credential: what can be said without one; `tests/ad` has a real one."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from signetrpc.transport import (
    AuthenticationFailed,
    FailureReason,
    Mechanism,
    SecurityPolicy,
    Winbind,
)
from signetrpc.transport._negotiate import AcceptorFactory
from tests.support.negotiation import account_file
from tests.support.parts import Part, require

FACTORY = """
from signetrpc.transport import SecurityPolicy, TransportError, Winbind
from signetrpc.transport._negotiate import AcceptorFactory
try:
    AcceptorFactory([Winbind()], SecurityPolicy())
except TransportError as error:
    print(error)
"""


def test_the_credential_asks_for_ntlm() -> None:
    assert Winbind().asks_ntlm
    assert repr(Winbind()) == "Winbind()"
    assert Mechanism.NTLM in SecurityPolicy().allowed(ntlm_asked=Winbind().asks_ntlm)


def test_winbind_and_account_files_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not both"):
        AcceptorFactory([Winbind(), account_file(tmp_path)], SecurityPolicy())


def test_a_policy_without_ntlm_leaves_nothing_to_accept_with() -> None:
    with pytest.raises(AuthenticationFailed, match="the policy allows kerberos"):
        AcceptorFactory([Winbind()], SecurityPolicy.kerberos_only())


def _said(**environment: str) -> str:
    """Return how making the acceptor fails in a process of that environment."""
    done = subprocess.run(
        [sys.executable, "-c", FACTORY],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_gss_api_without_ntlm() -> None:
    require(Part.GSSAPI)
    assert "install gss-ntlmssp" in _said(GSS_MECH_CONFIG=os.devnull)


def test_an_account_file_in_the_environment_is_refused(tmp_path: Path) -> None:
    require(Part.GSSAPI, Part.GSS_NTLMSSP)
    path = str(account_file(tmp_path).path)
    said = _said(NTLM_USER_FILE=path)
    assert "NTLM_USER_FILE is set" in said
    assert path not in said


_SID = "S-1-5-21-1-2-3-1103"


def _sids(
    monkeypatch: pytest.MonkeyPatch, text: bytes, **marks: bool
) -> tuple[str, ...]:
    """Return the SIDs that are taken where gss-ntlmssp says so of its client."""
    require(Part.GSSAPI)
    import gssapi.raw

    from signetrpc.transport import _negotiate_winbind

    said = {"authenticated": True, "complete": True} | marks
    attribute = SimpleNamespace(values=[text], **said)

    def get_name_attribute(name: object, asked: bytes) -> object:
        assert asked == b"urn:gssntlmssp:sids"
        return attribute

    monkeypatch.setattr(gssapi.raw, "get_name_attribute", get_name_attribute)
    name = gssapi.raw.import_name(b"alice")
    read = _negotiate_winbind._sids  # pyright: ignore[reportPrivateUsage]
    return tuple(read(name))


def test_the_account_comes_before_its_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _sids(monkeypatch, f"{_SID}\0".encode()) == (_SID,)
    text = f"{_SID},S-1-5-21-1-2-3-513,S-1-5-32-545\0\0".encode()
    assert _sids(monkeypatch, text) == (_SID, "S-1-5-21-1-2-3-513", "S-1-5-32-545")


@pytest.mark.parametrize("missing", ["authenticated", "complete"])
def test_groups_that_nobody_vouched_for_let_nobody_in(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AuthenticationFailed, match="nobody's word") as caught:
        _sids(monkeypatch, _SID.encode(), **{missing: False})
    assert caught.value.reason is FailureReason.NOT_PROVEN


@pytest.mark.parametrize(
    "text", [b"", b"\0", b"alice", f"{_SID},".encode(), f"{_SID},x".encode()]
)
def test_what_is_no_list_of_groups_lets_nobody_in(
    text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AuthenticationFailed, match="SIDs") as caught:
        _sids(monkeypatch, text)
    assert caught.value.reason is FailureReason.NOT_PROVEN


def test_gssapi_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "signetrpc.transport._negotiate_winbind"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(AuthenticationFailed, match="pip install") as caught:
        AcceptorFactory([Winbind()], SecurityPolicy())
    assert caught.value.reason is FailureReason.MECHANISM
