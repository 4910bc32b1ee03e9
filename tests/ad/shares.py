"""A service whose handlers go on to a file server as their callers."""

import os
import subprocess

from signetrpc.rpc import (
    Impersonation,
    Protection,
    RpcError,
    StatusCode,
    method,
    service,
)

__all__ = ["Share"]


@service("ad.Share", protection=Protection.SEAL)
class Share:
    """Reads files of the domain's share, with whatever credential there is."""

    @method(impersonate=Impersonation.REQUIRED)
    def read(self, name: str) -> str:
        """Return a file's text."""
        done = subprocess.run(
            [
                "smbclient",
                "--use-kerberos=required",
                f"--use-krb5-ccache={os.environ['KRB5CCNAME']}",
                "--ip-address=127.0.0.10",
                "//dc1.corp.example.com/files",
                f"--command=get {name} -",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            status = StatusCode.PERMISSION_DENIED
            raise RpcError(status, (done.stdout + done.stderr)[-500:])
        return done.stdout
