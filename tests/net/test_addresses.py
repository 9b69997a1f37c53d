"""Who is taken for the client, of which scheme and host: the walk from the right, and where it ends."""

from __future__ import annotations

import time
from ipaddress import ip_network
from typing import Any

import pytest

from flask_guard.config.kinds import Network
from flask_guard.net.addresses import ClientReader
from flask_guard.values import Client

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))
PEER = "10.0.0.1"
CLIENT = "203.0.113.9"


def read(*trusted: Network | str, family: Any = "auto", **environ: str) -> Client:
    """What a new reader says of a request; the peer is a proxy inside of PROXIES unless it is given."""
    sent = {"REMOTE_ADDR": PEER, "wsgi.url_scheme": "http", "HTTP_HOST": "example.com", **environ}
    return ClientReader(trusted, family=family).read(sent)  # type: ignore[arg-type]  # "unix" is a str here


def walk(x_forwarded_for: str) -> str:
    return read(*PROXIES, HTTP_X_FORWARDED_FOR=x_forwarded_for).address


def test_without_proxies_the_peer_is_the_client() -> None:
    assert read(REMOTE_ADDR=CLIENT) == Client(CLIENT, CLIENT, "http", "example.com")


PEERS = {
    "IPv4": (CLIENT, CLIENT, CLIENT),
    "IPv6": ("2001:DB8:0:0::1", "2001:db8::1", "2001:db8::/64"),
    "IPv6 of another /64": ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    "mapped": ("::ffff:203.0.113.9", CLIENT, CLIENT),
    "mapped in hexadecimal": ("::FFFF:cb00:7109", CLIENT, CLIENT),
    "zone": ("fe80::1%eth0", "fe80::1", "fe80::/64"),
    "UNIX socket": ("", "", "unix"),
    "UNIX socket of waitress": ("localhost", "", "unix"),
    "UNIX socket of Werkzeug": ("<local>", "", "unix"),
    "path of a UNIX socket": ("/run/peer.sock", "", "unix"),
}


@pytest.mark.parametrize(("peer", "address", "network"), PEERS.values(), ids=PEERS)
def test_a_peer_has_one_spelling(peer: str, address: str, network: str) -> None:
    client = read(REMOTE_ADDR=peer)

    assert (client.address, client.network) == (address, network)


def test_a_server_that_names_no_peer_has_one_without_an_address() -> None:
    environ: dict[str, Any] = {"wsgi.url_scheme": "http", "HTTP_HOST": "example.com"}

    assert ClientReader().read(environ).address == ""
    assert ClientReader().read({**environ, "REMOTE_ADDR": None}).network == "unix"


