"""`check_connector`: one set of high-level tests, run over every connector.

The precedent is the seed of this transport: the tests of negotiation and data flow
that were written for one security provider showed the next one to be right.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from ._contract_ends import END_CHECKS, named
from ._contract_flow import FLOW_CHECKS
from ._contract_pair import PATIENCE, ConnectorPair, connected

__all__ = ["check_connector"]


async def check_connector(pair: ConnectorPair) -> None:
    """Check that a connector and its acceptor keep the contract of all connectors.

    Messages both ways at every level the connection gives, at all sizes, in order,
    from many tasks, and through congestion; cancellation that loses nothing; orderly
    ends told apart from cuts; peers that speak something else, go away or change what
    is on its way; handshakes given up.

    Takes some seconds and about a hundred connections.  Needs no test framework.

    Args:
        pair: The connector, its acceptor, and what their connections give.

    Raises:
        AssertionError: It does not; the message says what was expected.
    """
    async with connected(pair) as ends:
        for check in FLOW_CHECKS:
            await _run(named(check), partial(check, ends))
    for end_check in END_CHECKS:
        await _run(named(end_check), partial(end_check, pair))


async def _run(name: str, check: Callable[[], Awaitable[None]]) -> None:
    try:
        with anyio.fail_after(PATIENCE):
            await check()
    except TimeoutError as error:
        raise AssertionError(f"{name}  It hangs.") from error
    except BaseExceptionGroup as group:
        found = group.subgroup(Exception)
        if found is None:
            raise
        first: BaseException = found
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise AssertionError(f"{name}  {first!r}") from group
    except Exception as error:
        raise AssertionError(f"{name}  {error!r}") from error
