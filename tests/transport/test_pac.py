"""The groups in a PAC, and whose word is taken for them."""

import logging
from struct import pack_into, unpack_from
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.transport._credentials import Keytab, TicketCache
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._pac import MAX_GROUPS, MalformedPac, is_sid, sids_of
from signetrpc.transport._security import NegotiationProtocol, SecurityPolicy
from signetrpc.transport.errors import AuthenticationFailed, FailureReason
from tests.support.kdc import Kdc
from tests.support.negotiation import admit, exchange, initiator
from tests.support.pacs import DOMAIN_SID, RECORDED, Group, impackets, logon_info
from tests.support.parts import Part, require

FOREIGN = "S-1-5-21-7-8-9"
OWN = {f"{DOMAIN_SID}-1103", f"{DOMAIN_SID}-513"}
_RECORDED_DOMAIN = "S-1-5-21-1120736179-1583609298-2650950503"

# Where things are: after two headers and a pointer, 20 bytes in all.
_GROUP_COUNT, _GROUPS = 20 + 108, 20 + 112
_SID_COUNT, _SIDS = 20 + 196, 20 + 200


def _members(count: int) -> list[Group]:
    return [Group(2000 + number) for number in range(count)]


def _changed(data: bytes, at: int, value: int) -> bytes:
    changed = bytearray(data)
    pack_into("<L", changed, at, value)
    return bytes(changed)


# What is read.


@pytest.mark.parametrize(
    ("user", "rids"),
    [
        ("alice", (1103, 513, 1409, 1410, 1411)),
        ("carol", (1105, 513)),
        ("grace", (1106, 513, *range(1109, 1409))),
    ],
)
def test_what_a_domain_controller_says(user: str, rids: tuple[int, ...]) -> None:
    asserted = "S-1-18-1"  # by a domain controller, not by a service
    found = sids_of(RECORDED[user])
    assert found == {asserted, *(f"{_RECORDED_DOMAIN}-{rid}" for rid in rids)}
    assert found == impackets(RECORDED[user])


@pytest.mark.parametrize("count", [0, 1, 300, MAX_GROUPS])
def test_groups_up_to_the_limit(count: int) -> None:
    members = _members(count)
    names = [f"-{member.sid}" for member in members]
    found = sids_of(logon_info(groups=members))
    assert found == OWN | {DOMAIN_SID + name for name in names}
    extra = [Group(FOREIGN + name) for name in names]
    assert sids_of(logon_info(extra=extra)) == OWN | {FOREIGN + name for name in names}
    found = sids_of(logon_info(resource_domain=FOREIGN, resources=members))
    assert found == OWN | {FOREIGN + name for name in names}


def test_all_three_lists_full() -> None:
    members = _members(MAX_GROUPS)
    extra = [Group(f"S-1-5-21-4-4-4-{member.sid}") for member in members]
    data = logon_info(
        groups=members, extra=extra, resource_domain=FOREIGN, resources=members
    )
    assert len(sids_of(data)) == 3 * MAX_GROUPS + 2


@pytest.mark.parametrize("text", ["", "a", "ab", "abc"])
def test_texts_of_any_length_stand_between(text: str) -> None:
    data = logon_info(groups=_members(1), texts=[text] * 8)
    assert sids_of(data) == OWN | {f"{DOMAIN_SID}-2000"}


def test_a_text_may_be_missing() -> None:
    first, text = 20 + 48, 20 + 216
    data = _changed(logon_info(texts=[]), first + 4, 0)
    data = _changed(data, 8, len(data) - 16 - 12)
    assert sids_of(data[:text] + data[text + 12 :]) == OWN


def test_groups_that_are_not_enabled_are_left_out() -> None:
    data = logon_info(
        groups=[Group(1, 3), Group(2, 4)],
        extra=[Group("S-1-18-1", 0x10), Group("S-1-18-2", 0xC0000007)],
        resource_domain=FOREIGN,
        resources=[Group(3, 0x20000003), Group(4, 0x20000007)],
    )
    enabled = {f"{DOMAIN_SID}-2", "S-1-18-2", f"{FOREIGN}-4"}
    assert sids_of(data) == OWN | enabled == impackets(data)


def test_an_account_of_another_domain() -> None:
    """Its own identifier is then the first extra one (MS-PAC section 2.5)."""
    account = f"{FOREIGN}-1103"
    data = logon_info(user=0, primary=0, domain=None, extra=[Group(account)])
    assert sids_of(data) == {account}


def test_authorities_have_six_bytes() -> None:
    data = bytearray(logon_info(extra=[Group("S-1-5-7")]))
    at = data.rindex(b"\0\0\0\0\0\5")
    data[at : at + 6] = b"\x01\x00\x00\x00\x00\xab"
    assert sids_of(bytes(data)) == OWN | {"S-1-0x0100000000AB-7"}
    data[at : at + 6] = b"\x00\x00\xff\x00\x00\x00"
    assert sids_of(bytes(data)) == OWN | {"S-1-4278190080-7"}


