"""`module:Class`, found and not found."""

import pytest

from signetrpc.idl.cli._interfaces import load_class, load_definition
from tests.idl.cli.conftest import Signet


def test_found(signet: Signet) -> None:
    assert load_class("bank:Accounts").__name__ == "Accounts"
    assert load_definition("bank:Accounts").name == "bank.Accounts"


def test_found_within(signet: Signet) -> None:
    (signet.folder / "pack").mkdir()
    (signet.folder / "pack" / "inner.py").write_text("class A:\n    class B: pass\n")
    assert load_class("pack.inner:A.B").__qualname__ == "A.B"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("bank", "'bank' names no class\nhint: write module:Class"),
        (":Accounts", "':Accounts' names no class"),
        ("bank:", "'bank:' names no class"),
        ("bank:Nothing", "module bank has no class Nothing\nhint: it has Accounts\n"),
        ("bank:Accounts.balance", "module bank has no class Accounts.balance"),
        ("bank:NoService", "NoService is not a service\nhint: decorate it with"),
        ("bonk:Accounts", "there is no module bonk\nhint: signet looks in "),
        ("bonk.bunk:Accounts", "there is no module bonk\n"),
        ("needy:X", "module needy needs a module nowhere_to_be_found"),
        ("broken:X", "module broken cannot be imported: ZeroDivisionError: division"),
        ("refused:X", 's.work: parameter "a": type object cannot travel\nhint: write'),
        ("empty:X", "error: module empty has no class X\n"),
    ],
)
def test_not_found(
    signet: Signet, capsys: pytest.CaptureFixture[str], target: str, says: str
) -> None:
    (signet.folder / "needy.py").write_text("import nowhere_to_be_found\n")
    (signet.folder / "broken.py").write_text("1 / 0\n")
    (signet.folder / "empty.py").write_text("")
    (signet.folder / "refused.py").write_text(
        "from signetrpc.rpc import method, service\n"
        '@service("s")\n'
        "class X:\n"
        "    @method\n"
        "    def work(self, a: object) -> None: ...\n"
    )
    assert signet("idl", "generate", target) == 2
    assert says in signet.errors
