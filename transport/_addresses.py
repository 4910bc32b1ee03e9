"""Where a service is: `host:port`, `tcp://host:port`, `unix:///path`."""

import ipaddress
from dataclasses import dataclass

__all__ = ["Address", "TcpAddress", "UnixAddress", "parse_address"]


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP endpoint.

    Attributes:
        host: A name or an IP address, as typed.
        port: 0 to 65535; 0 lets the system choose (listeners only).
    """

    host: str
    port: int

    @property
    def tls_name(self) -> str:
        """The name or IP address that a certificate must have: as typed."""
        return self.host

    @property
    def service_host(self) -> str:
        """The name to make a service principal of; empty for an IP address.

        The name as typed, lower-case: asking DNS for another one would let whoever
        answers choose the service to trust.
        """
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return self.host.lower()
        return ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket.

    Attributes:
        path: Its place in the file system.
    """

    path: str

    @property
    def tls_name(self) -> str:
        """Empty: a path names no host."""
        return ""

    @property
    def service_host(self) -> str:
        """Empty: a path names no host."""
        return ""

    def __str__(self) -> str:
        return f"unix://{self.path}"


Address = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """Read an address.

    Args:
        text: `host:port`, `[v6]:port`, either with `tcp://` before it, or
            `unix://PATH` / `unix:PATH`.

    Raises:
        ValueError: It is none of these.
    """
    for scheme in ("unix://", "unix:"):
        if text.startswith(scheme):
            path = text.removeprefix(scheme)
            if not path or "\0" in path:
                raise ValueError(f"no path in the address {text!r}")
            return UnixAddress(path)
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host and "/" not in host:
        raise ValueError(f"an IPv6 address needs brackets: {text!r}")
    if not colon or not host or "/" in host or "\0" in host:
        raise ValueError(
            f"not an address: {text!r}; expected host:port, tcp://host:port "
            "or unix:///path"
        )
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"not a port: {port!r} in {text!r}; expected 0 to 65535")
    return TcpAddress(host, int(port))