SPOOFS = {
    "X-Forwarded-For": {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    "all of X-Forwarded": {
        "HTTP_X_FORWARDED_FOR": PEER,
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "evil.example",
        "HTTP_X_FORWARDED_PORT": "444",
    },
    "Forwarded": {"HTTP_FORWARDED": "for=127.0.0.1;proto=https;host=evil.example"},
    "X-Real-IP": {"HTTP_X_REAL_IP": "127.0.0.1"},
}


@pytest.mark.parametrize("headers", SPOOFS.values(), ids=SPOOFS)
@pytest.mark.parametrize("trusted", [(), PROXIES, ("unix",)], ids=["none", "others", "unix"])
def test_a_peer_that_is_not_trusted_is_not_believed(trusted: tuple[Any, ...], headers: dict[str, str]) -> None:
    assert read(*trusted, REMOTE_ADDR=CLIENT, **headers) == Client(CLIENT, CLIENT, "http", "example.com")


WALKS = {
    "one": (CLIENT, CLIENT),
    "spoof prepended": (f"127.0.0.1, 10.0.0.9, {CLIENT}", CLIENT),
    "spoofed client before a proxy": (f"198.51.100.1, {CLIENT}, 10.2.2.2", CLIENT),
    "proxies behind it": (f"{CLIENT}, 10.1.1.1,10.2.2.2 ,\t10.3.3.3", CLIENT),
    "all trusted": ("10.1.1.1, 10.2.2.2, 10.3.3.3", "10.1.1.1"),
    "IPv6": ("2001:db8::5, 2001:db8:ffff::1", "2001:db8::5"),
    "IPv6 in brackets": ("[2001:db8::5]", "2001:db8::5"),
    "IPv6 with a port": ("[2001:DB8::5]:4711", "2001:db8::5"),
    "IPv4 with a port": (f"{CLIENT}:4711, 10.1.1.1:80", CLIENT),
    "mapped client": ("::ffff:203.0.113.9", CLIENT),
    "mapped proxy": (f"{CLIENT}, ::ffff:10.1.1.1", CLIENT),
    "mapped in brackets": ("[::ffff:203.0.113.9]:1", CLIENT),
    "one client twice": (f"{CLIENT},{CLIENT}", CLIENT),
}


@pytest.mark.parametrize(("header", "address"), WALKS.values(), ids=WALKS)
def test_the_first_from_the_right_that_is_not_trusted_is_the_client(header: str, address: str) -> None:
    assert walk(header) == address


JUNK = {
    "empty": "",
    "space": " ",
    "word": "unknown",
    "obfuscated": "_hidden",
    "name": "example.com",
    "markup": "<script>alert(1)</script>",
    "quoted": f'"{CLIENT}"',
    "zone": "fe80::1%eth0",
    "zone in brackets": "[fe80::1%25eth0]",
    "zero in front": "203.0.113.09",
    "short": "127.1",
    "number": "2130706433",
    "hexadecimal": "0x7f.0.0.1",
    "five parts": "203.0.113.9.1",
    "out of range": "203.0.113.256",
    "network": "203.0.113.0/24",
    "URL": "http://203.0.113.9",
    "two": "203.0.113.9 203.0.113.8",
    "line end": "203.0.113.9\n",
    "null": "203.0.113.9\x00",
    "other digits": "\u0662\u0660\u0663.0.113.9",
    "port too high": "203.0.113.9:65536",
    "port of a word": "203.0.113.9:http",
    "bracket open": "[2001:db8::5",
    "IPv6 too long": "2001:db8::00005",
    "IPv6 twice shortened": "2001::db8::5",
    "IPv4 in brackets": "[203.0.113.9]",
    "RFC 7239": "for=203.0.113.9",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_what_is_no_address_ends_the_walk_at_the_last_good_one(junk: str) -> None:
    assert walk(f"198.51.100.1, {junk}, 10.1.1.1, 10.2.2.2") == "10.1.1.1"
    assert walk(f"198.51.100.1, {junk}") == PEER


def test_junk_is_not_replaced_by_another_header() -> None:
    headers = {"HTTP_X_FORWARDED_FOR": "unknown", "HTTP_X_REAL_IP": CLIENT, "HTTP_FORWARDED": f"for={CLIENT}"}

    assert read(*PROXIES, **headers).address == PEER


def test_junk_left_of_the_client_is_not_looked_at() -> None:
    assert walk(f"<script>, ,, {CLIENT}, 10.1.1.1") == CLIENT


def test_no_more_than_32_elements_are_walked() -> None:
    assert walk(", ".join([CLIENT, *["10.1.1.1"] * 31])) == CLIENT
    assert walk(", ".join([CLIENT, "10.9.9.9", *["10.1.1.1"] * 31])) == "10.9.9.9"
    assert walk(", ".join([CLIENT, "10.9.9.9", *["10.1.1.1"] * 32])) == "10.1.1.1"


@pytest.mark.parametrize("element", ["10.1.1.1,", "203.0.113.9,", ",", "x,", "[::1%", "10.1.1.1", '"\\'])
def test_ten_thousand_elements_take_no_time(element: str) -> None:
    reader = ClientReader(PROXIES)
    environ = {"REMOTE_ADDR": PEER, "wsgi.url_scheme": "http", "HTTP_HOST": "example.com"}
    began = time.perf_counter()

    for name in ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED"):
        reader.read({**environ, name: element * 10_000})

    assert time.perf_counter() - began < 0.1


FORWARDED = {
    "one": (f"for={CLIENT}", CLIENT),
    "spoof prepended": (f"for=127.0.0.1, for={CLIENT}, for=10.1.1.1", CLIENT),
    "quoted IPv6 with a port": ('for="[2001:db8::5]:4711";proto=http', "2001:db8::5"),
    "escaped": (r'for="\2\0\3.0.113.9"', CLIENT),
    "comma in quotes": (f'for={CLIENT};x="a, for=127.0.0.1", for=10.1.1.1;host="a,b;for=127.0.0.1"', CLIENT),
    "case of names": (f"FoR={CLIENT};PROTO=http", CLIENT),
    "all trusted": ("for=10.1.1.1, for=10.2.2.2", "10.1.1.1"),
    "unknown": ("for=198.51.100.1, for=unknown, for=10.1.1.1", "10.1.1.1"),
    "obfuscated": ("for=198.51.100.1, for=_SEVKISEK, for=10.1.1.1", "10.1.1.1"),
    "no for": ("for=198.51.100.1, by=_x, for=10.1.1.1", "10.1.1.1"),
    "malformed": ('for=198.51.100.1, for="10.1.1.2, for=10.1.1.1', "10.1.1.1"),
    "bare": ("198.51.100.1", PEER),
    "empty": ("", PEER),
}


@pytest.mark.parametrize(("header", "address"), FORWARDED.values(), ids=FORWARDED)
def test_forwarded_is_walked_the_same_way(header: str, address: str) -> None:
    assert read(*PROXIES, HTTP_FORWARDED=header).address == address


@pytest.mark.parametrize(
    ("family", "address"),
    [("auto", CLIENT), ("x-forwarded", CLIENT), ("forwarded", "198.51.100.1")],
    ids=["auto", "x-forwarded", "forwarded"],
)
def test_two_families_are_never_merged(family: str, address: str) -> None:
    headers = {"HTTP_X_FORWARDED_FOR": CLIENT, "HTTP_FORWARDED": "for=198.51.100.1;proto=https;host=evil.example"}

    client = read(*PROXIES, family=family, **headers)

    assert client.address == address
    assert client.origin == ("https://evil.example" if family == "forwarded" else "http://example.com")


@pytest.mark.parametrize("peer", ["", "localhost"], ids=["gunicorn", "waitress"])
def test_a_unix_socket_is_trusted_only_where_it_is_named(peer: str) -> None:
    headers = {
        "REMOTE_ADDR": peer,
        "HTTP_X_FORWARDED_FOR": f"198.51.100.1, {CLIENT}",
        "HTTP_X_FORWARDED_PROTO": "https",
    }

    assert read("unix", **headers) == Client(CLIENT, CLIENT, "https", "example.com")
    assert read(*PROXIES, **headers) == Client("", "unix", "http", "example.com")


def test_a_mapped_peer_is_inside_of_an_ipv4_network() -> None:
    assert read(*PROXIES, REMOTE_ADDR="::ffff:10.0.0.1", HTTP_X_FORWARDED_FOR=CLIENT).address == CLIENT


SCHEMES = {
    "https": ("http", "https", "https"),
    "http": ("https", "http", "http"),
    "capitals": ("http", "HTTPS", "https"),
    "the nearest counts": ("http", "http, https", "https"),
    "the nearest counts, too": ("http", "https,http", "http"),
    "other": ("http", "ftp", "http"),
    "empty": ("https", "", "https"),
    "the nearest is junk": ("http", "https, x", "http"),
    "quoted": ("http", '"https"', "http"),
    "with a colon": ("http", "https:", "http"),
    "script": ("http", "javascript", "http"),
}


@pytest.mark.parametrize(("served", "header", "scheme"), SCHEMES.values(), ids=SCHEMES)
def test_the_scheme_is_what_the_nearest_proxy_says(served: str, header: str, scheme: str) -> None:
    assert read(*PROXIES, **{"wsgi.url_scheme": served}, HTTP_X_FORWARDED_PROTO=header).scheme == scheme


def test_a_scheme_that_is_neither_counts_as_http() -> None:
    assert read(**{"wsgi.url_scheme": "gopher"}).scheme == "http"


HOSTS = {
    "forwarded": ({"HTTP_X_FORWARDED_HOST": "Shop.Example"}, "shop.example"),
    "the nearest counts": ({"HTTP_X_FORWARDED_HOST": "evil.example, shop.example"}, "shop.example"),
    "with a port": ({"HTTP_X_FORWARDED_HOST": "shop.example:8443"}, "shop.example:8443"),
    "port of the scheme that is believed": (
        {"HTTP_X_FORWARDED_HOST": "shop.example:443", "HTTP_X_FORWARDED_PROTO": "https"},
        "shop.example",
    ),
    "junk": ({"HTTP_X_FORWARDED_HOST": "evil.example/path"}, "example.com"),
    "the nearest is junk": ({"HTTP_X_FORWARDED_HOST": "evil.example, "}, "example.com"),
    "forwarded port": ({"HTTP_X_FORWARDED_PORT": "8443"}, "example.com:8443"),
    "forwarded port replaces": (
        {"HTTP_X_FORWARDED_HOST": "shop.example:1", "HTTP_X_FORWARDED_PORT": "1, 2"},
        "shop.example:2",
    ),
    "forwarded port of IPv6": (
        {"HTTP_X_FORWARDED_HOST": "[::1]:8000", "HTTP_X_FORWARDED_PORT": "8443"},
        "[::1]:8443",
    ),
    "forwarded port of the scheme": (
        {"HTTP_HOST": "example.com:8000", "HTTP_X_FORWARDED_PORT": "443", "HTTP_X_FORWARDED_PROTO": "https"},
        "example.com",
    ),
    "forwarded port is junk": ({"HTTP_X_FORWARDED_PORT": "0"}, "example.com"),
    "forwarded port is not ascii": ({"HTTP_X_FORWARDED_PORT": "\xb2"}, "example.com"),
    "RFC 7239": ({"HTTP_FORWARDED": 'for=x;host="Shop.Example:8080"'}, "shop.example:8080"),
    "RFC 7239, the nearest counts": ({"HTTP_FORWARDED": "host=evil.example, for=10.1.1.1"}, "example.com"),
    "Host is junk": ({"HTTP_HOST": "evil com"}, None),
    "Host is junk, port forwarded": ({"HTTP_HOST": "evil com", "HTTP_X_FORWARDED_PORT": "8443"}, None),
    "Host is junk, host forwarded": (
        {"HTTP_HOST": "evil com", "HTTP_X_FORWARDED_HOST": "shop.example"},
        "shop.example",
    ),
    "two Hosts": ({"HTTP_HOST": "example.com, evil.example"}, None),
    "empty Host": ({"HTTP_HOST": ""}, None),
}


@pytest.mark.parametrize(("environ", "host"), HOSTS.values(), ids=HOSTS)
def test_the_host_is_what_the_nearest_proxy_says(environ: dict[str, str], host: str | None) -> None:
    assert read(*PROXIES, **environ).host == host


SERVERS = {
    "IPv4": ({"SERVER_NAME": "192.0.2.1", "SERVER_PORT": "8000"}, "192.0.2.1:8000"),
    "default port": ({"SERVER_NAME": "192.0.2.1", "SERVER_PORT": "80"}, "192.0.2.1"),
    "IPv6": ({"SERVER_NAME": "::1", "SERVER_PORT": "8000"}, "[::1]:8000"),
    "UNIX socket of gunicorn": ({"SERVER_NAME": "/run/app.sock", "SERVER_PORT": ""}, None),
    "UNIX socket of waitress": ({"SERVER_NAME": "waitress.invalid", "SERVER_PORT": "/run/app.sock"}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("server", "host"), SERVERS.values(), ids=SERVERS)
def test_without_a_host_header_the_host_is_the_address_of_the_server(server: dict[str, str], host: str | None) -> None:
    reader = ClientReader()
    environ = {"REMOTE_ADDR": CLIENT, "wsgi.url_scheme": "http"}
    reader.read({**environ, "SERVER_NAME": "other.example", "SERVER_PORT": "1"})

    assert reader.read({**environ, **server}).host == host
