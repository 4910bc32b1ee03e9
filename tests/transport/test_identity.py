"""Who the peer is, as a value."""

import pytest

from signetrpc.transport._identity import (
    ANONYMOUS,
    Identity,
    ImpersonationLevel,
    Mechanism,
)


@pytest.mark.parametrize(
    ("mechanism", "realm", "principal"),
    [
        (Mechanism.KERBEROS, "EXAMPLE.COM", "alice@EXAMPLE.COM"),
        (Mechanism.KERBEROS, "", "alice"),
        (Mechanism.NTLM, "CORP", r"CORP\alice"),
        (Mechanism.NTLM, "", "alice"),
        (Mechanism.TLS, "", "alice"),
        (Mechanism.ANONYMOUS, "CORP", "anonymous"),
    ],
)
def test_principal_is_written_as_its_mechanism_writes_it(
    mechanism: Mechanism, realm: str, principal: str
) -> None:
    identity = Identity(mechanism=mechanism, name="alice", realm=realm)
    assert identity.principal == str(identity) == principal


def test_one_name_in_two_realms_is_two_identities() -> None:
    first = Identity(mechanism=Mechanism.KERBEROS, name="alice", realm="A")
    second = Identity(mechanism=Mechanism.KERBEROS, name="alice", realm="B")
    third = Identity(mechanism=Mechanism.NTLM, name="alice", realm="A")
    assert len({first, second, third}) == 3


def test_anonymous_is_nobody_with_no_rights() -> None:
    assert ANONYMOUS.anonymous
    assert not Identity(mechanism=Mechanism.NTLM, name="alice").anonymous
    assert ANONYMOUS.impersonation is ImpersonationLevel.IDENTIFY
    assert not ANONYMOUS.mutual
    assert not ANONYMOUS.channel_bound
    assert ANONYMOUS.expires_at is None


def test_impersonation_levels_have_the_wire_s_numbers() -> None:
    assert [int(level) for level in ImpersonationLevel] == [0, 1, 2]