_words = st.integers(0, 0xFFFFFFFF)
_domains = st.lists(_words, min_size=1, max_size=14).map(
    lambda parts: "-".join(("S-1-5", *map(str, parts)))
)
_groups = st.lists(st.builds(Group, _words, _words), max_size=5)
_extra = st.lists(st.builds(Group, _domains, _words), max_size=5)


@given(
    user=_words,
    primary=_words,
    domain=_domains,
    groups=_groups,
    extra=_extra,
    resource_domain=_domains,
    resources=_groups,
    texts=st.lists(st.text("aé", max_size=5), max_size=8),
)
def test_whatever_impacket_writes_is_read_as_impacket_reads_it(
    user: int,
    primary: int,
    domain: str,
    groups: list[Group],
    extra: list[Group],
    resource_domain: str,
    resources: list[Group],
    texts: list[str],
) -> None:
    data = logon_info(
        user=user,
        primary=primary,
        domain=domain,
        groups=groups,
        extra=extra,
        resource_domain=resource_domain,
        resources=resources,
        texts=texts,
    )
    assert sids_of(data) == impackets(data)


# What is refused.


@pytest.mark.parametrize("user", RECORDED)
def test_each_byte_that_is_missing_is_missed(user: str) -> None:
    data = RECORDED[user]
    for length in range(len(data)):
        with pytest.raises(MalformedPac):
            sids_of(data[:length])
        size = max(0, length - 16)  # and with a header that says so
        # The last four bytes only fill up.
        if size < len(data) - 20:
            with pytest.raises(MalformedPac):
                sids_of(_changed(data, 8, size)[: max(length, 16)])


def test_what_follows_the_object_is_not_looked_at() -> None:
    assert sids_of(logon_info() + b"\xff" * 100) == OWN


def test_one_group_over_the_limit() -> None:
    over = _members(MAX_GROUPS + 1)
    text = f"{MAX_GROUPS + 1} groups in one list, limit {MAX_GROUPS}"
    for data in (
        logon_info(groups=over),
        logon_info(extra=[Group(f"{FOREIGN}-{member.sid}") for member in over]),
        logon_info(resource_domain=FOREIGN, resources=over),
    ):
        with pytest.raises(MalformedPac, match=text):
            sids_of(data)


def _refused(data: bytes, match: str) -> None:
    with pytest.raises(MalformedPac, match=match):
        sids_of(data)


def test_other_headers() -> None:
    data = logon_info()
    for at, value in ((0, 2), (0, 0), (1, 0), (1, 0x11), (2, 16), (3, 8)):
        changed = bytearray(data)
        changed[at] = value
        _refused(bytes(changed), "version")
    _refused(_changed(data, 8, len(data)), "announced")
    _refused(_changed(data, 8, 0xFFFFFFFF), "4294967295 bytes announced")
    _refused(_changed(data, 16, 0), "points to nothing")
    _refused(b"", "0 bytes are too short")


def test_a_count_and_what_it_counts() -> None:
    data = logon_info(groups=_members(3))
    for count in (0, 2, 4, MAX_GROUPS):
        _refused(_changed(data, _GROUP_COUNT, count), "announced 3")
    _refused(_changed(data, _GROUP_COUNT, 0xFFFFFFFF), "4294967295 groups")
    _refused(_changed(data, _GROUPS, 0), "announced 0")
    none = logon_info(texts=["a"] * 8)  # a text's length follows in a list's place
    _refused(_changed(none, _GROUP_COUNT, 1), "1 groups, announced 0")
    _refused(_changed(none, _GROUPS, 1), "0 groups, announced 1")
    _refused(_changed(none, _SIDS, 1), "bytes at")  # and here nothing
    _refused(_changed(none, _SID_COUNT, 1), "1 groups, announced 0")


def test_lengths_of_texts() -> None:
    data = logon_info(texts=["alice"])
    length, room = unpack_from("<HH", data, 20 + 48)
    assert (length, room) == (10, 10)
    for other in (8, 12, 0xFFFF):
        _refused(_changed(data, 20 + 48, other | room << 16), "another length")
        _refused(_changed(data, 20 + 48, length | other << 16), "another length")
    _refused(_changed(data, 20 + 52, 0), "a text of 10 bytes is not there")
    # More in use than there is room for, said alike in both places.
    text = data.index("alice".encode("utf-16-le")) - 12
    changed = _changed(_changed(data, text, 4), 20 + 48, length | 8 << 16)
    _refused(changed, "another length")
    _refused(_changed(data, text + 4, 1), "another length")  # not from its start


def test_identifiers_that_are_none() -> None:
    data = bytearray(logon_info(extra=[Group(f"{FOREIGN}-1")]))
    at = data.rindex(b"\x01\x05\0\0\0\0\0\5")  # revision, count, authority
    for revision in (0, 2, 255):
        data[at] = revision
        _refused(bytes(data), f"revision {revision}")
    data[at] = 1
    for announced, count in (
        *((other, 5) for other in (0, 4, 6, 15, 0xFFFFFFFF)),
        *((5, other) for other in (0, 4, 6, 15, 255)),
        *((other, other) for other in (0, 16, 255)),
    ):
        data[at + 1] = count
        changed = _changed(bytes(data), at - 4, announced)
        _refused(changed, f"{count} sub-authorities, announced {announced}")
    data[at + 1] = 6
    _refused(_changed(bytes(data), at - 4, 6), "24 bytes at")  # not all there


