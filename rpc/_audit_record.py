"""What the audit tells of a call, and as which line."""

import json
import re
from dataclasses import dataclass
from typing import Final

from signetrpc.transport import Mechanism, Protection

from ._status import StatusCode

__all__ = ["MAX_CHARACTERS", "AuditRecord"]

MAX_CHARACTERS: Final = 1024
"""Of a principal or a reason.  They may be a peer's words, and thousands may wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """A call that has ended.  Nothing of its arguments, metadata or result.

    Attributes:
        time: When it ended, in seconds since the epoch.
        session_id: The session it came in; empty if it came unprotected.
        principal: Who called, as `Identity.principal`; at most 1,024 characters.
        mechanism: What proved that.
        protection: The level of the call.
        channel_bound: True if the proof is bound to the TLS channel below.
        impersonated_as: The local user that the handler ran as, if it did.
        delegated: True if the caller's own credential was there to be used.
        method: The full name, as the caller asked for it; maybe there is none such.
        status: How the call ended.
        seconds: From its arrival to its end.
        reason: Why it was refused, as the caller is not told; else empty.
    """

    time: float
    session_id: str
    principal: str
    mechanism: Mechanism
    protection: Protection
    channel_bound: bool
    impersonated_as: str | None
    delegated: bool
    method: str
    status: StatusCode
    seconds: float
    reason: str = ""

    def __str__(self) -> str:
        """One line of `key=value`; nothing that a peer chose can look like another."""
        pairs = [
            ("principal", _quoted(self.principal)),
            ("mechanism", self.mechanism.value),
            ("method", _quoted(self.method)),
            ("status", self.status.name),
            ("seconds", f"{self.seconds:.6f}"),
            ("protection", self.protection.name),
            ("channel_bound", "yes" if self.channel_bound else "no"),
            ("delegated", "yes" if self.delegated else "no"),
        ]
        if self.impersonated_as is not None:
            pairs.append(("impersonated_as", _quoted(self.impersonated_as)))
        if self.session_id:
            pairs.append(("session", _quoted(self.session_id)))
        if self.reason:
            pairs.append(("reason", _quoted(self.reason)))
        return " ".join(f"{key}={value}" for key, value in pairs)


_PLAIN: Final = re.compile(r"[A-Za-z0-9_./@:+$-]+", re.ASCII)


def _quoted(text: str) -> str:
    """Return a text as it is, or as JSON's ASCII if that could mean something else."""
    if _PLAIN.fullmatch(text):
        return text
    return json.dumps(text).replace("\x7f", r"\u007f")
