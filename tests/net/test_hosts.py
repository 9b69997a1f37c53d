"""Which texts are a host, and that each host has one spelling."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.net.hosts import is_port, join_port, parse_host, port_of, split_port

CANONICAL = {
    "example.com": "example.com",
    "EXAMPLE.Com": "example.com",
    "example.com.": "example.com",
    "example.com.:8080": "example.com:8080",
    "example.com:8080": "example.com:8080",
    "example.com:443": "example.com:443",
    "example.com:80": "example.com",
    "localhost": "localhost",
    "a_service.cluster_1": "a_service.cluster_1",
    "_x": "_x",
    "xn--bcher-kva.example": "xn--bcher-kva.example",
    "1a.2b": "1a.2b",
    "0x.example": "0x.example",
    "127.0.0.1": "127.0.0.1",
    "127.0.0.1.": "127.0.0.1",
    "127.0.0.1:65535": "127.0.0.1:65535",
    "[::1]": "[::1]",
    "[::1]:80": "[::1]",
    "[::1]:8080": "[::1]:8080",
    "[2001:DB8:0:0:0:0:0:1]": "[2001:db8::1]",
    "[2001:db8::192.0.2.1]": "[2001:db8::c000:201]",
    "[::ffff:192.0.2.1]:81": "[::ffff:c000:201]:81",
    "a" * 63 + ".example": "a" * 63 + ".example",
}

MALFORMED = {
    "empty": "",
    "dot": ".",
    "dots": "example..com",
    "two dots at the end": "example.com..",
    "dot in front": ".example.com",
    "space in front": " example.com",
    "space": "exa mple.com",
    "line end": "example.com\n",
    "null": "example.com\x00",
    "tab": "example.com\t",
    "list": "example.com,evil.example",
    "list with a space": "example.com, evil.example",
    "user": "user@example.com",
    "password": "user:word@example.com",
    "path": "example.com/",
    "backslash": "example.com\\evil.example",
    "query": "example.com?x",
    "fragment": "example.com#x",
    "percent": "example%2ecom",
    "markup": "<script>",
    "quote": '"example.com"',
    "wildcard": "*.example.com",
    "scheme": "https://example.com",
    "not ascii": "exämple.com",
    "not ascii digits": "example.com:\u0661",
    "kelvin sign": "\u212a.example",
    "dash in front": "-example.com",
    "dash at the end of a label": "example-.com",
    "long label": "a" * 64 + ".example",
    "long name": ".".join(["a" * 49] * 6),
    "long": "a." * 128 + "a",
    "port without a number": "example.com:",
    "port 0": "example.com:0",
    "port with a zero in front": "example.com:080",
    "port 65536": "example.com:65536",
    "port of six digits": "example.com:100000",
    "port with a sign": "example.com:+80",
    "port with a space": "example.com: 80",
    "two ports": "example.com:80:80",
    "port alone": ":80",
    "IPv6 without brackets": "::1",
    "bracket open": "[::1",
    "bracket closed": "::1]",
    "brackets around nothing": "[]",
    "brackets around IPv4": "[127.0.0.1]",
    "brackets around a name": "[example.com]",
    "brackets twice": "[[::1]]",
    "after the bracket": "[::1]x",
    "name after the bracket": "[::1]example.com:80",
    "zone": "[fe80::1%eth0]",
    "encoded zone": "[fe80::1%25eth0]",
    "IPv6 with a dot at the end": "[::1].",
    "number": "2130706433",
    "short IPv4": "127.1",
    "octal IPv4": "0177.0.0.1",
    "hexadecimal IPv4": "0x7f.0.0.1",
    "hexadecimal end": "127.0.0.0x1",
    "hexadecimal end without digits": "example.0x",
    "IPv4 out of range": "256.0.0.1",
    "IPv4 of five": "1.2.3.4.5",
    "name that ends in a number": "example.1",
}


@pytest.mark.parametrize(("raw", "canonical"), CANONICAL.items(), ids=CANONICAL)
def test_a_host_has_one_spelling(raw: str, canonical: str) -> None:
    assert parse_host(raw, "http") == canonical


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_host_is_none(raw: str) -> None:
    assert parse_host(raw, "http") is None


@pytest.mark.parametrize(
    ("scheme", "dropped", "kept"), [("http", "80", "443"), ("https", "443", "80")], ids=["http", "https"]
)
def test_the_default_port_is_that_of_the_scheme(scheme: str, dropped: str, kept: str) -> None:
    assert parse_host(f"example.com:{dropped}", scheme) == "example.com"
    assert parse_host(f"example.com:{kept}", scheme) == f"example.com:{kept}"
    assert port_of("example.com", scheme) == dropped
    assert port_of("[::1]", scheme) == dropped
    assert port_of("[::1]:8080", scheme) == "8080"
    assert join_port("example.com", dropped, scheme) == "example.com"
    assert join_port("example.com", kept, scheme) == f"example.com:{kept}"


def test_a_name_has_253_characters_at_most_and_all_of_it_255() -> None:
    name = ".".join(["a" * 49] * 5) + ".abc"

    assert len(name) == 253
    assert parse_host(name, "http") == name
    assert parse_host(name + ".", "http") == name
    assert parse_host(name + "d", "http") is None
    assert parse_host(name + ":1", "http") == name + ":1"
    assert parse_host(name + ":12", "http") is None


@pytest.mark.parametrize("text", ["1", "80", "65535"])
def test_a_port_is_1_to_65535(text: str) -> None:
    assert is_port(text)


@pytest.mark.parametrize(
    "text", ["", "0", "00", "080", "65536", "99999", "-1", "8 0", "80\n", "\u0661", "\u00b2", "8_0"], ids=ascii
)
def test_anything_else_is_no_port(text: str) -> None:
    assert not is_port(text)


@given(raw=st.text(max_size=300) | st.text(alphabet="a1.:[]-_%x@, /", max_size=40))
def test_whatever_is_sent_the_answer_is_canonical_or_none(raw: str) -> None:
    host = parse_host(raw, "https")

    if host is not None:
        assert re.fullmatch(r"(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", host)
        assert parse_host(host, "https") == host
        assert urlsplit(f"https://{host}/").netloc == host
        assert split_port(host)[0] == parse_host(split_port(host)[0], "https")


@given(number=st.integers(0, 2**128 - 1), port=st.integers(1, 65535))
def test_an_ipv6_address_is_the_same_host_however_it_is_written(number: int, port: int) -> None:
    address = IPv6Address(number)

    hosts = {
        parse_host(f"[{text}]:{port}", "https") for text in (str(address), address.exploded, address.exploded.upper())
    }

    assert len(hosts) == 1
    assert IPv6Address(str(hosts.pop()).partition("]")[0][1:]) == address


@given(labels=st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), min_size=1, max_size=6))
def test_a_name_is_kept(labels: list[str]) -> None:
    name = ".".join(labels)

    assert parse_host(name.upper(), "http") == name
