"""PACs to read: made by impacket, or by a domain controller; and impacket as a reader.

impacket has another reader of the same structures, written by other people.  It is
lenient: it takes counts as they come and checks nothing against anything.  It has no
types either.
"""

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["DOMAIN_SID", "RECORDED", "Group", "impackets", "logon_info"]

_pac: Any = import_module("impacket.krb5.pac")
_nrpc: Any = import_module("impacket.dcerpc.v5.nrpc")
_ndr: Any = import_module("impacket.dcerpc.v5.ndr")
# It logs what it cannot read, at length.
logging.getLogger("impacket").disabled = True

DOMAIN_SID: Final = "S-1-5-21-1-22-4294967295"

_FOLDER: Final = Path(__file__).parents[1] / "transport" / "pacs"
RECORDED: Final = {path.name: path.read_bytes() for path in _FOLDER.iterdir()}
"""What a Samba 4.17 domain controller said of users of `tests.support.samba`."""

_TIMES: Final = (
    "LogonTime",
    "LogoffTime",
    "KickOffTime",
    "PasswordLastSet",
    "PasswordCanChange",
    "PasswordMustChange",
    "LastSuccessfulILogon",
    "LastFailedILogon",
)
_TEXTS: Final = (
    "EffectiveName",
    "FullName",
    "LogonScript",
    "ProfilePath",
    "HomeDirectory",
    "HomeDirectoryDrive",
    "LogonServer",
    "LogonDomainName",
)
_NUMBERS: Final = (
    "LogonCount",
    "BadPasswordCount",
    "UserFlags",
    "UserAccountControl",
    "SubAuthStatus",
    "FailedILogonCount",
    "Reserved3",
)
_ENABLED: Final = 4


class Group(NamedTuple):
    """A group in a PAC.

    Attributes:
        sid: Its identifier; of one in the account's own domain, the last part.
        attributes: Mandatory, enabled by default, enabled.
    """

    sid: int | str
    attributes: int = 7


def logon_info(
    *,
    user: int = 1103,
    primary: int = 513,
    domain: str | None = DOMAIN_SID,
    groups: Sequence[Group] = (),
    extra: Sequence[Group] = (),
    resource_domain: str | None = None,
    resources: Sequence[Group] = (),
    texts: Sequence[str] = ("alice",),
) -> bytes:
    """Return a KERB_VALIDATION_INFO as impacket serializes it.

    Args:
        user: The account's relative identifier.
        primary: Its primary group's.
        domain: The SID of its domain.
        groups: In that domain.
        extra: With SIDs of their own.
        resource_domain: The SID of the domain of `resources`.
        resources: In that domain.
        texts: The names and folders, in their order; others are empty.
    """
    info = _pac.KERB_VALIDATION_INFO()
    for name in _TIMES:
        info[name]["dwLowDateTime"], info[name]["dwHighDateTime"] = 0xFFFFFFFF, 7
    for index, name in enumerate(_TEXTS):
        info[name] = texts[index] if index < len(texts) else ""
    for name in _NUMBERS:
        info[name] = 0
    info["UserSessionKey"], info["LMKey"] = bytes(16), bytes(8)
    info["UserId"], info["PrimaryGroupId"] = user, primary
    info["GroupCount"], info["SidCount"] = len(groups), len(extra)
    info["ResourceGroupCount"] = len(resources)
    for name, sid in (
        ("LogonDomainId", domain),
        ("ResourceGroupDomainSid", resource_domain),
    ):
        if sid is None:
            info[name] = _ndr.NULL
        else:
            info[name].fromCanonical(sid)
    for name, members in (("GroupIds", groups), ("ResourceGroupIds", resources)):
        if not members:
            info[name] = _ndr.NULL
        for group in members:
            member = _nrpc.GROUP_MEMBERSHIP()
            member["RelativeId"], member["Attributes"] = group
            info[name].append(member)
    if not extra:
        info["ExtraSids"] = _ndr.NULL
    for group in extra:
        record = _pac.KERB_SID_AND_ATTRIBUTES()
        record["Sid"].fromCanonical(group.sid)
        record["Attributes"] = group.attributes
        info["ExtraSids"].append(record)
    whole = _pac.VALIDATION_INFO()
    whole["Data"] = info
    made: bytes = whole.getData() + whole.getDataReferents()
    return made


def impackets(data: bytes) -> frozenset[str]:
    """Return the identifiers in a KERB_VALIDATION_INFO as impacket reads it.

    Raises:
        Exception: It cannot; impacket has no errors of its own for that.
    """
    whole = _pac.VALIDATION_INFO()
    whole.fromString(data)
    whole.fromStringReferents(data, len(whole.getData()))
    info = whole["Data"]
    found: set[str] = set()
    own = [rid for rid in (info["UserId"], info["PrimaryGroupId"]) if rid]
    own += _enabled(info["GroupIds"])
    resources = _enabled(info["ResourceGroupIds"])
    for name, rids in (("LogonDomainId", own), ("ResourceGroupDomainSid", resources)):
        if rids:
            domain = _text(info[name])
            found.update(f"{domain}-{rid}" for rid in rids)
    for record in info["ExtraSids"] or ():
        sid = _text(record["Sid"])
        if record["Attributes"] & _ENABLED:
            found.add(sid)
    return frozenset(found)


def _enabled(members: Any) -> list[int]:
    # A list that is not there is an empty text.
    return [
        member["RelativeId"]
        for member in members or ()
        if member["Attributes"] & _ENABLED
    ]


def _text(sid: Any) -> str:
    # impacket's own text form leaves out all but the last byte of the authority.
    first = int.from_bytes(sid["IdentifierAuthority"], "big")
    shown = str(first) if first < 1 << 32 else f"0x{first:012X}"
    return "-".join((f"S-{sid['Revision']}", shown, *map(str, sid["SubAuthority"])))