def test_no_identifier_has_sixteen_parts() -> None:
    long = "-".join(("S-1-5", *["1"] * 15))
    assert long in sids_of(logon_info(extra=[Group(long)]))
    _refused(logon_info(extra=[Group(f"{long}-1")]), "16 sub-authorities")
    # A domain's has room for the group's.
    _refused(logon_info(domain=long), "15 sub-authorities")
    _refused(logon_info(resource_domain=long), "15 sub-authorities")


def test_what_points_to_nothing() -> None:
    _refused(logon_info(domain=None), "domain that is not named")
    _refused(logon_info(resources=[Group(1)]), "domain that is not named")
    data = logon_info(extra=[Group("S-1-18-1")])
    # A list of one: a pointer, attributes; then the identifier, after its length.
    at = data.rindex(b"\1\0\0\0\1\1") - 8
    _refused(_changed(data, at, 0), "a group is not there")


def test_what_an_identifier_looks_like() -> None:
    for sid in ("S-1-5-32-544", "S-1-18-1", "S-1-0x0100000000AB-7", FOREIGN):
        assert is_sid(sid)
    for text in (
        "",
        "S-1-5",
        "S-2-5-1",
        "S-1-5-1-",
        "S-1-5-1\n",
        "S-1-5--1",
        "S-1-5-\u0663",
    ):
        assert not is_sid(text)
    assert not is_sid("-".join(("S-1-5", *["1"] * 16)))


# Whose word is taken.


def _says(
    monkeypatch: pytest.MonkeyPatch,
    *values: bytes,
    authenticated: bool = True,
    complete: bool = True,
    attributes: object = (b"urn:mspac:logon-info",),
) -> frozenset[str]:
    """Return what comes of a library that says so of a name."""
    require(Part.GSSAPI)
    import gssapi.raw

    from signetrpc.transport._pac import authenticated_sids

    found = SimpleNamespace(
        values=list(values), authenticated=authenticated, complete=complete
    )
    name = gssapi.raw.import_name(b"alice@EXAMPLE.COM")

    def inquire_name(asked: object) -> object:
        assert asked is name
        return SimpleNamespace(attrs=attributes)

    def get_name_attribute(asked: object, attribute: bytes) -> object:
        assert (asked, attribute) == (name, b"urn:mspac:logon-info")
        return found

    monkeypatch.setattr(gssapi.raw, "inquire_name", inquire_name)
    monkeypatch.setattr(gssapi.raw, "get_name_attribute", get_name_attribute)
    return authenticated_sids(name)


def test_a_pac_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _says(monkeypatch, logon_info()) == OWN


@pytest.mark.parametrize("missing", ["authenticated", "complete"])
def test_a_pac_that_nobody_vouched_for_names_no_groups(
    missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "signetrpc.transport")
    for data in (logon_info(), b"nonsense"):
        caplog.clear()
        assert _says(monkeypatch, data, **{missing: False}) == frozenset()
        assert [record.levelname for record in caplog.records] == ["DEBUG"]
        assert "nobody vouched for" in caplog.text


def test_a_name_without_a_pac(monkeypatch: pytest.MonkeyPatch) -> None:
    for attributes in (None, (), (b"urn:mspac:client-info",)):
        assert _says(monkeypatch, attributes=attributes) == frozenset()


def test_a_pac_that_cannot_be_read_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = logon_info(groups=_members(MAX_GROUPS + 1))
    for values in ((b"nonsense",), (over,), (), (logon_info(), logon_info())):
        with pytest.raises(AuthenticationFailed, match="PAC") as caught:
            _says(monkeypatch, *values)
        assert caught.value.reason is FailureReason.MALFORMED


_STRICT = SecurityPolicy.kerberos_only()
_FORM = NegotiationProtocol.KERBEROS


def test_the_caller_has_the_groups_and_the_server_has_none(
    kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MIT's KDC knows no groups, so the words are put into the library's mouth."""
    kdc = kerberos_environment
    factory = AcceptorFactory([Keytab(kdc.keytab_file)], _STRICT)
    client = initiator(TicketCache(kdc.kinit("alice")), _FORM)
    server = factory.context(_FORM)
    exchange(client, server)
    assert server.facts().sids == client.facts().sids == frozenset()

    def groups(name: object) -> frozenset[str]:
        assert name is not None
        return frozenset(OWN)

    edge = "signetrpc.transport._negotiate_kerberos"
    monkeypatch.setattr(f"{edge}.authenticated_sids", groups)
    assert server.facts().sids == OWN
    assert client.facts().sids == frozenset()
    assert admit(server, factory, policy=_STRICT).sids == OWN
