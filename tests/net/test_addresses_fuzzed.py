"""Reading the client, fuzzed: it never fails, and nothing that a client can write makes it another."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.net.addresses import FORWARDED_HEADERS, FORWARDED_KEY, ClientReader
from flask_guard.net.forwarded import READ_HEADERS
from flask_guard.net.hosts import parse_host

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))
BASE = {"REMOTE_ADDR": "10.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": "example.com"}
READER = ClientReader(PROXIES)

# What servers hand over is latin-1; pieces of the grammars make what is nearly right frequent.
pieces = st.sampled_from(
    [
        "10.0.0.2",
        "198.51.100.7",
        "2001:db8::1",
        "[2001:db8::1]",
        ":80",
        ",",
        ", ",
        '"',
        "\\",
        ";",
        "for=",
        "_x",
        "%eth0",
    ]
)
texts = st.lists(pieces | st.text(st.characters(max_codepoint=255), max_size=5), max_size=12).map("".join)
clients = st.ip_addresses().filter(
    lambda address: (
        getattr(address, "ipv4_mapped", None) is None
        and not any(address in network for network in PROXIES if network.version == address.version)
    )
)
proxies = st.lists(
    st.integers(0, 2**24 - 1).map(lambda number: str(ip_address(0x0A000000 + number)))
    | st.integers(0, 2**80 - 1).map(lambda number: str(ip_address((0x20010DB8FFFF << 80) + number))),
    max_size=8,
)
ports = st.sampled_from(["", ":1", ":65535"])


@given(
    environ=st.fixed_dictionaries(
        {},
        optional={
            **{name: texts for name in sorted(FORWARDED_HEADERS)},
            "REMOTE_ADDR": texts | st.sampled_from(["10.0.0.1", "", "localhost"]),
            "HTTP_HOST": texts,
            "SERVER_NAME": texts,
            "SERVER_PORT": texts,
            "wsgi.url_scheme": texts | st.sampled_from(["http", "https"]),
            "HTTP_X_FORWARDED_USER": texts,
        },
    ),
    family=st.sampled_from(["auto", "x-forwarded", "forwarded"]),
    trusted=st.sampled_from([(), PROXIES, ("unix",), (*PROXIES, "unix")]),
)
def test_whatever_is_sent_is_read_without_an_error(environ: dict[str, Any], family: Any, trusted: Any) -> None:
    reader = ClientReader(trusted, family=family)
    hops = reader.explain(environ)

    client = reader.read(environ)

    assert client.address == "" or str(ip_address(client.address)) == client.address
    assert client.scheme in ("http", "https")
    assert client.host is None or parse_host(client.host, client.scheme) == client.host
    assert environ["REMOTE_ADDR"] == client.address
    assert environ["wsgi.url_scheme"] == client.scheme
    assert client.host is None or environ["HTTP_HOST"] == client.host
    assert not any("FORWARDED" in name for name in environ)
    assert FORWARDED_HEADERS.isdisjoint(environ)
    assert [hop.address for hop in hops if hop.is_client] == [client.address or "unix"]
    assert reader.explain(environ) == hops


def write_node(address: str, port: str) -> str:
    return f"[{address}]{port}" if ":" in address else f"{address}{port}"


@given(left=texts, client=clients, port=ports, behind=proxies, comma=st.sampled_from([",", ", "]))
def test_nobody_left_of_the_first_untrusted_is_the_client(
    left: str, client: Any, port: str, behind: list[str], comma: str
) -> None:
    chain = comma.join([left, write_node(str(client), port), *behind])

    assert READER.read({**BASE, "HTTP_X_FORWARDED_FOR": chain}).address == str(client)


@given(left=texts, client=clients, port=ports, behind=proxies, comma=st.sampled_from([",", ", "]))
def test_nor_in_forwarded(left: str, client: Any, port: str, behind: list[str], comma: str) -> None:
    nodes = [write_node(str(client), port), *behind]
    chain = comma.join([left, *(f'for="{node}";proto=http' for node in nodes)])

    assert READER.read({**BASE, "HTTP_FORWARDED": chain}).address == str(client)


@given(
    left=texts, junk=st.sampled_from(["", "x", "10.0.0.1 ,", "fe80::1%1", '"10.0.0.2"', "010.0.0.1"]), behind=proxies
)
def test_junk_makes_the_last_proxy_before_it_the_client(left: str, junk: str, behind: list[str]) -> None:
    chain = ",".join([left, junk, *behind])

    assert READER.read({**BASE, "HTTP_X_FORWARDED_FOR": chain}).address == (behind[0] if behind else "10.0.0.1")


@pytest.mark.parametrize("name", READ_HEADERS)
@given(text=texts, peer=clients)
def test_a_stranger_changes_nothing(name: str, text: str, peer: Any) -> None:
    environ = {**BASE, "REMOTE_ADDR": str(peer)}

    client = READER.read(sent := {**environ, name: text})

    assert (client.address, client.scheme, client.host) == (str(peer), "http", "example.com")
    assert {key: value for key, value in sent.items() if key != FORWARDED_KEY} == environ
