"""How X-Forwarded-* and Forwarded are read: from the right end, and no further than what is well formed."""

from __future__ import annotations

import time

import pytest

from flask_guard.config.sections import ForwardedHeader
from flask_guard.net.forwarded import (
    MAX_CHARS,
    MAX_ELEMENTS,
    ForwardedElement,
    parse_forwarded,
    read_claims,
    split_list,
    strip_port,
)

UNREADABLE = ForwardedElement()


def for_(*nodes: str) -> list[ForwardedElement]:
    return [ForwardedElement(node) for node in nodes]


# Header to its elements, the right-most first.
FORWARDED: dict[str, tuple[str, list[ForwardedElement]]] = {
    "one": ("for=192.0.2.43", for_("192.0.2.43")),
    "two": ("for=192.0.2.43, for=198.51.100.17", for_("198.51.100.17", "192.0.2.43")),
    "without a space": ("for=192.0.2.43,for=198.51.100.17", for_("198.51.100.17", "192.0.2.43")),
    "much space": (" \tfor=192.0.2.43 \t,\t for=198.51.100.17\t ", for_("198.51.100.17", "192.0.2.43")),
    "space at the semicolon": ("for=a ;\tproto=http", [ForwardedElement("a", "http")]),
    "all parameters": (
        'for=192.0.2.60;proto=http;by=203.0.113.43;host="example.com:8080"',
        [ForwardedElement("192.0.2.60", "http", "example.com:8080")],
    ),
    "other order": ("host=example.com;proto=https;for=a", [ForwardedElement("a", "https", "example.com")]),
    "case of the names": ("FOR=a;Proto=HTTPS;hOST=X", [ForwardedElement("a", "HTTPS", "X")]),
    "no node": ("proto=https;by=_x", [ForwardedElement(None, "https")]),
    "extension": ('secret="a,b;c=\\"d\\"";for=a', for_("a")),
    "quoted IPv6": ('for="[2001:db8:cafe::17]:4711"', for_("[2001:db8:cafe::17]:4711")),
    "comma in quotes": ('for="a,for=b", for=c', for_("c", "a,for=b")),
    "semicolon in quotes": ('for="a;proto=https"', for_("a;proto=https")),
    "escaped quote": (r'for="a\"b"', for_('a"b')),
    "escaped backslash at the end": (r'for="a\\"', for_("a\\")),
    "escaped backslash and quote": (r'for="\\\"", for=b', for_("b", '\\"')),
    "escaped letter": (r'for="\1\9\2.0.2.1"', for_("192.0.2.1")),
    "empty quotes": ('for=""', for_("")),
    "one quote escaped alone": (r'for="\""', for_('"')),
    "tokens of every character": ("for=!#$%&'*+-.^_`|~09azAZ", for_("!#$%&'*+-.^_`|~09azAZ")),
}

# What is wrong stands left of a good element, and what is left of it would be good again.
BROKEN = {
    "empty element": "",
    "space": "  ",
    "no value": "for=",
    "no name": "=192.0.2.1",
    "bare address": "192.0.2.1",
    "space before the equals sign": "for =a",
    "space after the equals sign": "for= a",
    "space in a token": "for=a b",
    "colon in a token": "for=192.0.2.1:80",
    "bracket in a token": "for=[2001:db8::1]",
    "two equals signs": "for==a",
    "text before the name": '"x" for=a',
    "bracket before the name": "(for=a",
    "empty pair": "for=a;;proto=http",
    "semicolon at the end": "for=a;",
    "semicolon in front": ";for=a",
    "twice the same": "for=a;for=a",
    "twice in another case": "for=a;For=b",
    "quote never closed": 'for="a',
    "quote never opened": 'for=a"',
    "quote alone": '"',
    "quoted name": '"for"=a',
    "text after a quote": 'for="a"b',
    "text before a quote": 'for=b"a"',
    "quotes side by side": 'for="a""b"',
    "closing quote escaped": r'for="a\"',
    "opening quote escaped": r'for=\"a"',
    "not ascii": "for=\xe4",
    "control character": "for=a\x00",
    "line end": "for=a\n",
}


