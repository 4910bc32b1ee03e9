"""Asking winbindd: what can be said without one; `tests/ad` has a real one."""

import pytest

from signetrpc.transport._negotiate_winbind_client import WinbindClient
from signetrpc.transport.errors import AuthenticationFailed, FailureReason


def test_a_missing_library_is_named() -> None:
    with pytest.raises(AuthenticationFailed, match="libno-such.so.0") as caught:
        WinbindClient("libno-such.so.0")
    assert caught.value.reason is FailureReason.NO_CREDENTIALS
