"""What `signet call` says of a call that failed."""

from collections.abc import Generator
from datetime import timedelta
from decimal import Decimal

import pytest

from signetrpc.idl.cli._failures import told
from signetrpc.rpc import DeclaredError, RpcError, StatusCode, declared_error
from signetrpc.rpc._details import Detail
from signetrpc.rpc.details import ErrorInfo, RetryInfo, UnknownDetail
from tests.idl.cli.conftest import Signet

SHOP = '''
from signetrpc.rpc import DeclaredError, declared_error, method, service


@declared_error("shop.OutOfStock")
class OutOfStock(DeclaredError):
    """There are not so many."""

    left: int


@service("shop.Shop")
class Shop:
    @method(errors=[OutOfStock])
    async def buy(self, item: str) -> None:
        raise OutOfStock(left=2)
'''


@pytest.fixture
def address(signet: Signet) -> Generator[str]:
    """Return the address of a server of `shop.py`."""
    (signet.folder / "shop.py").write_text(SHOP)
    options = ("--listen", "127.0.0.1:0", "--ntlm-accounts", "accounts.txt")
    with signet.beside("serve", "shop:Shop", *options) as process:
        assert process.stderr is not None
        yield process.stderr.readline().split()[-1]


def test_a_declared_error_has_its_fields(signet: Signet, address: str) -> None:
    assert signet(
        *("call", address, "shop.Shop/buy", "item=cup", "--interface", "shop:Shop"),
        *("--user", r"CORP\alice", "--password-file", "password.txt"),
    ) == 64 + int(StatusCode.FAILED_PRECONDITION)
    assert signet.errors == (
        'FAILED_PRECONDITION: There are not so many\nshop.OutOfStock {"left":2}\n'
    )


@declared_error("bank.Short", status=StatusCode.ABORTED)
class Short(DeclaredError):
    """There is not enough."""

    missing: Decimal


def test_nothing_beside() -> None:
    assert told(RpcError(StatusCode.NOT_FOUND, "no account")) == "NOT_FOUND: no account"
    assert told(RpcError(StatusCode.ABORTED)) == str(RpcError(StatusCode.ABORTED))


def test_details_are_told_by_name() -> None:
    error = RpcError(
        StatusCode.UNAVAILABLE,
        "later",
        details=[
            RetryInfo(retry_delay=timedelta(seconds=3)),
            ErrorInfo(reason="BUSY", domain="acme", metadata={"a": "b"}),
            UnknownDetail("acme.Thing", b"\x07\x08"),
        ],
    )
    assert told(error).split("\n") == [
        "UNAVAILABLE: later",
        'signet.RetryInfo {"retry_delay":"PT3S"}',
        'signet.ErrorInfo {"reason":"BUSY","domain":"acme","metadata":{"a":"b"}}',
        "acme.Thing of 2 bytes",
    ]
    assert told(Short(missing=Decimal("1.50"))).split("\n") == [
        "ABORTED: There is not enough",
        'bank.Short {"missing":"1.50"}',
    ]


def test_a_servers_words_command_no_terminal() -> None:
    details: list[Detail] = [
        ErrorInfo(reason="\x1b]0;gone\x07", metadata={}),
        UnknownDetail("\x1b[2J"),
    ]
    text = told(RpcError(StatusCode.ABORTED, "\x9b2J", details=details))
    assert "\x1b" not in text and "\x9b" not in text and "\x07" not in text
    assert text.count("\n") == 2
