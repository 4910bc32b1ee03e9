"""Sessions over real contexts: NTLM and Kerberos, by themselves and under SPNEGO."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from signetrpc.transport._config import SessionConfig
from signetrpc.transport._credentials import ClientCredentials, Keytab, TicketCache
from signetrpc.transport._hello import ClientHello
from signetrpc.transport._identity import ImpersonationLevel, Mechanism
from signetrpc.transport._negotiate import AcceptorFactory, InitiatorContext
from signetrpc.transport._security import (
    NegotiationProtocol,
    SecurityContext,
    SecurityPolicy,
)
from signetrpc.transport._session import Session
from signetrpc.transport.errors import HandshakeError
from signetrpc.transport.testing import pump
from tests.support.kdc import SERVICE, Kdc
from tests.support.negotiation import (
    ALICE,
    ALLOW_NTLM,
    KERBEROS,
    NTLM,
    account_file,
)
from tests.support.sessions import AEAD, SMALL, config

FORMS = (
    (NTLM, NegotiationProtocol.NTLM),
    (NTLM, NegotiationProtocol.NEGOTIATE),
    (KERBEROS, NegotiationProtocol.KERBEROS),
    (KERBEROS, NegotiationProtocol.NEGOTIATE),
)
"""Every mechanism in every form; the names of fixture `real`'s parameters."""


@dataclass(frozen=True, kw_only=True)
class Real:
    """Makes the two ends of sessions with one mechanism in one form.

    Attributes:
        mechanism: The mechanism that both ends come to.
        form: The form of the tokens.
        factory: The server's.
        policy: Both ends'; the suite is put in by `client` and `server`.
        credentials: The client's.
    """

    mechanism: Mechanism
    form: NegotiationProtocol
    factory: AcceptorFactory
    policy: SecurityPolicy
    credentials: ClientCredentials

    def config(self, *, client: bool, suite: str, **fields: Any) -> SessionConfig:
        """Return what one end brings, with fields of `SessionConfig` changed."""
        brings = replace(
            config(initiator=client, suite=suite),
            policy=replace(self.policy, suites=(suite,)),
            allowed=frozenset({self.mechanism}) if client else self.factory.mechanisms,
            served=frozenset[str]() if client else self.factory.served,
            limits=SMALL,
            target=SERVICE if client else "",
            protocol=self.form if client else "",
        )
        return replace(brings, **fields)

    def client(
        self,
        suite: str = AEAD,
        *,
        context: Callable[[ClientHello], SecurityContext] | None = None,
        data: bytes | None = None,
        mechanisms: frozenset[Mechanism] | None = None,
        **fields: Any,
    ) -> Session:
        """Return a client that has not begun.

        Args:
            suite: The one it offers.
            context: Replaces its true one.
            data: Channel binding that its tokens carry.
            mechanisms: Those it allows; that of both ends alone if None.
            fields: Of `SessionConfig`.
        """
        allowed = mechanisms or frozenset({self.mechanism})

        def make(_: ClientHello) -> SecurityContext:
            level = ImpersonationLevel.IMPERSONATE
            return InitiatorContext(
                self.credentials, self.form, SERVICE, level, allowed, data
            )

        fields = {"allowed": allowed} | fields
        brings = self.config(client=True, suite=suite, **fields)
        return Session(brings, initiator=True, context=context or make, now=0.0)

    def server(
        self, suite: str = AEAD, *, data: bytes | None = None, **fields: Any
    ) -> Session:
        """Return a server that has not begun, as a listener makes it."""

        def make(hello: ClientHello) -> SecurityContext:
            try:
                form = NegotiationProtocol(hello.protocol)
            except ValueError:
                raise HandshakeError("unknown protocol") from None
            return self.factory.context(form, data)

        brings = self.config(client=False, suite=suite, **fields)
        return Session(brings, initiator=False, context=make, now=0.0)

    def opened(self, suite: str = AEAD, **fields: Any) -> tuple[Session, Session]:
        """Return a client and a server in state OPEN."""
        ends = self.client(suite, **fields), self.server(suite, **fields)
        pump(*ends)
        return ends


def ntlm(folder: Path, form: NegotiationProtocol = NegotiationProtocol.NTLM) -> Real:
    """Return NTLM against an account file that is written to `folder`."""
    return Real(
        mechanism=NTLM,
        form=form,
        factory=AcceptorFactory([account_file(folder)], ALLOW_NTLM),
        policy=ALLOW_NTLM,
        credentials=ALICE,
    )


def kerberos(
    realm: Kdc, form: NegotiationProtocol = NegotiationProtocol.KERBEROS
) -> Real:
    """Return Kerberos against a KDC that the environment points at."""
    policy = SecurityPolicy.kerberos_only()
    return Real(
        mechanism=KERBEROS,
        form=form,
        factory=AcceptorFactory([Keytab(realm.keytab_file)], policy),
        policy=policy,
        credentials=TicketCache(realm.kinit("alice")),
    )


@pytest.fixture(
    params=FORMS, ids=["ntlm", "negotiated ntlm", "kerberos", "negotiated kerberos"]
)
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Real:
    """Run a test over every mechanism in every form."""
    mechanism, form = request.param
    if mechanism is NTLM:
        return ntlm(tmp_path, form)
    return kerberos(request.getfixturevalue("kerberos_environment"), form)
