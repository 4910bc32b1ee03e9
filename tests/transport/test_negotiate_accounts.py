"""The NTLM accounts of a server."""

import os
import threading
from pathlib import Path

import pytest

from signetrpc.transport._credentials import AccountFile
from signetrpc.transport._negotiate_accounts import Accounts, nt_hash
from signetrpc.transport.errors import AuthenticationFailed, FailureReason
from tests.support.negotiation import account_file

# MS-NLMP section 4.2.2.1.2: NTOWFv1("Password").
_HASH = bytes.fromhex("a4f49c406510bdcab6824ee7c30fd852")


def _smbpasswd(name: str, *, nt: str = _HASH.hex(), flags: str = "U          ") -> str:
    return f"{name}:1000:{'X' * 32}:{nt}:[{flags}]:LCT-1589398321"


def _accounts(folder: Path, text: str) -> Accounts:
    return Accounts([account_file(folder, text)])


def test_hashes_a_password_as_ms_nlmp_does() -> None:
    assert nt_hash("Password") == _HASH


def test_a_password_that_looks_like_two_hashes_is_a_password() -> None:
    text = f"{_HASH.hex()}:{_HASH.hex()}"
    assert nt_hash(text) != _HASH


def test_finds_accounts_without_regard_to_case(tmp_path: Path) -> None:
    accounts = _accounts(tmp_path, "Corp:Alice:Password\n:bob:other\n")
    found = accounts.find("CORP", "ALICE")
    assert (found.domain, found.user, found.known) == ("Corp", "Alice", True)
    assert found.nt_hash == _HASH
    assert accounts.find("", "Bob").known
    assert not accounts.find("", "alice").known
    assert not accounts.find("OTHER", "alice").known


def test_nobody_has_a_hash_that_no_password_gives(tmp_path: Path) -> None:
    accounts = _accounts(tmp_path, "CORP:alice:Password\n")
    stranger, empty = accounts.find("CORP", "mallory"), accounts.find("", "")
    assert not stranger.known and not empty.known
    assert len(stranger.nt_hash) == 16
    # It does not say which process or listener it comes from.
    assert stranger.nt_hash != _accounts(tmp_path, "").find("CORP", "mallory").nt_hash


def test_reads_blank_lines_comments_and_windows_line_ends(tmp_path: Path) -> None:
    text = "\ufeff# people: who:may:call\r\n\r\nCORP:alice:Password\r\n   \n"
    assert _accounts(tmp_path, text).find("CORP", "alice").nt_hash == _HASH


def test_reads_smbpasswd_and_leaves_out_disabled_accounts(tmp_path: Path) -> None:
    text = "\n".join(
        [
            _smbpasswd(r"CORP\alice"),
            _smbpasswd("bob@corp.example"),
            _smbpasswd("carol", flags="DU         "),
        ]
    )
    accounts = _accounts(tmp_path, text)
    assert accounts.find("CORP", "alice").nt_hash == _HASH
    assert accounts.find("", "bob@corp.example").known
    assert not accounts.find("", "carol").known


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("CORP:alice:pass:w0rd-X", "4 fields"),
        ("alice:w0rd-X", "2 fields"),
        ("w0rd-X", "1 fields"),
        ("CORP::w0rd-X", "user name is empty"),
        ("CORP:alice:", "password is empty"),
        ("corp:BOB:w0rd-X", "already there"),
        (_smbpasswd("dave", nt="w0rd-X" * 4), "NT hash"),
        (_smbpasswd("dave", nt="ab" * 15), "NT hash"),
        (
            _smbpasswd("dave", nt="31D6CFE0D16AE931B73C59D7E0C089C0"),
            "password is empty",
        ),
    ],
)
def test_an_error_names_file_and_line_and_no_secret(
    tmp_path: Path, line: str, complaint: str
) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        _accounts(tmp_path, f"# one\nCORP:bob:first\n{line}\n")
    text = str(caught.value)
    assert "accounts.txt', line 3: " in text
    assert complaint in text
    assert "w0rd-X" not in text
    assert caught.value.reason is FailureReason.NO_CREDENTIALS


def test_text_that_is_not_utf_8_is_an_error_without_the_text(tmp_path: Path) -> None:
    path = tmp_path / "accounts.txt"
    path.write_bytes(b"CORP:bob:first\nCORP:alice:\xe4-w0rd-X\n")
    with pytest.raises(AuthenticationFailed, match="line 2: it is not UTF-8") as caught:
        Accounts([AccountFile(path)])
    assert caught.value.__context__ is None  # UnicodeDecodeError has the whole file


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationFailed, match=r"none\.txt.*No such file"):
        Accounts([AccountFile(tmp_path / "none.txt")])
    with pytest.raises(AuthenticationFailed, match="cannot be read: Is a directory"):
        Accounts([AccountFile(tmp_path)])


def test_a_change_counts_at_the_next_logon(tmp_path: Path) -> None:
    accounts = _accounts(tmp_path, "CORP:alice:Password\n")
    account_file(tmp_path, "CORP:bob:Password\n")
    assert accounts.find("CORP", "bob").known
    assert not accounts.find("CORP", "alice").known


def test_while_a_changed_file_has_an_error_nobody_is_found(tmp_path: Path) -> None:
    accounts = _accounts(tmp_path, "CORP:alice:Password\n")
    account_file(tmp_path, "CORP:alice:Pass:word\n")
    for _ in range(2):  # the error is not forgotten after the first look
        with pytest.raises(AuthenticationFailed, match="line 1"):
            accounts.find("CORP", "alice")
    account_file(tmp_path, "CORP:alice:Password\n")
    assert accounts.find("CORP", "alice").known


def test_several_files_are_one_list(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    files = [account_file(first, "A:alice:one\n"), account_file(second, "B:bob:two\n")]
    accounts = Accounts(files)
    assert accounts.find("A", "alice").known and accounts.find("B", "bob").known
    account_file(second, "A:ALICE:three\n")
    with pytest.raises(AuthenticationFailed, match="second.*line 1.*already"):
        accounts.find("A", "alice")


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_warns_of_a_file_that_others_can_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warnings: int
) -> None:
    file = account_file(tmp_path)
    os.chmod(file.path, mode)
    Accounts([file])
    assert [record.levelname for record in caplog.records] == ["WARNING"] * warnings


def test_threads_see_whole_lists(tmp_path: Path) -> None:
    accounts = _accounts(tmp_path, "A:one:x\nA:two:x\n")
    done = threading.Event()
    torn: list[str] = []

    def look() -> None:
        while not done.is_set():
            found = accounts.find("A", "one")
            if not found.known:
                torn.append("A\\one vanished")

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(30):
        replacement = tmp_path / "new"
        replacement.write_text(f"A:one:x{number}\nA:two:x\n")
        replacement.chmod(0o600)
        replacement.replace(tmp_path / "accounts.txt")
    done.set()
    for thread in threads:
        thread.join()
    assert not torn
