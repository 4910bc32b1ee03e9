"""The two ways in: a client's context, and what makes a server's."""

import subprocess
import sys
from pathlib import Path

import pytest

from signetrpc.transport._credentials import (
    AccountFile,
    ClientCredentials,
    Keytab,
    Password,
    ServerCredentials,
    TicketCache,
)
from signetrpc.transport._identity import Mechanism
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._security import (
    NegotiationProtocol,
    SecurityContext,
    SecurityPolicy,
)
from signetrpc.transport.errors import AuthenticationFailed, FailureReason
from tests.support.kdc import REALM, SERVICE, Kdc
from tests.support.negotiation import (
    ALICE,
    ALLOW_NTLM,
    KERBEROS,
    NTLM,
    account_file,
    admit,
    exchange,
    initiator,
)

ROOT = Path(__file__).parents[2]


# Servers.


def test_a_server_accepts_with_what_it_was_given(
    kerberos_environment: Kdc, tmp_path: Path
) -> None:
    keytab = Keytab(kerberos_environment.keytab_file)
    file = account_file(tmp_path)
    cases: list[tuple[list[ServerCredentials], SecurityPolicy, set[Mechanism]]] = [
        ([keytab], SecurityPolicy(), {KERBEROS}),
        ([keytab], ALLOW_NTLM, {KERBEROS}),
        ([file], SecurityPolicy(), {NTLM}),
        ([file, keytab], SecurityPolicy(), {KERBEROS, NTLM}),
        ([file, keytab], SecurityPolicy.kerberos_only(), {KERBEROS}),
        ([file, keytab], SecurityPolicy(mechanisms=frozenset({NTLM})), {NTLM}),
    ]
    for accept, policy, mechanisms in cases:
        factory = AcceptorFactory(accept, policy)
        assert factory.mechanisms == mechanisms
        assert factory.served == ({SERVICE} if KERBEROS in mechanisms else set())


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        (SecurityPolicy.kerberos_only(), "kerberos"),
        (SecurityPolicy(mechanisms=frozenset()), "nothing"),
    ],
)
def test_a_server_that_could_accept_nobody_does_not_start(
    tmp_path: Path, policy: SecurityPolicy, names: str
) -> None:
    file = account_file(tmp_path)
    for accept in ([file], list[ServerCredentials]()):
        with pytest.raises(AuthenticationFailed, match=f"allows {names}$") as caught:
            AcceptorFactory(accept, policy)
        assert caught.value.reason is FailureReason.NO_CREDENTIALS


def test_an_account_file_is_read_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationFailed, match="none' cannot be read"):
        AcceptorFactory([AccountFile(tmp_path / "none")], ALLOW_NTLM)


def test_one_keytab_at_most() -> None:
    with pytest.raises(ValueError, match="more than one keytab"):
        AcceptorFactory([Keytab("a"), Keytab("b")], SecurityPolicy())


def test_ntlm_serves_under_the_names_of_the_policy(tmp_path: Path) -> None:
    names = frozenset({"host/a", f"host/b@{REALM}"})
    policy = SecurityPolicy(service_principals=names)
    factory = AcceptorFactory([account_file(tmp_path)], policy)
    assert factory.served == {"host/a", "host/b"}
    server = factory.context(NegotiationProtocol.NTLM)
    exchange(initiator(), server)
    assert admit(server, factory, target="host/b").name == "alice"
    assert admit(server, factory, target="").name == "alice"
    with pytest.raises(AuthenticationFailed, match="not served here"):
        admit(server, factory, target="host/c")


def test_several_account_files_are_one(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    files = [
        account_file(tmp_path),
        account_file(tmp_path / "more", "OTHER:dave:pass\n"),
    ]
    factory = AcceptorFactory(files, ALLOW_NTLM)
    for credentials in (ALICE, Password(r"OTHER\dave", "pass")):
        server = factory.context(NegotiationProtocol.NTLM)
        exchange(initiator(credentials), server)
        assert admit(server, factory).principal == credentials.user


def test_contexts_are_security_contexts(tmp_path: Path) -> None:
    factory = AcceptorFactory([account_file(tmp_path)], ALLOW_NTLM)
    contexts: list[SecurityContext] = [
        initiator(),
        factory.context(NegotiationProtocol.NTLM),
    ]
    for context in contexts:
        assert not context.complete
        facts = context.facts()
        assert not facts.complete and facts.mechanism is None


# Clients.


def test_nothing_is_read_before_the_first_step(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for credentials in (TicketCache(nowhere), Keytab(nowhere, "alice@NOWHERE")):
        for form in NegotiationProtocol:
            initiator(credentials, form)


@pytest.mark.parametrize(
    "credentials", [TicketCache(), Keytab("service.keytab", "alice@R")]
)
def test_ntlm_is_for_passwords(credentials: ClientCredentials) -> None:
    with pytest.raises(AuthenticationFailed, match="needs a password") as caught:
        initiator(credentials).step(None)
    assert caught.value.reason is FailureReason.NO_CREDENTIALS


def test_kerberos_needs_a_service() -> None:
    client = initiator(ALICE, NegotiationProtocol.KERBEROS, service="")
    with pytest.raises(AuthenticationFailed, match="give service_principal") as caught:
        client.step(None)
    assert caught.value.reason is FailureReason.UNKNOWN_SERVICE


def test_without_a_service_a_negotiation_is_ntlms(tmp_path: Path) -> None:
    factory = AcceptorFactory([account_file(tmp_path)], ALLOW_NTLM)
    form = NegotiationProtocol.NEGOTIATE
    client, server = initiator(service="", protocol=form), factory.context(form)
    exchange(client, server)
    assert admit(server, factory, target="").name == "alice"
    assert client.facts().name == ""


# A base install, without gssapi and krb5.

_WITHOUT_KERBEROS = """
import pathlib, sys
sys.modules["gssapi"] = sys.modules["gssapi.raw"] = sys.modules["krb5"] = None
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._credentials import Keytab, TicketCache
from signetrpc.transport._security import NegotiationProtocol, SecurityPolicy
from signetrpc.transport.errors import AuthenticationFailed
from tests.support.negotiation import *
file = account_file(pathlib.Path(sys.argv[1]))
factory = AcceptorFactory([file], SecurityPolicy())
for form in (NegotiationProtocol.NTLM, NegotiationProtocol.NEGOTIATE):
    client, server = initiator(ALICE, form), factory.context(form)
    exchange(client, server)
    print(admit(server, factory).principal)
def attempt(work):
    try:
        work()
    except AuthenticationFailed as error:
        print(error.reason.name, error)
keytab = Keytab("service.keytab")
attempt(lambda: AcceptorFactory([file, keytab], SecurityPolicy()))
attempt(lambda: initiator(TicketCache(), NegotiationProtocol.KERBEROS).step(None))
attempt(lambda: initiator(TicketCache(), NegotiationProtocol.NEGOTIATE).step(None))
"""


def test_a_base_install_has_ntlm_and_says_what_kerberos_needs(tmp_path: Path) -> None:
    output = subprocess.check_output(
        [sys.executable, "-c", _WITHOUT_KERBEROS, tmp_path], cwd=ROOT, text=True
    )
    missing = (
        "MECHANISM Kerberos needs the packages gssapi and krb5: "
        "pip install 'signetrpc[kerberos]'"
    )
    assert output.splitlines() == [r"CORP\alice"] * 2 + [missing] * 3
