"""Addresses: every form, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.transport._addresses import TcpAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host:7420", TcpAddress("host", 7420)),
        ("tcp://host:7420", TcpAddress("host", 7420)),
        ("127.0.0.1:0", TcpAddress("127.0.0.1", 0)),
        ("[::1]:65535", TcpAddress("::1", 65535)),
        ("tcp://[::]:1", TcpAddress("::", 1)),
        ("unix:///run/x.sock", UnixAddress("/run/x.sock")),
        ("unix://x.sock", UnixAddress("x.sock")),
        ("unix:x.sock", UnixAddress("x.sock")),
        ("unix:/a b:c", UnixAddress("/a b:c")),
    ],
)
def test_every_form(text: str, address: TcpAddress | UnixAddress) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not an address"),
        ("host", "not an address"),
        (":1", "not an address"),
        ("[]:1", "not an address"),
        ("a/b:1", "not an address"),
        ("http://host:1", "not an address: 'http://host:1'; expected host:port"),
        ("host\0:1", "not an address"),
        ("host:", "not a port: ''"),
        ("host:x", "not a port: 'x'"),
        ("host:-1", "not a port: '-1'"),
        ("host:65536", "not a port"),
        ("host:\N{ARABIC-INDIC DIGIT ONE}", "not a port"),
        ("::1:7420", "an IPv6 address needs brackets"),
        ("unix:", "no path"),
        ("unix://", "no path"),
        ("unix://a\0b", "no path"),
    ],
)
def test_what_is_none(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Files.Example.COM:1", "files.example.com"),
        ("files:1", "files"),
        ("127.0.0.1:1", ""),
        ("[::1]:1", ""),
        ("unix:/files", ""),
    ],
)
def test_the_host_of_the_service_principal(text: str, name: str) -> None:
    assert parse_address(text).service_host == name


def test_the_name_in_a_certificate_is_as_typed() -> None:
    assert parse_address("Files.Example.COM:1").tls_name == "Files.Example.COM"
    assert parse_address("[::1]:1").tls_name == "::1"
    assert parse_address("unix:/files").tls_name == ""


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(str(address)) == address
