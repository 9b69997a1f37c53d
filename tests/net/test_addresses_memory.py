"""What a reader remembers: bounded, the same for every thread, and told in the log once."""

from __future__ import annotations

import logging
import threading
from ipaddress import ip_network
from typing import Any

import pytest

from flask_guard.net.addresses import ClientReader

PROXIES = (ip_network("10.0.0.0/8"),)
BASE = {"REMOTE_ADDR": "10.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": "example.com"}


def test_memory_is_bounded_however_many_clients_come() -> None:
    reader = ClientReader(PROXIES)

    for number in range(10_000):
        address = f"192.0.{number // 256}.{number % 256}"
        assert reader.read({**BASE, "REMOTE_ADDR": address}).address == address
        assert reader.read({**BASE, "HTTP_X_FORWARDED_FOR": address}).address == address
        assert len(reader._beliefs) <= 4096


@pytest.mark.parametrize("name", ["HTTP_HOST", "HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_FORWARDED_HOST"])
def test_long_values_are_not_remembered(name: str) -> None:
    reader = ClientReader(PROXIES)

    for number in range(10):
        reader.read({**BASE, name: f"{number}" * 2000})

    assert reader._beliefs == {}


DIFFERENT = {
    "REMOTE_ADDR": ("10.0.0.1", "10.0.0.2"),
    "wsgi.url_scheme": ("http", "https"),
    "HTTP_HOST": ("example.com", "example.org"),
    "HTTP_X_FORWARDED_FOR": ("192.0.2.1", "192.0.2.2"),
    "HTTP_X_FORWARDED_PROTO": ("http", "https"),
    "HTTP_X_FORWARDED_HOST": ("example.com", "example.org"),
    "HTTP_X_FORWARDED_PORT": ("81", "82"),
    "HTTP_FORWARDED": ("for=192.0.2.1", "for=192.0.2.2"),
}


@pytest.mark.parametrize(("name", "values"), DIFFERENT.items(), ids=DIFFERENT)
@pytest.mark.parametrize("beside", [{}, {"HTTP_X_REAL_IP": "x"}], ids=["alone", "beside a header"])
def test_requests_that_differ_in_one_value_are_told_apart(
    name: str, values: tuple[str, str], beside: dict[str, str]
) -> None:
    reader = ClientReader(PROXIES)

    first, second = (reader.read({**BASE, **beside, name: value}) for value in values)

    assert first != second
    assert first == reader.read({**BASE, **beside, name: values[0]})


def test_headers_that_are_not_read_are_not_remembered() -> None:
    reader = ClientReader(PROXIES)

    for number in range(10):
        reader.read({**BASE, "HTTP_X_FORWARDED_ACCESS_TOKEN": f"{number}"})

    assert len(reader._beliefs) == 1


def test_threads_get_the_answers_that_one_alone_gets() -> None:
    reader = ClientReader(PROXIES)
    requests = [
        {**BASE, "REMOTE_ADDR": f"{peer}.0.0.{number}", f"HTTP_X_{number}": "x", header: f"198.51.100.{number}"}
        for number in range(100)
        for peer in (10, 192)
        for header in ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", f"HTTP_X_FORWARDED_{number}")
    ]
    expected = [ClientReader(PROXIES).read(dict(each)) for each in requests]
    wrong: list[Any] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(5):
            for request, client in zip(requests, expected, strict=True):
                environ = dict(request)
                if reader.read(environ) != client or any("FORWARDED" in name for name in environ):
                    wrong.append(request)
                if len(reader._beliefs) > 50:
                    reader._beliefs.clear()
                    reader._harmless.clear()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def records(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "flask_guard.net"]


LOST = {
    "private": ("10.9.9.9", "10.9.9.9", "GUARD_TRUSTED_PROXIES=10.9.9.9."),
    "loopback": ("::1", "::1", "GUARD_TRUSTED_PROXIES=::1."),
    "shared": ("100.64.0.1", "100.64.0.1", "GUARD_TRUSTED_PROXIES=100.64.0.1."),
    "UNIX socket": ("", "unix", "GUARD_TRUSTED_PROXIES=unix."),
}


@pytest.mark.parametrize(("peer", "name", "remedy"), LOST.values(), ids=LOST)
@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_FORWARDED_X"])
def test_a_private_peer_that_forwards_while_nobody_is_trusted_is_an_error_with_the_remedy(
    caplog: pytest.LogCaptureFixture, peer: str, name: str, remedy: str, header: str
) -> None:
    reader = ClientReader()

    for number in range(3):
        reader.read({**BASE, "REMOTE_ADDR": peer, header: f"for=198.51.100.{number}-canary"})

    [(level, message)] = records(caplog)
    assert level == logging.ERROR
    assert f"Forwarded headers from {name}, " in message
    assert message.endswith(remedy)
    assert "198.51.100" not in message
    assert "canary" not in message


STRANGERS = {
    "public, nobody trusted": ((), "9.9.9.9"),
    "public": (PROXIES, "9.9.9.9"),
    "private": (PROXIES, "192.168.1.1"),
    "UNIX socket": (PROXIES, "unix"),
}


@pytest.mark.parametrize(("trusted", "peer"), STRANGERS.values(), ids=STRANGERS)
def test_another_peer_that_forwards_is_one_warning(
    caplog: pytest.LogCaptureFixture, trusted: tuple[Any, ...], peer: str
) -> None:
    reader = ClientReader(trusted)

    for number in range(3):
        reader.read({**BASE, "REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": f"198.51.100.{number}"})

    assert records(caplog) == [
        (logging.WARNING, f"Forwarded headers from {peer} are ignored: GUARD_TRUSTED_PROXIES does not name it.")
    ]


def test_the_error_is_told_even_after_the_warning(caplog: pytest.LogCaptureFixture) -> None:
    reader = ClientReader()

    for peer in ("9.9.9.9", "10.0.0.1", "8.8.8.8", "10.0.0.2"):
        reader.read({**BASE, "REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": "198.51.100.1"})

    assert [level for level, _message in records(caplog)] == [logging.WARNING, logging.ERROR]


def test_many_threads_tell_it_once(caplog: pytest.LogCaptureFixture) -> None:
    reader = ClientReader()
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        reader.read({**BASE, "HTTP_X_FORWARDED_FOR": f"198.51.100.{number}"})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(records(caplog)) == 1


@pytest.mark.parametrize("headers", [{}, {"HTTP_X_FORWARDED_FOR": "junk"}], ids=["none", "from a proxy"])
def test_nothing_is_told_of_a_request_in_order(caplog: pytest.LogCaptureFixture, headers: dict[str, str]) -> None:
    reader = ClientReader(PROXIES)

    reader.read({**BASE, **headers})
    reader.get_client({**BASE, "REMOTE_ADDR": "9.9.9.9", "HTTP_X_FORWARDED_FOR": "x"})

    assert records(caplog) == []