@pytest.mark.parametrize(("raw", "elements"), FORWARDED.values(), ids=FORWARDED)
def test_forwarded_is_read_from_the_right(raw: str, elements: list[ForwardedElement]) -> None:
    assert list(parse_forwarded(raw)) == elements


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_forwarded_ends_at_the_first_element_that_is_malformed(broken: str) -> None:
    assert list(parse_forwarded(f"for=left,{broken},for=right")) == [*for_("right"), UNREADABLE]
    assert list(parse_forwarded(broken)) == [UNREADABLE]


def test_a_quote_that_a_client_never_closes_does_not_swallow_what_the_proxy_appends() -> None:
    raw = 'for="203.0.113.1;x="' + ", " + "for=198.51.100.7;proto=https"

    assert next(parse_forwarded(raw)) == ForwardedElement("198.51.100.7", "https")


def test_no_more_elements_are_read_than_the_bound() -> None:
    raw = ",".join(f"for=_{number}" for number in range(100))

    nodes = [element.node for element in parse_forwarded(raw)]

    assert nodes == [f"_{number}" for number in range(99, 99 - MAX_ELEMENTS, -1)]


def test_of_a_longer_text_the_right_end_is_read_and_a_cut_element_is_not() -> None:
    pair = "x=" + "y" * 100
    raw = ", ".join(f"for=_{number};{pair}" for number in range(30))

    *nodes, last = parse_forwarded(raw)

    assert nodes == for_(*[f"_{number}" for number in range(29, 29 - len(nodes), -1)])
    assert len(nodes) == MAX_CHARS // len(f", for=_29;{pair}")
    assert last == UNREADABLE


def test_an_element_that_only_looks_whole_after_the_cut_is_not_believed() -> None:
    whole = "for=10.0.0.1;x=" + "y" * (MAX_CHARS - 15)

    assert list(parse_forwarded(whole)) == for_("10.0.0.1")
    assert list(parse_forwarded("y" + whole)) == [UNREADABLE]


