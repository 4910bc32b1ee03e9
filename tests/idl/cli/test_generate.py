"""`signet idl generate`."""

import pytest

from signetrpc.idl._python import client_source
from signetrpc.idl.cli._interfaces import load_definition
from tests.idl.cli.conftest import Signet


def test_to_standard_output(signet: Signet) -> None:
    assert signet("idl", "generate", "bank:Accounts") == 0
    assert signet.output == client_source(load_definition("bank:Accounts").schema)


def test_to_a_file_and_check(signet: Signet) -> None:
    command = ("idl", "generate", "bank:Accounts", "-o", "client.py")
    assert signet(*command, "--check") == 1
    assert "client.py is not what bank:Accounts gives" in signet.errors
    assert signet(*command) == 0
    assert (signet.output, signet.errors) == ("", "")
    assert signet(*command, "--check") == 0
    path = signet.folder / "client.py"
    path.write_text(path.read_text() + "#")
    assert signet(*command, "--check") == 1
    assert "hint: signet idl generate bank:Accounts -o client.py" in signet.errors
    assert path.read_text().endswith("#")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--check"], 2, "--check needs a file\nhint: name it with -o"),
        (["-o", "no/client.py"], 1, "cannot write no/client.py: No such file or"),
        (["-o", ".", "--check"], 1, "cannot read .: "),
    ],
)
def test_wrong_files(signet: Signet, options: list[str], code: int, says: str) -> None:
    assert signet("idl", "generate", "bank:Accounts", *options) == code
    assert says in signet.errors


def test_names_that_cannot_be(signet: Signet) -> None:
    (signet.folder / "twins.py").write_text(
        "from dataclasses import dataclass\n"
        "from signetrpc.rpc import method, service\n"
        "@dataclass\n"
        "class XClient:\n"
        "    a: int\n"
        '@service("s.X")\n'
        "class X:\n"
        "    @method\n"
        "    def work(self) -> XClient: ...\n"
    )
    assert signet("idl", "generate", "twins:X") == 2
    assert "type XClient has the name of a generated class" in signet.errors
