"""Which user of this machine a caller is, and whom nobody may ever be.

Linux only.  Source: getpwnam(3), getgrouplist(3); Debian Policy 9.2.2 for the ids that
stand for nobody.
"""

import grp
import logging
import os
import pwd
from collections.abc import Iterator, Sequence
from typing import Final

from signetrpc.transport import Identity, ImpersonationLevel, LocalUser

from ._mapping import NameMapping, first_match

__all__ = ["LocalUsers", "NotImpersonated"]

_log: Final = logging.getLogger("signetrpc.rpc")

_NOBODY: Final = frozenset({65534, 65535, 2**32 - 2, 2**32 - 1, -1, -2})
"""nobody and nogroup, what the kernel shows for an id that it cannot show, and -1 and
-2 in 16 and in 32 bits: setresuid(2) takes -1 for "leave it"."""


class NotImpersonated(Exception):
    """A caller is no user that a handler may run as; the text says which rule failed.

    The text is for the log alone: it tells what users the machine has.
    """


class LocalUsers:
    """Finds the local user of a caller."""

    def __init__(
        self,
        mapping: NameMapping | Sequence[NameMapping],
        *,
        lowest_uid: int = 1000,
        lowest_gid: int = 100,
    ) -> None:
        """Take the rules.

        Args:
            mapping: One rule or several, of which the first that knows a caller
                decides.
            lowest_uid: Users below are refused; user 0 always is.
            lowest_gid: Users in a group below are refused; in group 0 always.
        """
        self._mapping: Final = mapping
        self._lowest_uid: Final = lowest_uid
        self._lowest_gid: Final = lowest_gid

    def find(self, caller: Identity) -> LocalUser:
        """Return who a caller is now.

        Blocks for as long as the mapping and the machine's name service take; nothing
        is kept for the next time.  An account that is locked or has expired is a user
        like any other: who may log in is for the KDC or the domain to say.

        Raises:
            NotImpersonated: The caller is nobody here, or nobody to run as.
        """
        if caller.anonymous:
            raise NotImpersonated("the caller is anonymous")
        if caller.impersonation is ImpersonationLevel.IDENTIFY:
            raise NotImpersonated("the client allows to be identified only (IDENTIFY)")
        user = _look_up(self._name(caller))
        self._check_user(user)
        for gid in user.groups:
            self._check_group(user, gid)
        return user

    def _name(self, caller: Identity) -> str:
        try:
            name = first_match(self._mapping, caller)
        except Exception as error:
            _log.exception("mapping %s to a local user", caller)
            raise NotImpersonated(
                f"the mapping failed: {type(error).__name__}"
            ) from error
        if name is None:
            raise NotImpersonated("no mapping knows the caller")
        return name

    def _check_user(self, user: LocalUser) -> None:
        if user.uid == 0:
            raise NotImpersonated(f"user {user.name!r} is root")
        if user.uid in _NOBODY:
            raise NotImpersonated(
                f"user {user.name!r} has the id {user.uid}, which stands for nobody"
            )
        if user.uid < self._lowest_uid:
            raise NotImpersonated(
                f"user {user.name!r} has the id {user.uid}, lowest allowed "
                f"{self._lowest_uid}"
            )
        # It could send signals to the server and, where tracing is allowed, read it.
        if user.uid in os.getresuid():
            raise NotImpersonated(f"user {user.name!r} is who the server runs as")

    def _check_group(self, user: LocalUser, gid: int) -> None:
        kind = "primary group" if gid == user.gid else "group"
        if gid == 0:
            raise NotImpersonated(f"user {user.name!r} has the {kind} 0")
        if gid in _NOBODY:
            raise NotImpersonated(
                f"user {user.name!r} has the {kind} {gid}, which stands for nobody"
            )
        if gid < self._lowest_gid:
            raise NotImpersonated(
                f"user {user.name!r} has the {kind} {gid}, lowest allowed "
                f"{self._lowest_gid}"
            )


def _look_up(name: str) -> LocalUser:
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, TypeError, ValueError):  # no such user; or no name at all
        raise NotImpersonated(f"there is no user {name!r}") from None
    # By the name service's own spelling, as initgroups(3) of a login would.
    groups = tuple(
        sorted({entry.pw_gid, *os.getgrouplist(entry.pw_name, entry.pw_gid)})
    )
    return LocalUser(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=groups,
        group_names=tuple(sorted(_group_names(groups))),
        home=entry.pw_dir,
        shell=entry.pw_shell,
    )


def _group_names(groups: Sequence[int]) -> Iterator[str]:
    for gid in groups:
        try:
            yield grp.getgrgid(gid).gr_name
        except KeyError:
            continue  # a number alone, as any id may be
