"""Two security contexts joined in memory, and what they are made from."""

from collections.abc import Sequence
from pathlib import Path

from signetrpc.transport._acceptance import Claim, accept
from signetrpc.transport._credentials import AccountFile, ClientCredentials, Password
from signetrpc.transport._identity import Identity, ImpersonationLevel, Mechanism
from signetrpc.transport._negotiate import AcceptorFactory, InitiatorContext
from signetrpc.transport._negotiate_ntlm import NtlmContext
from signetrpc.transport._security import (
    NegotiationProtocol,
    SecurityContext,
    SecurityPolicy,
)

KERBEROS, NTLM = Mechanism.KERBEROS, Mechanism.NTLM
BOTH = frozenset({KERBEROS, NTLM})
ALLOW_NTLM = SecurityPolicy.allow_ntlm()

ALICE = Password(r"CORP\alice", "Wonder1and")
ACCOUNTS = "CORP:alice:Wonder1and\nCORP:bob:Bui1der\n:carol:C4rol\n"


class WeakerNtlm(NtlmContext):
    """An NTLM client that leaves a flag out."""

    def __init__(self, password: Password, flag: int) -> None:
        super().__init__(password=password)
        self._context_req &= ~flag


def account_file(folder: Path, text: str = ACCOUNTS) -> AccountFile:
    """Write an account file that only its owner can read."""
    path = folder / "accounts.txt"
    path.write_text(text)
    path.chmod(0o600)
    return AccountFile(path)


def initiator(
    credentials: ClientCredentials = ALICE,
    protocol: NegotiationProtocol = NegotiationProtocol.NTLM,
    *,
    service: str = "host/localhost",
    allowed: frozenset[Mechanism] = BOTH,
    impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
) -> InitiatorContext:
    """Return a client's context."""
    return InitiatorContext(credentials, protocol, service, impersonation, allowed)


def exchange(client: SecurityContext, server: SecurityContext) -> list[bytes]:
    """Run a handshake to its end and return its tokens in order."""
    tokens: list[bytes] = []
    token = client.step(None)
    ends: Sequence[SecurityContext] = (server, client)
    while token is not None:
        tokens.append(token)
        token = ends[(len(tokens) - 1) % 2].step(token)
    assert client.complete and server.complete
    return tokens


def admit(
    context: SecurityContext,
    factory: AcceptorFactory,
    *,
    policy: SecurityPolicy = ALLOW_NTLM,
    target: str = "host/localhost",
    impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
) -> Identity:
    """Apply a server's acceptance rules, as a session does before FINISHED."""
    claim = Claim(
        facts=context.facts(),
        policy=policy,
        allowed=factory.mechanisms,
        initiator=False,
        target=target,
        served=factory.served,
    )
    return accept(claim, impersonation=impersonation)


def trust(
    context: SecurityContext,
    *,
    policy: SecurityPolicy = ALLOW_NTLM,
    allowed: frozenset[Mechanism] = BOTH,
    target: str = "host/localhost",
) -> Identity:
    """Apply a client's acceptance rules."""
    claim = Claim(
        facts=context.facts(),
        policy=policy,
        allowed=allowed,
        initiator=True,
        target=target,
    )
    return accept(claim, impersonation=ImpersonationLevel.IMPERSONATE)
