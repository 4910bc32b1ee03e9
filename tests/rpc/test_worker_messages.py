"""Packets between service, template and workers: golden bytes, and nothing else."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc import DelegatedCredential, LocalUser
from signetrpc.rpc._worker_messages import (
    LINK_POLICY,
    MAX_PACKET_BYTES,
    Begin,
    Ended,
    Failed,
    Fork,
    Kill,
    Log,
    NewLink,
    Ready,
    Refused,
    Running,
    Setup,
    encode,
    link_channel,
    read_from_template,
    read_from_worker,
    read_to_template,
    read_to_worker,
)
from signetrpc.transport import (
    ANONYMOUS,
    DelegationKind,
    Identity,
    ImpersonationLevel,
    Mechanism,
    Protection,
)

USER = LocalUser(
    name="alice",
    uid=1001,
    gid=1002,
    groups=(1002, 1003),
    group_names=("staff",),
    home="/home/alice",
    shell="/bin/zsh",
)
CALLER = Identity(
    mechanism=Mechanism.KERBEROS,
    name="alice",
    realm="EXAMPLE.COM",
    mutual=True,
    impersonation=ImpersonationLevel.DELEGATE,
    expires_at=2e9,
    session_id="0" * 32,
    sids=frozenset({"S-1-5-21-1"}),
)
CREDENTIAL = DelegatedCredential(
    principal="alice@EXAMPLE.COM",
    kind=DelegationKind.CONSTRAINED,
    expires_at=2e9,
    token=b"\x00ticket",
    targets=("host/files",),
)
SETUP = Setup(
    offer=b"pickled",
    search_path=["/a", "/b"],
    main_module="m",
    main_path="",
    backend="trio",
    max_body_bytes=1,
    max_calls=2,
    max_threads=3,
    max_memory_bytes=4,
    log_level=20,
)

Reader = Callable[[bytes], Any]

GOLDEN: Final[list[tuple[Any, bytes, Reader]]] = [
    (Ready(), b"\x91\xa5ready", read_from_template),
    (Failed("why"), b"\x92\xa6failed\xa3why", read_from_template),
    (Ended(1, 9), b"\x93\xa5ended\x01\x09", read_from_template),
    (Kill(7), b"\x92\xa4kill\x07", read_to_template),
    (Begin(None), b"\x92\xa5begin\xc0", read_to_worker),
    (Running(), b"\x91\xa7running", read_from_worker),
    (Refused("why"), b"\x92\xa7refused\xa3why", read_from_worker),
    (
        Log("app", 30, "text", 2),
        b"\x95\xa3log\xa3app\x1e\xa4text\x02",
        read_from_worker,
    ),
]
READERS: Final[dict[str, Reader]] = {
    "from template": read_from_template,
    "from worker": read_from_worker,
    "to template": read_to_template,
    "to worker": read_to_worker,
}


@pytest.mark.parametrize(("message", "data", "read"), GOLDEN)
def test_golden_bytes(message: object, data: bytes, read: Reader) -> None:
    assert encode(message) == data
    assert read(data) == message


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (SETUP, read_to_template),
        (Fork(7, USER, "/tmp/x"), read_to_template),
        (NewLink(CALLER), read_to_worker),
        (NewLink(ANONYMOUS), read_to_worker),
    ],
)
def test_what_the_service_says_arrives_as_it_was(message: object, read: Reader) -> None:
    assert read(encode(message)) == message


def test_a_credential_arrives_whole() -> None:
    found = read_to_worker(encode(Begin(CREDENTIAL)))
    assert isinstance(found, Begin) and found.credential is not None
    # Never equal to another.
    assert msgspec.to_builtins(found) == msgspec.to_builtins(Begin(CREDENTIAL))


def test_nothing_that_a_template_gets_has_room_for_a_credential() -> None:
    """What it has read is in the memory of every worker that it forks afterwards."""
    text = str(msgspec.json.schema(Setup)) + str(msgspec.json.schema(Fork))
    assert "token" not in text


def test_the_largest_ticket_fits() -> None:
    large = dict(msgspec.to_builtins(CREDENTIAL, builtin_types=[bytes]))
    large["token"] = bytes(64 * 1024)
    packet = encode(Begin(msgspec.convert(large, DelegatedCredential)))
    assert len(packet) < MAX_PACKET_BYTES


# Nothing else.


@pytest.mark.parametrize(("message", "data", "read"), GOLDEN)
def test_each_reader_takes_its_own_alone(
    message: object, data: bytes, read: Reader
) -> None:
    for other in READERS.values():
        if other is not read:
            with pytest.raises(ValueError, match="malformed packet: "):
                other(data)


@pytest.mark.parametrize(("message", "data", "read"), GOLDEN)
def test_a_packet_ends_where_it_ends(
    message: object, data: bytes, read: Reader
) -> None:
    for end in range(len(data)):
        with pytest.raises(ValueError, match="malformed packet: "):
            read(data[:end])
    with pytest.raises(ValueError, match="malformed packet: "):
        read(data + b"\xc0")


@pytest.mark.parametrize(
    "packet",
    [
        None,
        5,
        "running",
        [],
        {},
        {"type": "running"},
        ["Running"],
        ["unknown"],
        [7],
        [None],
        [["running"]],
        ["running", 1],
        ["refused"],
        ["refused", b"why"],
        ["refused", "x" * (32 * 1024 + 1)],
        ["refused", "why", 1],
        ["log", "app", 20],
        ["log", b"app", 20, "text", 0],
        ["log", "a" * 257, 20, "text", 0],
        ["log", "app", 101, "text", 0],
        ["log", "app", -1, "text", 0],
        ["log", "app", True, "text", 0],
        ["log", "app", 20.5, "text", 0],
        ["log", "app", "20", "text", 0],
        ["log", "app", 20, 5, 0],
        ["log", "app", 20, "x" * (32 * 1024 + 1), 0],
        ["log", "app", 20, "text", -1],
        ["log", "app", 20, "text", None],
        ["log", "app", 20, "text", 0, 0],
        ["ready"],
        ["forked", 1, 2],
        ["begin", None],
    ],
    ids=lambda packet: str(packet)[:40],
)
def test_from_a_worker_only_what_the_rules_allow(packet: object) -> None:
    with pytest.raises(ValueError, match="malformed packet: "):
        read_from_worker(msgspec.msgpack.encode(packet))


@pytest.mark.parametrize(
    "data",
    [
        b"\x92\xa7refused\xa1\xff",  # not UTF-8
        b"\x92\xa7refused" + b"\x91" * 100_000 + b"\xc0",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\x92\xa7refused\xdb\xff\xff\xff\xffx",
        b"\xc1",
    ],
    ids=["text", "deep field", "deep", "long array", "long text", "no type"],
)
@pytest.mark.parametrize("name", READERS)
def test_no_bytes_do_more_than_be_refused(name: str, data: bytes) -> None:
    with pytest.raises(ValueError, match="malformed packet: "):
        READERS[name](data)


def _read(read: Reader, data: bytes) -> object:
    try:
        return read(data)
    except ValueError as error:
        assert str(error).startswith("malformed packet: ")
        return None


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for read in READERS.values():
        _read(read, data)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(["running", "refused", "log"]),
    st.lists(_VALUES, max_size=5),
)
def test_any_fields_of_a_worker(tag: str, fields: list[object]) -> None:
    data = msgspec.msgpack.encode([tag, *fields])
    found = _read(read_from_worker, data)
    if found is not None:
        # Taken as it is: nothing was made to fit.
        assert isinstance(found, Running | Refused | Log)
        taken = msgspec.msgpack.decode(encode(found))
        assert taken[: len(fields) + 1] == msgspec.msgpack.decode(data)


def test_no_link_is_below_sign() -> None:
    assert LINK_POLICY.minimum_protection is Protection.SIGN
    channel = link_channel(CALLER)
    assert (channel.provides, channel.peer) == (Protection.SEAL, CALLER)
