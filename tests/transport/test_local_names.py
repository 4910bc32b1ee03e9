"""auth_to_local: what libkrb5 makes of principals."""

import ctypes
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signetrpc.transport import _local_names
from signetrpc.transport._local_names import (
    LocalNameError,
    _library,  # pyright: ignore[reportPrivateUsage]
    local_name,
)
from tests.support.parts import Part, require

_CONFIG = """\
[libdefaults]
    default_realm = EXAMPLE.COM
[realms]
    EXAMPLE.COM = {
        auth_to_local_names = {
            zed = zeddy
            admin/backup = backup
        }
        auth_to_local = RULE:[2:$2@$0](.*/host@.*)s/@.*//
        auth_to_local = RULE:[1:$1@$0](.*@EXAMPLE[.]ORG)s/@.*/-org/
        auth_to_local = DEFAULT
    }
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a krb5.conf with rules of each kind."""
    require(Part.GSSAPI)  # which stands on libkrb5
    path = tmp_path / "krb5.conf"
    path.write_text(_CONFIG)
    monkeypatch.setenv("KRB5_CONFIG", str(path))
    return path


@pytest.mark.parametrize(
    ("principal", "local"),
    [
        ("alice@EXAMPLE.COM", "alice"),
        ("zed@EXAMPLE.COM", "zeddy"),
        ("admin/backup@EXAMPLE.COM", "backup"),
        ("alice@EXAMPLE.ORG", "alice-org"),
        ("alice@EXAMPLE.NET", None),
        ("alice@example.com", None),
        ("alice/admin@EXAMPLE.COM", None),
        ("@EXAMPLE.COM", None),
        ("é@EXAMPLE.COM", "é"),
    ],
)
def test_rules_of_each_kind(principal: str, local: str | None) -> None:
    assert local_name(principal) == local


@pytest.mark.parametrize(
    "principal",
    [
        r"alice\@x@EXAMPLE.ORG",  # the rule would cut at the first @
        r"alice@EXAMPLE.COM\@EXAMPLE.ORG",
        r"alice\/host@EXAMPLE.COM",
        r"alice\/x/host@EXAMPLE.COM",
        r"a\\b@EXAMPLE.COM",
        r"alice\nx@EXAMPLE.COM",
        r"alice\0x@EXAMPLE.COM",  # libkrb5 would end the local name at the NUL
        r"alice\0@EXAMPLE.COM",
        r"\0@EXAMPLE.COM",
        r"alice@EXAMPLE.COM\0x",
        "alice\0x@EXAMPLE.COM",
    ],
)
def test_no_rule_is_asked_about_quoted_characters(principal: str) -> None:
    assert local_name(principal) is None


def test_names_have_a_length_limit() -> None:
    assert local_name("a" * 255 + "@EXAMPLE.COM") == "a" * 255
    assert local_name("a" * 256 + "@EXAMPLE.COM") is None
    assert local_name("a" * 100_000 + "@EXAMPLE.COM") is None


def test_a_changed_configuration_counts_at_once(config: Path) -> None:
    assert local_name("zed@EXAMPLE.COM") == "zeddy"
    config.write_text(_CONFIG.replace("zeddy", "zorro"))
    assert local_name("zed@EXAMPLE.COM") == "zorro"


@pytest.mark.parametrize("principal", ["alice", "", "a@b@c", "a b"])
def test_what_is_no_principal_is_an_error(principal: str) -> None:
    # Without a realm above all, which libkrb5 would take the default one for.
    with pytest.raises(LocalNameError, match="is no principal"):
        local_name(principal)


def test_a_broken_rule_is_an_error(config: Path) -> None:
    config.write_text(_CONFIG.replace("RULE:[2:", "RULE:[2"))
    with pytest.raises(LocalNameError, match="has no local name: "):
        local_name("alice@EXAMPLE.COM")


def test_a_broken_configuration_is_an_error(config: Path) -> None:
    config.write_text("[realms\n")
    with pytest.raises(LocalNameError, match="libkrb5 does not start: .*onfiguration"):
        local_name("alice@EXAMPLE.COM")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_local_names, "_LIBRARY", "libkrb5.so.no")
    _library.cache_clear()
    try:
        with pytest.raises(LocalNameError, match=r"^libkrb5\.so\.no is needed"):
            local_name("alice@EXAMPLE.COM")
    finally:
        _library.cache_clear()


class _Counting:
    """libkrb5, and how often which of its functions were called."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.calls = Counter[str]()
        self._library = library

    def __getattr__(self, name: str) -> object:
        self.calls[name.removeprefix("krb5_")] += 1
        return getattr(self._library, name)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Counting]:
    """Count the calls."""
    library = _Counting(_library())
    monkeypatch.setattr(_local_names, "_library", lambda: library)
    yield library


@pytest.mark.parametrize("name", ["alice@EXAMPLE.COM", "alice@EXAMPLE.NET", "alice"])
def test_all_is_given_back(counting: _Counting, name: str) -> None:
    try:
        local_name(name)
    except LocalNameError:
        assert counting.calls["get_error_message"] == 1
    calls = counting.calls
    assert calls["init_context"] == calls["free_context"] == 1
    assert calls["parse_name_flags"] == calls["free_principal"] == 1
    assert calls["get_error_message"] == calls["free_error_message"]


def test_threads_do_not_mix() -> None:
    def names(thread: int) -> list[str | None]:
        return [local_name(f"user{thread}x{n}@EXAMPLE.COM") for n in range(100)]

    with ThreadPoolExecutor(8) as pool:
        for thread, found in enumerate(pool.map(names, range(8))):
            assert found == [f"user{thread}x{n}" for n in range(100)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=20), st.sampled_from("\0@/\\\n\t\b"), st.text(max_size=5))
def test_no_name_is_ever_cut_to_another(head: str, mark: str, tail: str) -> None:
    # As Kerberos shows a name that holds these characters.
    shown = {"\0": r"\0", "\n": r"\n", "\t": r"\t", "\b": r"\b"}
    shown |= {each: "\\" + each for each in "/@\\"}
    quoted = "".join(shown.get(each, each) for each in head + mark + tail)
    assert local_name(f"{quoted}@EXAMPLE.COM") is None
