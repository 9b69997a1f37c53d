"""What a view finds in the environment after the client was read: what is believed, and no forwarded header."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from flask_guard.net.addresses import FORWARDED_KEY, ClientReader

PROXIES = (ip_network("10.0.0.0/8"),)
CLIENT = "203.0.113.9"
BASE = {
    "REMOTE_ADDR": "10.0.0.1",
    "REMOTE_PORT": "4711",
    "REMOTE_HOST": "10.0.0.1",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "example.com",
    "SERVER_NAME": "0.0.0.0",
    "SERVER_PORT": "8000",
    "PATH_INFO": "/",
    "HTTP_ACCEPT": "*/*",
}
# Not all of them exist: any name with the mark goes.
REMOVED = [
    *("X_FORWARDED_FOR", "X_FORWARDED_PROTO", "X_FORWARDED_HOST", "X_FORWARDED_PORT", "X_FORWARDED_PREFIX"),
    *("X_FORWARDED_SERVER", "X_FORWARDED_SCHEME", "X_FORWARDED_SSL", "X_FORWARDED_BY", "X_FORWARDED_USER"),
    *("X_FORWARDED", "X_FORWARDED_X" * 20, "FORWARDED", "FORWARDED_FOR", "X_ORIGINAL_FORWARDED_FOR"),
    *("X_REAL_IP", "X_CLIENT_IP", "CLIENT_IP", "TRUE_CLIENT_IP", "CF_CONNECTING_IP", "X_CLUSTER_CLIENT_IP"),
]
KEPT = ["X_REQUEST_ID", "FORWARD", "X_FORWARD_FOR", "VIA", "X_REAL", "COOKIE", "Z" * 100]


def read(trusted: tuple[Any, ...] = PROXIES, **changes: str) -> dict[str, Any]:
    """Return the environment after a new reader has read it twice, as it does the second time from memory."""
    reader = ClientReader(trusted)
    first, second = {**BASE, **changes}, {**BASE, **changes}
    assert reader.read(first) == reader.read(second)
    assert first == second
    return second


@pytest.mark.parametrize("name", REMOVED, ids=lambda name: name[:24])
@pytest.mark.parametrize("trusted", [(), PROXIES], ids=["not trusted", "trusted"])
def test_every_forwarded_header_is_taken_out_and_kept_aside(trusted: tuple[Any, ...], name: str) -> None:
    environ = read(trusted, **{f"HTTP_{name}": "198.51.100.7"})

    assert f"HTTP_{name}" not in environ
    assert environ[FORWARDED_KEY] == {
        f"HTTP_{name}": "198.51.100.7",
        "REMOTE_ADDR": "10.0.0.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "example.com",
    }


@pytest.mark.parametrize("name", KEPT, ids=lambda name: name[:24])
def test_other_headers_stay(name: str) -> None:
    assert read(**{f"HTTP_{name}": "x"}) == {**BASE, f"HTTP_{name}": "x"}


def test_a_variable_that_is_no_header_stays() -> None:
    """A CGI script finds the variables of its process beside the headers."""
    assert read(FORWARDED_ALLOW_IPS="*") == {**BASE, "FORWARDED_ALLOW_IPS": "*"}


def test_a_header_of_a_new_name_is_taken_out_after_thousands_of_others() -> None:
    reader = ClientReader(PROXIES)
    for number in range(10_000):
        reader.read({**BASE, f"HTTP_X_{number}": "x"})
    environ = {**BASE, "HTTP_X_9999": "x", "HTTP_X_FORWARDED_NEW": "x"}

    reader.read(environ)

    assert "HTTP_X_FORWARDED_NEW" not in environ
    assert environ["HTTP_X_9999"] == "x"
    assert len(reader._harmless) <= 4096 + len(BASE) + 1


def test_without_forwarded_headers_nothing_is_kept_aside() -> None:
    assert read() == BASE


def test_what_is_believed_of_a_proxy_is_written() -> None:
    environ = read(
        HTTP_X_FORWARDED_FOR=f"127.0.0.1, {CLIENT}",
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="Shop.Example",
        HTTP_X_FORWARDED_PORT="8443",
        HTTP_X_FORWARDED_PREFIX="/admin",
    )

    assert {name: value for name, value in environ.items() if name != FORWARDED_KEY} == {
        "REMOTE_ADDR": CLIENT,
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "shop.example:8443",
        "SERVER_NAME": "0.0.0.0",
        "SERVER_PORT": "8443",
        "PATH_INFO": "/",
        "HTTP_ACCEPT": "*/*",
    }


def test_of_a_peer_that_is_not_trusted_nothing_is_written() -> None:
    headers = {
        "HTTP_X_FORWARDED_FOR": CLIENT,
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "evil.example",
        "HTTP_X_FORWARDED_PORT": "444",
    }

    environ = read((), **headers)

    assert environ.pop(FORWARDED_KEY).items() >= headers.items()
    assert environ == BASE


PORTS = {
    "none": ({"HTTP_X_FORWARDED_FOR": CLIENT}, "8000"),
    "of https": ({"HTTP_X_FORWARDED_PROTO": "https"}, "443"),
    "of http": ({"HTTP_X_FORWARDED_PROTO": "http"}, "80"),
    "of the host": ({"HTTP_X_FORWARDED_HOST": "shop.example:81"}, "81"),
    "of Host": ({"HTTP_X_FORWARDED_PROTO": "https", "HTTP_HOST": "example.com:8443"}, "8443"),
    "forwarded": ({"HTTP_X_FORWARDED_PORT": "82"}, "82"),
    "Host is junk": ({"HTTP_X_FORWARDED_PORT": "82", "HTTP_HOST": "evil com"}, "8000"),
}


@pytest.mark.parametrize(("headers", "port"), PORTS.values(), ids=PORTS)
def test_the_port_is_that_of_the_url_that_is_believed(headers: dict[str, str], port: str) -> None:
    assert read(**headers)["SERVER_PORT"] == port


def test_the_port_is_written_whichever_port_the_server_listens_on() -> None:
    reader = ClientReader(PROXIES)
    environs = [{**BASE, "SERVER_PORT": port, "HTTP_X_FORWARDED_PROTO": "https"} for port in ("443", "8000")]

    for environ in environs:
        reader.read(environ)

    assert [environ["SERVER_PORT"] for environ in environs] == ["443", "443"]


def test_the_peer_is_written_in_canonical_form_and_keeps_its_port() -> None:
    environ = read(REMOTE_ADDR="::ffff:192.0.2.1", HTTP_HOST="Example.COM.:80")

    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.1", "4711")
    assert environ["HTTP_HOST"] == "example.com"
    assert environ["SERVER_PORT"] == "8000"


def test_a_host_that_is_none_stays_for_who_refuses_it() -> None:
    assert read(HTTP_HOST="evil com")["HTTP_HOST"] == "evil com"


def test_a_request_without_a_host_is_given_that_of_the_server() -> None:
    environ: dict[str, Any] = {name: value for name, value in BASE.items() if name != "HTTP_HOST"}

    client = ClientReader().read(environ)

    assert client.host == environ["HTTP_HOST"] == "0.0.0.0:8000"


@pytest.mark.parametrize("trusted", [(), PROXIES, (ip_network("0.0.0.0/0"), "unix")], ids=["none", "some", "all"])
@pytest.mark.parametrize("peer", ["10.0.0.1", "192.0.2.1", "::ffff:10.0.0.1", "localhost", ""])
def test_reading_twice_changes_nothing(trusted: tuple[Any, ...], peer: str) -> None:
    reader = ClientReader(trusted)
    environ = {**BASE, "REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": f"{CLIENT}, 10.1.1.1", "HTTP_X_REAL_IP": "x"}
    client = reader.read(environ)
    after = dict(environ)

    assert reader.read(environ) == client
    assert reader.get_client(environ) == client
    assert environ == after


def test_asking_for_the_client_changes_nothing() -> None:
    reader = ClientReader(PROXIES)
    environ = {**BASE, "HTTP_X_FORWARDED_FOR": CLIENT, "HTTP_X_FORWARDED_PROTO": "https"}
    before = dict(environ)

    client = reader.get_client(environ)

    assert environ == before
    assert client == reader.read(environ)
