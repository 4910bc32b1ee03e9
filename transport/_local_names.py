"""Which local user a Kerberos principal is, as this machine's krb5.conf says.

libkrb5 is called by way of ctypes: neither gssapi nor krb5 for Python reaches
`krb5_aname_to_localname`.

Source: MIT's krb5.h; krb5.conf(5), `auth_to_local` and `auth_to_local_names`.
"""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_void_p
from functools import cache
from typing import Final

__all__ = ["LocalNameError", "local_name"]

_LIBRARY: Final = "libkrb5.so.3"
_REQUIRE_REALM: Final = 0x2  # or else it would be the default realm
_CONFIG_NOTENUFSPACE: Final = -1765328247
_LNAME_NOTRANS: Final = -1765328208
_MAX_BYTES: Final = 256
"""What login(1) and utmp take at most (LOGIN_NAME_MAX), NUL included."""


class LocalNameError(Exception):
    """libkrb5 cannot say: it or its configuration is missing or broken."""


def local_name(principal: str) -> str | None:
    """Return the local user of a principal.  Thread-safe; reads files.

    The rules are those of the file that `KRB5_CONFIG` names, else of /etc/krb5.conf,
    read anew each time.  Without any, `alice@REALM` is `alice` where REALM is the
    default realm, and nobody else is anybody.

    Args:
        principal: As Kerberos writes it, escapes and realm included.

    Returns:
        The name, which need not be one of an existing user; None if no rule matches,
        the name is longer than a login name can be, or the principal has characters
        that Kerberos quotes by a backslash.

    Raises:
        LocalNameError: libkrb5 or its configuration is missing or broken, or
            `principal` is none.

    Source: krb5_aname_to_localname of MIT Kerberos.
    """
    # Rules see the parts unquoted and joined by "@" and "/", as in "$1@$0", and mostly
    # cut at the first: they would take `alice\@x@R` for `alice@R`.  And libkrb5 ends a
    # local name at a NUL, which is quoted too.
    if "\\" in principal or "\0" in principal:
        return None
    library = _library()
    context, parsed = c_void_p(), c_void_p()
    code: int = library.krb5_init_context(byref(context))
    if code:
        raise LocalNameError(f"libkrb5 does not start: {_text(library, None, code)}")
    try:
        text = principal.encode(errors="surrogateescape")
        code = library.krb5_parse_name_flags(
            context, text, _REQUIRE_REALM, byref(parsed)
        )
        if code:
            raise LocalNameError(
                f"{principal!r} is no principal: {_text(library, context, code)}"
            )
        name = ctypes.create_string_buffer(_MAX_BYTES)
        code = library.krb5_aname_to_localname(context, parsed, _MAX_BYTES, name)
        if code in (_LNAME_NOTRANS, _CONFIG_NOTENUFSPACE):
            return None
        if code:
            raise LocalNameError(
                f"{principal!r} has no local name: {_text(library, context, code)}"
            )
        return name.value.decode(errors="surrogateescape") or None
    finally:
        library.krb5_free_principal(context, parsed)
        library.krb5_free_context(context)


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise LocalNameError(
            f"{_LIBRARY} is needed for auth_to_local (Debian: libkrb5-3): {error}"
        ) from error
    out = POINTER(c_void_p)
    for name, result, arguments in (
        ("krb5_init_context", c_int32, [out]),
        ("krb5_free_context", None, [c_void_p]),
        ("krb5_parse_name_flags", c_int32, [c_void_p, c_char_p, c_int, out]),
        ("krb5_free_principal", None, [c_void_p, c_void_p]),
        ("krb5_aname_to_localname", c_int32, [c_void_p, c_void_p, c_int, c_char_p]),
        ("krb5_get_error_message", c_void_p, [c_void_p, c_int32]),
        ("krb5_free_error_message", None, [c_void_p, c_void_p]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _text(library: ctypes.CDLL, context: c_void_p | None, code: int) -> str:
    """Return libkrb5's text for an error."""
    message = library.krb5_get_error_message(context, code)
    try:
        return ctypes.string_at(message).decode(errors="replace")
    finally:
        library.krb5_free_error_message(context, message)
