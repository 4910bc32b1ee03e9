"""A client's Kerberos credentials: its tickets, or a login that fetches some.

Names go to the library as principals, never as host-based services, which it would
look up and reverse through DNS.

Tickets that a password or a keytab fetched live in a cache in memory, whose owner
destroys it: libkrb5 keeps such a cache until the process ends.
"""

import time
from os import PathLike, fspath
from typing import Final, assert_never

import gssapi
import gssapi.raw
import krb5

from ._credentials import ClientCredentials, Keytab, Password, TicketCache
from ._identity import DelegatedCredential
from .errors import AuthenticationFailed, FailureReason

__all__ = [
    "KERBEROS",
    "MemoryCache",
    "cache_name",
    "initiator_credential",
    "log_in",
    "principal_name",
    "service_name",
    "split_principal",
]

KERBEROS: Final = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2")


def principal_name(principal: str) -> gssapi.Name:
    """Return a principal as a name; never as a service's, which DNS would change."""
    return gssapi.Name(principal, gssapi.NameType.kerberos_principal)


def split_principal(principal: str) -> tuple[str, str]:
    r"""Return name and realm of a principal as Kerberos writes it.

    Escapes stay in the name: `a\/b` is another principal than `a/b`, and has to stay
    one where names are compared.
    """
    position = 0
    while position < len(principal):
        if principal[position] == "\\":
            position += 1
        elif principal[position] == "@":
            return principal[:position], principal[position + 1 :]
        position += 1
    return principal, ""


def service_name(service: str) -> gssapi.Name:
    """Return a service principal, with or without realm, as the name to ask for."""
    # An empty realm is the referral realm: the client's own realm is asked first and
    # says where to go.  Without the "@" it would be the default realm of krb5.conf.
    return principal_name(service if split_principal(service)[1] else f"{service}@")


MemoryCache = tuple[krb5.Context, krb5.CCache]


def cache_name(cache: krb5.CCache) -> bytes:
    """Return a cache's whole name, as GSS-API asks for it."""
    return (cache.cache_type or b"") + b":" + (cache.name or b"")


def initiator_credential(
    credentials: ClientCredentials, *, forwardable: bool
) -> tuple[gssapi.Credentials | None, MemoryCache | None]:
    """Return the credential, and the cache to destroy with the context, if any.

    No credential is GSS-API's default: the signed-in user's, chosen for the target.
    """
    match credentials:
        case TicketCache(path=None, principal=None):
            return None, None
        case TicketCache(path=path, principal=principal):
            return (
                gssapi.Credentials(
                    name=None if principal is None else principal_name(principal),
                    usage="initiate",
                    mechs=[KERBEROS],
                    store=None if path is None else {"ccache": _cache_at(path)},
                ),
                None,
            )
        case Password() | Keytab():
            cache = log_in(credentials, forwardable=forwardable)
            return (
                gssapi.Credentials(
                    usage="initiate",
                    mechs=[KERBEROS],
                    store={"ccache": cache_name(cache[1])},
                ),
                cache,
            )
        case DelegatedCredential(principal=principal, token=token):
            if credentials.expires_at <= time.time():
                raise AuthenticationFailed(
                    f"the credential that {principal!r} delegated has expired",
                    reason=FailureReason.EXPIRED,
                )
            # Each import has a cache in memory of its own, which goes with it.
            return gssapi.Credentials(base=gssapi.raw.import_cred(token)), None
        case _:
            assert_never(credentials)


def _cache_at(path: str | PathLike[str]) -> str:
    text = fspath(path)
    kind, colon, _ = text.partition(":")
    return text if colon and kind.isupper() else f"FILE:{text}"


def log_in(
    credentials: Password | Keytab, *, forwardable: bool, renamed: bool = True
) -> MemoryCache:
    """Get initial tickets into a cache in memory, as kinit does into a file.

    Not by `gss_acquire_cred_with_password`: it cannot ask for forwardable tickets.

    Args:
        credentials: Whom to log in.
        forwardable: Ask for tickets that can be delegated.
        renamed: Take tickets for another name of the same account; Active Directory
            gives them for the account's own.
    """
    principal = credentials.principal
    if principal is None:
        raise AuthenticationFailed(
            "a keytab logs in only as its `principal`"
            if isinstance(credentials, Keytab)
            else f"{credentials.user!r} names no Kerberos realm",
            reason=FailureReason.NO_CREDENTIALS,
        )
    context = krb5.init_context()
    client = krb5.parse_name_flags(context, principal.encode())
    options = krb5.get_init_creds_opt_alloc(context)
    krb5.get_init_creds_opt_set_canonicalize(options, renamed)
    krb5.get_init_creds_opt_set_forwardable(options, forwardable)
    if isinstance(credentials, Password):
        tickets = krb5.get_init_creds_password(
            context, client, options, password=credentials.password.encode()
        )
    else:
        name = b"FILE:" + fspath(credentials.path).encode()
        tickets = krb5.get_init_creds_keytab(
            context, client, options, keytab=krb5.kt_resolve(context, name)
        )
    cache = krb5.cc_new_unique(context, b"MEMORY")
    krb5.cc_initialize(context, cache, tickets.client)
    krb5.cc_store_cred(context, cache, tickets)
    return context, cache
