"""What to say to somebody who misses a delegated credential."""

from ._identity import Identity, ImpersonationLevel, Mechanism

__all__ = ["why_not_delegated"]


def why_not_delegated(identity: Identity) -> str:
    """Say why a caller has delegated no credential, and how it could.

    Args:
        identity: A caller whose `delegated` is None.
    """
    who = identity.principal
    if identity.anonymous:
        return "nobody has authenticated, so there is nobody's credential to delegate"
    if identity.mechanism is not Mechanism.KERBEROS:
        return (
            f"{who} has delegated no credential: {_PROOFS[identity.mechanism]} cannot "
            "be delegated; authenticate with Kerberos"
        )
    if identity.impersonation is not ImpersonationLevel.DELEGATE:
        return (
            f"{who} has delegated no credential: the client allows "
            f"{identity.impersonation.name}; connect with "
            "impersonation=ImpersonationLevel.DELEGATE"
        )
    return (
        f"{who} has delegated no credential, though the client allows it: its ticket "
        "is not forwardable. Get one with kinit -f (or forwardable = true in "
        "krb5.conf); the account must not be marked sensitive or as not to be "
        "delegated. Where the service has delegate_to, the KDC must know it too"
    )


_PROOFS = {
    Mechanism.NTLM: "an NTLM logon",
    Mechanism.TLS: "a TLS certificate",
}
