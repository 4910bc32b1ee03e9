"""Who a domain controller says somebody is: the security identifiers in a PAC.

A domain controller puts a privilege attribute certificate into each Kerberos ticket and
signs it with the service's own key.  GSS-API's library checks the signature and gives
the part that names the groups, KERB_VALIDATION_INFO, as it stands: C structures and
arrays in NDR, with pointers, counts that stand apart from what they count, and every
count twice.  `sids_of` reads it, as a pure function, and refuses whatever is not
plainly right.

The groups serve authorisation.  They say nothing about this machine's own groups.

Sources: MS-PAC section 2.5, MS-RPCE section 2.2.6 (type serialization version 1), C706
chapter 14 (NDR), MS-DTYP sections 2.4.2.1 (text form) and 2.4.2.3 (RPC_SID).
"""

import logging
import re
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Final

from .errors import AuthenticationFailed, FailureReason

if TYPE_CHECKING:
    import gssapi.raw

__all__ = ["MAX_GROUPS", "MalformedPac", "authenticated_sids", "is_sid", "sids_of"]

_log: Final = logging.getLogger("signetrpc.transport")

MAX_GROUPS: Final = 1024
"""Groups in one of the three lists: all that Windows lets an access token hold.

A count is compared before anything it counts is read.  Lists of that length fit into
tokens, which have 64 KiB at most.
"""

_LOGON_INFO: Final = b"urn:mspac:logon-info"

_SID: Final = re.compile(
    r"S-1-(?:\d{1,10}|0x[0-9A-F]{12})(?:-\d{1,10}){1,15}", re.ASCII
)

_HEADER: Final = Struct("<BBHLLL")
_VERSION, _LITTLE_ENDIAN, _COMMON_HEADER = 1, 0x10, 8
_WORD: Final = Struct("<L")
# KERB_VALIDATION_INFO.  A text is its length and its room in bytes, and a pointer.
_INFO: Final = Struct(
    "<48x"  # six times
    "HHLHHLHHLHHLHHLHHL"  # names and folders
    "4xLLLL"  # UserId, PrimaryGroupId, GroupCount, GroupIds
    "20xHHLHHLL"  # LogonServer, LogonDomainName, LogonDomainId
    "40xLLLLL"  # SidCount, ExtraSids; ResourceGroupDomainSid, -Count, -Ids
)
_TEXT: Final = Struct("<LLL")  # room, start and length, in characters
_PAIR: Final = Struct("<LL")  # a relative identifier, or a pointer; and attributes
_SID_HEAD: Final = Struct(">BB6s")
_REVISION: Final = 1
_MAX_SUBAUTHORITIES: Final = 15

_ENABLED: Final = 4  # SE_GROUP_ENABLED: counts where access is decided


class MalformedPac(ValueError):
    """The bytes are no KERB_VALIDATION_INFO, or one over a limit."""


def is_sid(text: str) -> bool:
    """Return whether a text is a security identifier, `S-1-5-21-...`."""
    return _SID.fullmatch(text) is not None


def sids_of(logon_info: bytes) -> frozenset[str]:
    """Return the security identifiers of an account and its groups, as text.

    Groups that are not enabled are left out: where access is decided, they give none.

    Args:
        logon_info: A KERB_VALIDATION_INFO, serialized, from a PAC that was checked.

    Raises:
        MalformedPac: It is not one.
    """
    reader = _Reader(_object(logon_info))
    if not reader.word():
        raise MalformedPac("it points to nothing")
    fields = reader.take(_INFO)
    names, servers = fields[:18], fields[22:28]
    user, primary, group_count, groups = fields[18:22]
    domain, sid_count, sids, resource_domain, resource_count, resources = fields[28:]

    # What the pointers point to follows, in the order of the pointers.
    _skip_texts(reader, names)
    rids = _groups(reader, group_count, groups)
    _skip_texts(reader, servers)
    domain_sid = _sid(reader, room=1) if domain else None
    found = {*_extra_sids(reader, sid_count, sids)}
    resource_sid = _sid(reader, room=1) if resource_domain else None
    resource_rids = _groups(reader, resource_count, resources)

    # Zero is nobody's: the account is then of another domain, the first extra SID.
    own = [rid for rid in (user, primary) if rid]
    found.update(_in_domain(domain_sid, own + rids))
    found.update(_in_domain(resource_sid, resource_rids))
    return frozenset(found)


def authenticated_sids(name: "gssapi.raw.Name") -> frozenset[str]:
    """Return the identifiers in the PAC of an initiator's name; none without a PAC.

    A PAC that the library did not check could be anybody's words, and counts as none.

    Raises:
        AuthenticationFailed: A PAC was checked and cannot be read.  Nobody is let in
            with fewer groups than they are in: a rule may be there to keep a group out.
    """
    import gssapi.raw  # an extra, which the reader above does without

    # gssapi's stubs do not say what these are: bytes, or None.
    if _LOGON_INFO not in (gssapi.raw.inquire_name(name).attrs or ()):  # pyright: ignore
        return frozenset()
    found = gssapi.raw.get_name_attribute(name, _LOGON_INFO)
    if not (found.authenticated and found.complete):
        _log.debug("a PAC that nobody vouched for is not looked at")
        return frozenset()
    try:
        (logon_info,) = found.values
        return sids_of(logon_info)
    except ValueError as error:
        raise AuthenticationFailed(
            f"the groups in the client's ticket (PAC) cannot be read: {error}",
            reason=FailureReason.MALFORMED,
        ) from error


