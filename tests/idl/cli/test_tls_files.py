"""Both commands over TLS, and options that do not fit together."""

import ssl
from pathlib import Path

import pytest

from signetrpc.idl.cli._tls_files import client_tls, server_tls
from tests.idl.cli.conftest import Signet
from tests.support.certificates import Authority

ACCOUNTS = ("--ntlm-accounts", "accounts.txt")
ALICE = ("--user", r"CORP\alice", "--password-file", "password.txt")
BALANCE = ("bank.Accounts/balance", "account=42", "--interface", "bank:Accounts")
CERTIFICATE = ("--tls-certificate", "own.pem", "--tls-key", "own.key")


@pytest.fixture(autouse=True)
def certificate(signet: Signet) -> None:
    """Write an authority, a certificate of it for `localhost`, and its key."""
    made = Authority(signet.folder, "own CA").issue()
    made.file.rename(signet.folder / "own.pem")
    made.key.rename(signet.folder / "own.key")


def test_a_call_over_tls(signet: Signet) -> None:
    serve = ("serve", "bank:Accounts", "--listen", "127.0.0.1:0", *ACCOUNTS)
    bound = ("--tls-client-ca", "own-CA.pem", "--channel-binding", "always")
    with signet.beside(*serve, *CERTIFICATE, *bound) as process:
        assert process.stderr is not None
        port = process.stderr.readline().rpartition(":")[2].strip()
        call = ("call", f"localhost:{port}", *BALANCE, *ALICE)
        trusting = (*call, "--tls-ca", "own-CA.pem")
        assert signet(*trusting, *CERTIFICATE) == 0
        assert signet.output == '"42 of CORP\\\\alice"\n'
        by_address = ("call", f"127.0.0.1:{port}", *BALANCE, *ALICE)
        named = ("--tls-ca", "own-CA.pem", "--tls-server-name", "localhost")
        assert signet(*by_address, *named, *CERTIFICATE) == 0
        # Each end refuses the other: a stranger's authority, no certificate, no TLS.
        assert signet(*call, "--tls", *CERTIFICATE) == 3
        assert "the peer's certificate is not good" in signet.errors
        assert signet(*trusting) == 3
        assert signet(*call) == 3


def test_a_proof_that_is_not_bound(signet: Signet) -> None:
    serve = ("serve", "bank:Accounts", "--listen", "127.0.0.1:0", *ACCOUNTS)
    with signet.beside(*serve, *CERTIFICATE, "--channel-binding", "never") as process:
        assert process.stderr is not None
        port = process.stderr.readline().rpartition(":")[2].strip()
        call = ("call", f"localhost:{port}", *BALANCE, *ALICE)
        assert signet(*call, "--tls-ca", "own-CA.pem") == 0


def test_files_that_cannot_be_used(signet: Signet) -> None:
    serve = ("serve", "bank:Accounts", "--listen", "127.0.0.1:0", *ACCOUNTS)
    assert signet(*serve, "--tls-certificate", "bank.py") == 1
    assert "cannot serve with the certificate bank.py: " in signet.errors
    assert signet("call", "localhost:1", *BALANCE, *ALICE, "--tls-ca", "no.pem") == 2
    assert "there is no file no.pem" in signet.errors


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--tls-key", "own.key"], "--tls-key needs --tls-certificate"),
        (["--tls-client-ca", "own.pem"], "--tls-client-ca needs --tls-certificate"),
        (["--channel-binding", "always"], "--channel-binding always needs --tls-c"),
        (["--tls-certificate", "no.pem"], "there is no file no.pem"),
        ([*CERTIFICATE, "--tls-client-ca", "no.pem"], "there is no file no.pem"),
    ],
)
def test_options_of_serve_that_do_not_fit(
    signet: Signet, options: list[str], says: str
) -> None:
    assert signet("serve", "bank:Accounts", *ACCOUNTS, *options) == 2
    assert says in signet.errors


def test_options_of_call_that_do_not_fit(signet: Signet) -> None:
    call = ("call", "localhost:1", *BALANCE, *ALICE)
    assert signet(*call, "--tls-key", "own.key") == 2
    assert "--tls-key needs --tls-certificate" in signet.errors


def test_what_the_options_mean(signet: Signet) -> None:
    own, key = Path("own.pem"), Path("own.key")
    assert server_tls(None, None, None) is None
    served = server_tls(own, key, None)
    assert served is not None
    assert served.context().verify_mode is ssl.CERT_NONE
    strict = server_tls(own, key, own)
    assert strict is not None
    assert strict.context().verify_mode is ssl.CERT_REQUIRED
    assert client_tls(False, None, None, None, None) is None
    for asked, ca, name, certificate in (
        (True, None, None, None),
        (False, own, None, None),
        (False, None, "localhost", None),
        (False, None, None, own),
    ):
        called = client_tls(asked, ca, name, certificate, key if certificate else None)
        assert called is not None
        assert called.context().verify_mode is ssl.CERT_REQUIRED
