"""When a connection without any protection is let through: on this machine, aloud."""

import ipaddress
import logging
from typing import Final

from ._addresses import Address, TcpAddress
from ._protection import Protection
from ._security import ChannelBinding, SecurityPolicy
from .errors import LocalProtocolError

__all__ = ["PLAIN_POLICY", "check_plain"]

_log: Final = logging.getLogger("signetrpc.transport")

PLAIN_POLICY: Final = SecurityPolicy(minimum_protection=Protection.NONE)
"""A policy that a plain connection can satisfy."""


def check_plain(address: Address, policy: SecurityPolicy) -> None:
    """Say loudly that there is no protection; refuse where others could reach it.

    Raises:
        LocalProtocolError: The address is not on this machine, or the policy demands
            a protection or a proof.
    """
    if isinstance(address, TcpAddress) and not _is_loopback(address.host):
        raise LocalProtocolError(
            f"{address} is not on this machine: a plain connection protects nothing, "
            "so only loopback addresses and unix sockets may have one"
        )
    if policy.minimum_protection > Protection.NONE:
        raise LocalProtocolError(
            f"a plain connection gives NONE; the policy's minimum is "
            f"{policy.minimum_protection.name}"
        )
    named = policy.mechanisms is not None or bool(policy.require_mutual)
    if named or policy.channel_binding is ChannelBinding.ALWAYS:
        raise LocalProtocolError(
            "the policy demands a proof; a plain connection proves nobody"
        )
    _log.warning("%s is PLAIN: nobody is authenticated, nothing is protected", address)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