class _Reader:
    """NDR's parts in their order; reading past the end is refused.

    Every part here is aligned to four bytes, counted from the start.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, form: Struct) -> tuple[int, ...]:
        """Return what `form` makes of the next bytes."""
        start = self._advance(form.size)
        return form.unpack_from(self._data, start)

    def word(self) -> int:
        """Return the next 32 bits: a number, or a pointer, which is zero or not."""
        return self.take(_WORD)[0]

    def raw(self, length: int) -> bytes:
        """Return the next bytes."""
        start = self._advance(length)
        return self._data[start : start + length]

    def _advance(self, length: int) -> int:
        start = (self._position + 3) & ~3
        if length > len(self._data) - start:
            raise MalformedPac(
                f"{length} bytes at {start} of {len(self._data)} are not all there"
            )
        self._position = start + length
        return start


def _object(data: bytes) -> bytes:
    """Return what the two headers of a serialized type enclose."""
    try:
        version, order, length, _, size, _ = _HEADER.unpack_from(data)
    except StructError:
        raise MalformedPac(f"{len(data)} bytes are too short") from None
    if (version, order, length) != (_VERSION, _LITTLE_ENDIAN, _COMMON_HEADER):
        raise MalformedPac(f"version {version}, byte order {order}, header {length}")
    if size > len(data) - _HEADER.size:
        raise MalformedPac(f"{size} bytes announced, {len(data) - _HEADER.size} there")
    return data[_HEADER.size : _HEADER.size + size]


def _skip_texts(reader: _Reader, fields: tuple[int, ...]) -> None:
    for index in range(0, len(fields), 3):
        length, room, pointer = fields[index : index + 3]
        if pointer:
            # What is counted in the fields is counted again before the text.
            if reader.take(_TEXT) != (room // 2, 0, length // 2) or length > room:
                raise MalformedPac(f"a text of {length} bytes has another length too")
            reader.raw(length // 2 * 2)
        elif length:
            raise MalformedPac(f"a text of {length} bytes is not there")


def _count(reader: _Reader, count: int, pointer: int) -> int:
    """Return how many things follow in an array."""
    if count > MAX_GROUPS:
        raise MalformedPac(f"{count} groups in one list, limit {MAX_GROUPS}")
    announced = reader.word() if pointer else 0
    if announced != count:
        raise MalformedPac(f"a list of {count} groups, announced {announced}")
    return count


def _groups(reader: _Reader, count: int, pointer: int) -> list[int]:
    """Return the relative identifiers of an array of GROUP_MEMBERSHIP."""
    pairs = _pairs(reader, _count(reader, count, pointer))
    return [rid for rid, attributes in pairs if attributes & _ENABLED]


def _extra_sids(reader: _Reader, count: int, pointer: int) -> list[str]:
    """Return the SIDs of an array of KERB_SID_AND_ATTRIBUTES."""
    pairs = _pairs(reader, _count(reader, count, pointer))
    sids: list[str] = []
    for to_sid, attributes in pairs:
        if not to_sid:
            raise MalformedPac("a group is not there")
        sid = _sid(reader)
        if attributes & _ENABLED:
            sids.append(sid)
    return sids


def _pairs(reader: _Reader, count: int) -> list[tuple[int, int]]:
    return [*_PAIR.iter_unpack(reader.raw(_PAIR.size * count))]


def _sid(reader: _Reader, *, room: int = 0) -> str:
    """Return a SID as text.

    Args:
        reader: Where it is.
        room: How many sub-authorities are to be added to it.
    """
    announced = reader.word()
    revision, count, authority = _SID_HEAD.unpack(reader.raw(_SID_HEAD.size))
    if revision != _REVISION:
        raise MalformedPac(f"a SID of revision {revision}")
    if count != announced or not 0 < count <= _MAX_SUBAUTHORITIES - room:
        raise MalformedPac(f"a SID of {count} sub-authorities, announced {announced}")
    first = int.from_bytes(authority, "big")
    shown = f"{first}" if first < 1 << 32 else f"0x{first:012X}"
    rest = Struct(f"<{count}L").unpack(reader.raw(4 * count))
    return "-".join(("S-1", shown, *map(str, rest)))


def _in_domain(domain: str | None, rids: list[int]) -> list[str]:
    if rids and domain is None:
        raise MalformedPac("groups of a domain that is not named")
    return [f"{domain}-{rid}" for rid in rids]