HOSTILE = {
    "elements": "for=10.0.0.1," * 100_000,
    "commas": "," * 1_000_000,
    "semicolons": "a=b;" * 250_000,
    "quotes": '"' * 1_000_000,
    "escaped quotes": '\\"' * 500_000,
    "backslashes": "\\" * 1_000_000 + '"',
    "backslashes in quotes": 'for="' + "\\" * 1_000_000 + '"',
    "token": "a" * 1_000_000,
    "space": " " * 1_000_000,
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_a_million_characters_take_no_longer_than_the_bound(raw: str) -> None:
    began = time.perf_counter()

    read = [*parse_forwarded(raw), *split_list(raw)]

    assert time.perf_counter() - began < 0.1
    assert len(read) <= 2 * MAX_ELEMENTS + 1


LISTS: dict[str, tuple[str, list[str]]] = {
    "one": ("192.0.2.1", ["192.0.2.1"]),
    "three": ("a, b,c", ["c", "b", "a"]),
    "space and tab": (" \ta\t , b ", ["b", "a"]),
    "other space stays": ("a\xa0,\x0bb\n", ["\x0bb\n", "a\xa0"]),
    "empty elements stay": (",a,,b,", ["", "b", "", "a", ""]),
    "empty": ("", [""]),
}


@pytest.mark.parametrize(("raw", "elements"), LISTS.values(), ids=LISTS)
def test_a_list_is_split_from_the_right(raw: str, elements: list[str]) -> None:
    assert split_list(raw) == elements


def test_of_a_long_list_the_last_elements_count() -> None:
    assert split_list(",".join(map(str, range(33)))) == [str(number) for number in range(32, 0, -1)]
    assert split_list(",".join(map(str, range(32)))) == [str(number) for number in range(31, -1, -1)]


def test_of_a_long_text_the_element_at_the_cut_is_left_out() -> None:
    """What is cut off the front of "110.0.0.1" would leave an address that nobody has written."""
    assert split_list("1" + "10.0.0.1" + " " * (MAX_CHARS - 10) + ",b") == ["b"]
    assert split_list("10.0.0.1" + " " * (MAX_CHARS - 10) + ",b") == ["b", "10.0.0.1"]
    assert split_list("1" * (MAX_CHARS + 1)) == []


PORTS: dict[str, tuple[str, str | None]] = {
    "IPv4": ("192.0.2.1", "192.0.2.1"),
    "IPv4 with a port": ("192.0.2.1:4711", "192.0.2.1"),
    "IPv6": ("2001:db8::1", "2001:db8::1"),
    "IPv6 in brackets": ("[2001:db8::1]", "2001:db8::1"),
    "IPv6 with a port": ("[2001:db8::1]:4711", "2001:db8::1"),
    "port 0": ("192.0.2.1:0", None),
    "port of a word": ("192.0.2.1:http", None),
    "obfuscated port": ("192.0.2.1:_p", None),
    "no port": ("192.0.2.1:", None),
    "port too high": ("[2001:db8::1]:65536", None),
    "colon without a port": ("[2001:db8::1]:", None),
    "text after the bracket": ("[2001:db8::1]4711", None),
    "bracket open": ("[2001:db8::1", None),
    "brackets twice": ("[2001:db8::1]]", None),
    "IPv4 in brackets": ("[192.0.2.1]", None),
    "nothing in brackets": ("[]", None),
}


@pytest.mark.parametrize(("node", "address"), PORTS.values(), ids=PORTS)
def test_a_port_is_taken_off_an_address(node: str, address: str | None) -> None:
    assert strip_port(node) == address


X_FOR = {"HTTP_X_FORWARDED_FOR": "a, b"}
X_ALL = {
    **X_FOR,
    "HTTP_X_FORWARDED_PROTO": "http, https ",
    "HTTP_X_FORWARDED_HOST": "left,right",
    "HTTP_X_FORWARDED_PORT": "1,2",
}
RFC = {"HTTP_FORWARDED": "for=c;host=left, for=d;proto=http;host=h"}
NOTHING = (None, None, None)

FAMILIES: dict[str, tuple[ForwardedHeader, dict[str, str], list[str], tuple[str | None, ...]]] = {
    "auto, both": ("auto", {**X_ALL, **RFC}, ["b", "a"], ("https", "right", "2")),
    "auto, X only": ("auto", X_FOR, ["b", "a"], NOTHING),
    "auto, Forwarded only": ("auto", RFC, ["d", "c"], ("http", "h", None)),
    "auto, X without For": ("auto", {"HTTP_X_FORWARDED_PROTO": "https", **RFC}, [], ("https", None, None)),
    "auto, another X": ("auto", {"HTTP_X_FORWARDED_PREFIX": "/x", **RFC}, ["d", "c"], ("http", "h", None)),
    "auto, nothing": ("auto", {}, [], NOTHING),
    "x-forwarded, both": ("x-forwarded", {**X_ALL, **RFC}, ["b", "a"], ("https", "right", "2")),
    "x-forwarded, Forwarded only": ("x-forwarded", RFC, [], NOTHING),
    "forwarded, both": ("forwarded", {**X_ALL, **RFC}, ["d", "c"], ("http", "h", None)),
    "forwarded, X only": ("forwarded", X_ALL, [], NOTHING),
    "forwarded, last unreadable": ("forwarded", {"HTTP_FORWARDED": "for=a;proto=https,"}, [None], NOTHING),
}


@pytest.mark.parametrize(("family", "headers", "nodes", "others"), FAMILIES.values(), ids=FAMILIES)
def test_one_family_is_read_and_the_other_is_not(
    family: ForwardedHeader, headers: dict[str, str], nodes: list[str | None], others: tuple[str | None, ...]
) -> None:
    claims = read_claims(headers, family=family)

    assert list(claims.nodes) == nodes
    assert (claims.proto, claims.host, claims.port) == others
