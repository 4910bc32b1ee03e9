"""What the tests of this folder stand on: a command that says nothing has an end."""

import signal

from tests.idl.cli.conftest import Signet


def test_whoever_waits_for_a_silent_command_reads_its_end(signet: Signet) -> None:
    signet.patience = 0.1
    options = ("--listen", "127.0.0.1:0", "--ntlm-accounts", "accounts.txt")
    with signet.beside("serve", "bank:Accounts", *options) as process:
        process.communicate()
        assert process.returncode == -signal.SIGKILL
