"""Every connector keeps the contract, over every carrier, on asyncio and trio."""

from dataclasses import replace
from pathlib import Path

import pytest

from signetrpc.transport import NegotiationProtocol
from signetrpc.transport.testing import ConnectorPair, check_connector
from tests.support.certificates import Authority
from tests.support.connectors import (
    CARRIERS,
    kerberos_pair,
    ntlm_pair,
    plain_pair,
    tls_pair,
)
from tests.support.mechanisms import FORMS
from tests.support.negotiation import NTLM
from tests.support.sessions import SUITES

pytestmark = pytest.mark.anyio


@pytest.fixture(params=sorted(CARRIERS))
def carrier(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def _check(pair: ConnectorPair, carrier: str) -> None:
    await check_connector(replace(pair, pipes=CARRIERS[carrier]))


async def test_plain(carrier: str) -> None:
    await _check(plain_pair(), carrier)


@pytest.mark.parametrize("certified", [False, True], ids=["server", "both"])
async def test_tls(carrier: str, certified: bool, tmp_path: Path) -> None:
    await _check(tls_pair(Authority(tmp_path), certified=certified), carrier)


@pytest.mark.parametrize("over_tls", [False, True], ids=["bare", "over-tls"])
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(
    "form", [form for mechanism, form in FORMS if mechanism is NTLM]
)
async def test_ntlm(
    carrier: str, form: NegotiationProtocol, suite: str, over_tls: bool, tmp_path: Path
) -> None:
    authority = Authority(tmp_path) if over_tls else None
    await _check(ntlm_pair(tmp_path, form, suite, authority), carrier)


@pytest.mark.parametrize("over_tls", [False, True], ids=["bare", "over-tls"])
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(
    "form", [form for mechanism, form in FORMS if mechanism is not NTLM]
)
async def test_kerberos(
    carrier: str,
    form: NegotiationProtocol,
    suite: str,
    over_tls: bool,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    realm = request.getfixturevalue("kerberos_environment")
    authority = Authority(tmp_path) if over_tls else None
    await _check(kerberos_pair(realm, form, suite, authority), carrier)
