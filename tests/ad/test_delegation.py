"""Delegation in a domain: large tickets with a PAC, and what the directory allows."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from signetrpc.transport import (
    AuthenticationFailed,
    DelegationKind,
    FailureReason,
    ImpersonationLevel,
    Keytab,
    NegotiationProtocol,
    TicketCache,
)
from signetrpc.transport._negotiate import AcceptorFactory
from tests.support.delegation import STRICT, Server
from tests.support.negotiation import initiator
from tests.support.samba import HOST, REALM, SERVICE, USERS, DomainController, run

FRONT, BACK = f"front/{HOST}", f"back/{HOST}"
_USERS = ",".join(["CN=Users", *(f"DC={part}" for part in REALM.lower().split("."))])

# A service logs in with its own name only where that is its account's too
# (userPrincipalName).  64 and 512: an ordinary account whose password never expires.
_ACCOUNTS = f"""\
dn: CN=svc-front,{_USERS}
objectClass: user
sAMAccountName: svc-front
userPrincipalName: {FRONT}@{REALM}
servicePrincipalName: {FRONT}
msDS-SupportedEncryptionTypes: 24
msDS-AllowedToDelegateTo: {BACK}
userAccountControl: 66048
unicodePwd:: {{password}}

dn: CN=svc-back,{_USERS}
objectClass: user
sAMAccountName: svc-back
servicePrincipalName: {BACK}
msDS-SupportedEncryptionTypes: 24
userAccountControl: 66048
unicodePwd:: {{password}}
"""


@dataclass(frozen=True)
class Services:
    """A front that the directory lets act for its callers towards the back alone."""

    front: Server
    back: Server


def _server(dc: DomainController, service: str, *targets: str) -> Server:
    path = dc.folder / f"{service.partition('/')[0]}.keytab"
    run("samba-tool", "domain", "exportkeytab", str(path), f"--principal={service}")
    keytab = Keytab(path, delegate_to=targets)
    return Server(AcceptorFactory([keytab], STRICT), service)


@pytest.fixture(scope="module")
def services(dc: DomainController) -> Services:
    import base64

    password = base64.b64encode('"Serv1ce-key"'.encode("utf-16-le")).decode()
    accounts = _ACCOUNTS.format(password=password)
    run("ldbadd", "-H", "/var/lib/samba/private/sam.ldb", text=accounts)
    return Services(_server(dc, FRONT, BACK, SERVICE), _server(dc, BACK))


def _log_in(dc: DomainController, user: str, *options: str) -> TicketCache:
    cache = dc.folder / f"delegating-{user}"
    run("kinit", "-f", *options, "-c", str(cache), user, text=USERS[user])
    return TicketCache(cache)


def _without_granting_ticket(dc: DomainController, user: str) -> TicketCache:
    """Fetch a ticket for the front and forget that with which one could forward.

    By `kinit -S`, as elsewhere, Samba gives a ticket that it then takes no further.
    """
    import krb5

    path = dc.folder / f"alone-{user}"
    whole = f"{_log_in(dc, user).path}"
    run("kvno", "-c", whole, FRONT)
    context = krb5.init_context()
    held = krb5.cc_resolve(context, f"FILE:{whole}".encode())
    cache = krb5.cc_resolve(context, f"FILE:{path}".encode())
    krb5.cc_initialize(context, cache, krb5.cc_get_principal(context, held))
    for ticket in held:
        if krb5.unparse_name_flags(context, ticket.server).startswith(b"front/"):
            krb5.cc_store_cred(context, cache, ticket)
    return TicketCache(path)


@pytest.mark.parametrize("user", ["alice", "grace"])
def test_a_forwarded_ticket(
    dc: DomainController, services: Services, user: str
) -> None:
    """Also with the tickets of somebody in 300 groups."""
    credential = services.front.given(_log_in(dc, user))
    assert credential.kind is DelegationKind.FORWARDED
    assert credential.principal == f"{user}@{REALM}"
    caller = services.back.meets(credential)
    assert caller.principal == f"{user}@{REALM}"
    assert caller.delegated is not None


@pytest.mark.parametrize("user", ["alice", "grace"])
def test_what_the_directory_allows(
    dc: DomainController, services: Services, user: str, tmp_path: Path
) -> None:
    from signetrpc.transport._delegation import for_worker, write_cache

    # Nothing to forward: a ticket for the front alone.
    credential = services.front.given(_without_granting_ticket(dc, user))
    assert credential.kind is DelegationKind.CONSTRAINED
    level = ImpersonationLevel.IMPERSONATE
    caller = services.back.meets(credential, level=level)
    assert caller.principal == f"{user}@{REALM}"
    assert caller.sids == services.front.meets(_log_in(dc, user)).sids
    client = initiator(credential, NegotiationProtocol.KERBEROS, service=SERVICE)
    with pytest.raises(AuthenticationFailed, match="does not let this service") as bad:
        client.step(None)
    assert bad.value.reason is FailureReason.REFUSED

    reduced = for_worker(credential)
    assert reduced is not None
    assert reduced.targets == (BACK,)
    write_cache(reduced, str(tmp_path / "cache"))
    listing = run("klist", "-c", str(tmp_path / "cache"))
    assert f"{BACK}@{REALM}" in listing
    assert "krbtgt" not in listing
    assert services.back.meets(reduced, level=level).principal == f"{user}@{REALM}"
