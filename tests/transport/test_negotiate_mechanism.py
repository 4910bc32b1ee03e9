"""The per-message operations, over every mechanism and form."""

from collections.abc import Callable
from pathlib import Path

import pytest

from signetrpc.transport._credentials import Keytab, TicketCache
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._negotiate_mechanism import MechanismContext
from signetrpc.transport._negotiate_ntlm import NtlmContext
from signetrpc.transport._security import (
    NegotiationProtocol,
    SecurityContext,
    SecurityPolicy,
)
from tests.support.kdc import Kdc
from tests.support.negotiation import (
    ALICE,
    ALLOW_NTLM,
    KERBEROS,
    NTLM,
    account_file,
    exchange,
    initiator,
)

Pair = tuple[SecurityContext, SecurityContext]
Joined = Callable[[], Pair]

_SIZES = [0, 1, 15, 16, 17, 1000, 70_000]


@pytest.fixture(
    params=[
        (NTLM, NegotiationProtocol.NTLM),
        (NTLM, NegotiationProtocol.NEGOTIATE),
        (KERBEROS, NegotiationProtocol.KERBEROS),
        (KERBEROS, NegotiationProtocol.NEGOTIATE),
    ],
    ids=["ntlm", "negotiated ntlm", "kerberos", "negotiated kerberos"],
)
def joined(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Joined:
    """Make pairs of complete contexts."""
    mechanism, form = request.param
    if mechanism is NTLM:
        ntlm = AcceptorFactory([account_file(tmp_path)], ALLOW_NTLM)
        return lambda: _join(initiator(ALICE, form), ntlm.context(form))
    realm: Kdc = request.getfixturevalue("kerberos_environment")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{realm.kinit('alice')}")
    factory = AcceptorFactory([Keytab(realm.keytab_file)], SecurityPolicy())
    return lambda: _join(initiator(TicketCache(), form), factory.context(form))


def _join(client: SecurityContext, server: SecurityContext) -> Pair:
    exchange(client, server)
    return client, server


def test_what_one_end_seals_and_signs_the_other_opens(joined: Joined) -> None:
    client, server = joined()
    for sender, receiver in ((client, server), (server, client), (client, server)):
        for size in _SIZES:
            data = bytes(range(256)) * (size // 256) + bytes(size % 256)
            sealed = sender.wrap(data)
            assert receiver.unwrap(sealed) == (data, True)
            mic = sender.sign(data)
            assert len(mic) < 64
            receiver.verify(data, mic)


def test_sealing_hides_the_data(joined: Joined) -> None:
    client, _ = joined()
    marker = b"a marker that must not be seen"
    assert marker not in client.wrap(marker)
    assert client.wrap(marker) != client.wrap(marker)


def test_a_changed_bit_is_found_anywhere(joined: Joined) -> None:
    length = len(joined()[0].wrap(b"data"))
    for position in range(length):
        client, server = joined()
        token = bytearray(client.wrap(b"data"))
        token[position] ^= 1 << position % 8
        with pytest.raises(Exception):  # noqa: B017  (any exception is failure)
            server.unwrap(bytes(token))


def test_a_changed_bit_of_a_code_or_its_data_is_found(joined: Joined) -> None:
    length = len(joined()[0].sign(b"data"))
    for position in range(length + 4):
        client, server = joined()
        whole = bytearray(client.sign(b"data") + b"data")
        whole[position] ^= 1 << position % 8
        with pytest.raises(Exception):  # noqa: B017
            server.verify(bytes(whole[length:]), bytes(whole[:length]))


def test_no_bit_of_a_wrap_tokens_header_is_free(joined: Joined) -> None:
    for bit in range(16 * 8):
        client, server = joined()
        token = bytearray(client.wrap(b"data"))
        token[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Exception):  # noqa: B017
            server.unwrap(bytes(token))


def test_short_tokens_are_refused(joined: Joined) -> None:
    for length in range(16):
        client, server = joined()
        token, mic = client.wrap(b"data"), client.sign(b"data")
        with pytest.raises(Exception):  # noqa: B017
            server.unwrap(token[:length])
        client, server = joined()
        with pytest.raises(Exception):  # noqa: B017
            server.verify(b"data", mic[:length])


def test_replays_gaps_and_reflections_are_refused(joined: Joined) -> None:
    client, server = joined()
    token = client.wrap(b"data")
    server.unwrap(token)
    with pytest.raises(Exception):  # noqa: B017
        server.unwrap(token)

    client, server = joined()
    client.wrap(b"lost on its way")
    with pytest.raises(Exception):  # noqa: B017
        server.unwrap(client.wrap(b"data"))

    client, server = joined()
    with pytest.raises(Exception):  # noqa: B017
        client.unwrap(client.wrap(b"data"))

    client, server = joined()
    mic = client.sign(b"data")
    server.verify(b"data", mic)
    with pytest.raises(Exception):  # noqa: B017
        server.verify(b"data", mic)


def test_another_sessions_tokens_are_refused(joined: Joined) -> None:
    (client, _), (_, server) = joined(), joined()
    with pytest.raises(Exception):  # noqa: B017
        server.unwrap(client.wrap(b"data"))


def test_an_integrity_only_token_is_told_apart(
    kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gssapi

    form = NegotiationProtocol.KERBEROS
    ccache = kerberos_environment.kinit("alice")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{ccache}")
    keytab = Keytab(kerberos_environment.keytab_file)
    server = AcceptorFactory([keytab], SecurityPolicy()).context(form)
    principal = kerberos_environment.principal("host/localhost")
    client = gssapi.SecurityContext(
        name=gssapi.Name(principal, gssapi.NameType.kerberos_principal),
        usage="initiate",
    )
    client.step(server.step(client.step()))
    assert server.unwrap(client.wrap(b"data", False).message) == (b"data", False)


def test_both_mechanisms_have_one_interface() -> None:
    context: MechanismContext = NtlmContext(password=ALICE)
    assert not context.complete
    assert not context.facts().complete
