"""The stations of a request, told for people: who is a proxy, who is the client, and why."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from flask_guard.net.addresses import ClientReader, Hop

PROXIES = (ip_network("10.0.0.0/8"), "unix")
PASSED = "It is a trusted proxy, so whom it names is looked at."
STRANGER = "It is not a trusted proxy, so it is the client, and nobody that it may name is believed."
ENDED = "It is a trusted proxy, but no address stands left of it, so it is taken for the client."
NO_ADDRESS = "This is not an address, so the walk ends before it."
LEFT = "It stands left of where the walk ended, so anybody may have written it."

CHAINS: dict[str, tuple[tuple[Any, ...], str, dict[str, str], list[tuple[str, bool, bool, str]]]] = {
    "nobody in between": ((), "203.0.113.9", {}, [("203.0.113.9", False, True, STRANGER)]),
    "not trusted": (
        (),
        "10.0.0.1",
        {"HTTP_X_FORWARDED_FOR": "203.0.113.9"},
        [("10.0.0.1", False, True, STRANGER), ("203.0.113.9", False, False, LEFT)],
    ),
    "proxies": (
        PROXIES,
        "::ffff:10.0.0.1",
        {"HTTP_X_FORWARDED_FOR": "10.9.9.9, x, 203.0.113.9:80, 10.2.2.2"},
        [
            ("10.0.0.1", True, False, PASSED),
            ("10.2.2.2", True, False, PASSED),
            ("203.0.113.9", False, True, STRANGER),
            ("x", False, False, LEFT),
            ("10.9.9.9", True, False, LEFT),
        ],
    ),
    "proxies only": (
        PROXIES,
        "localhost",
        {"HTTP_X_FORWARDED_FOR": "10.1.1.1"},
        [("unix", True, False, PASSED), ("10.1.1.1", True, True, ENDED)],
    ),
    "a proxy that names nobody": (PROXIES, "", {}, [("unix", True, True, ENDED)]),
    "junk": (
        PROXIES,
        "10.0.0.1",
        {"HTTP_X_FORWARDED_FOR": "203.0.113.9,\x1b[31m\xe4" + "x" * 99},
        [
            ("10.0.0.1", True, True, ENDED),
            ("\\x1b[31m\\xe4" + "x" * 48, False, False, NO_ADDRESS),
            ("203.0.113.9", False, False, LEFT),
        ],
    ),
    "empty": (
        PROXIES,
        "10.0.0.1",
        {"HTTP_X_FORWARDED_FOR": ""},
        [("10.0.0.1", True, True, ENDED), ("(unreadable)", False, False, NO_ADDRESS)],
    ),
    "Forwarded": (
        PROXIES,
        "10.0.0.1",
        {"HTTP_FORWARDED": 'for=unknown, for="[2001:db8::5]:1";host=x, for=10.1.1.1'},
        [
            ("10.0.0.1", True, False, PASSED),
            ("10.1.1.1", True, False, PASSED),
            ("2001:db8::5", False, True, STRANGER),
            ("unknown", False, False, LEFT),
        ],
    ),
    "Forwarded, unreadable": (
        PROXIES,
        "10.0.0.1",
        {"HTTP_FORWARDED": 'for=203.0.113.9, for="x'},
        [("10.0.0.1", True, True, ENDED), ("(unreadable)", False, False, NO_ADDRESS)],
    ),
}


@pytest.mark.parametrize(("trusted", "peer", "headers", "hops"), CHAINS.values(), ids=CHAINS)
def test_every_station_is_told_with_the_reason(
    trusted: tuple[Any, ...], peer: str, headers: dict[str, str], hops: list[tuple[str, bool, bool, str]]
) -> None:
    reader = ClientReader(trusted)
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "example.com", **headers}
    before = dict(environ)

    explained = reader.explain(environ)

    assert explained == [Hop(*hop) for hop in hops]
    assert environ == before


@pytest.mark.parametrize(("trusted", "peer", "headers", "hops"), CHAINS.values(), ids=CHAINS)
def test_the_same_is_told_of_an_environment_that_was_read(
    trusted: tuple[Any, ...], peer: str, headers: dict[str, str], hops: list[tuple[str, bool, bool, str]]
) -> None:
    reader = ClientReader(trusted)
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "example.com", **headers}

    client = reader.read(environ)

    assert reader.explain(environ) == [Hop(*hop) for hop in hops]
    assert (client.address or "unix") == next(hop[0] for hop in hops if hop[2])


def test_no_more_is_told_than_is_read() -> None:
    header = "10.0.0.1," * 10_000

    assert len(ClientReader(PROXIES).explain({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": header})) <= 33
