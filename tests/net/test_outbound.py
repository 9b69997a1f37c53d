"""A document is fetched within bounds: against a real server on loopback that misbehaves in every way."""

from __future__ import annotations

import socket
import time

import pytest

from flask_guard.errors import GuardError, Refusal
from flask_guard.net.outbound import OutboundFailed, fetch_document
from tests.net.servers import BODY, OK, Behaviour, failure_of, serving, url_of

# What works --------------------------------------------------------------------------------------------


def test_a_document_is_fetched() -> None:
    with serving(OK) as server:
        assert fetch_document(url_of(server)) == BODY


def test_the_request_is_plain_and_carries_nothing_of_ours() -> None:
    with serving(OK) as server:
        fetch_document(url_of(server, "/a/keys?tenant=1"))
        request = server.requests[0].decode().splitlines()

    assert request[0] == "GET /a/keys?tenant=1 HTTP/1.1"
    assert sorted(request[1:-1]) == [
        "Accept-Encoding: identity",
        "Accept: application/json",
        "Connection: close",
        f"Host: 127.0.0.1:{server.port}",
    ]


@pytest.mark.parametrize(("path", "target"), [("", "/"), ("?a=b", "/?a=b"), ("//other.example/x", "//other.example/x")])
def test_the_path_is_sent_as_it_stands(path: str, target: str) -> None:
    with serving(OK) as server:
        fetch_document(url_of(server, path))
        assert server.requests[0].split()[1].decode() == target


def test_a_chunked_answer_is_read() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"

    with serving(answer) as server:
        assert fetch_document(url_of(server)) == b"hello world"


def test_an_answer_that_ends_with_the_connection_is_read() -> None:
    with serving(b"HTTP/1.0 200 OK\r\n\r\n" + BODY) as server:
        assert fetch_document(url_of(server)) == BODY


@pytest.mark.parametrize("size", [99, 100])
def test_a_document_up_to_the_bound_is_fetched(size: int) -> None:
    body = b"x" * size
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, body)) as server:
        assert fetch_document(url_of(server), max_bytes=100) == body


# Bounds ------------------------------------------------------------------------------------------------


def drip(head: bytes, drop: bytes) -> Behaviour:
    def behave(sock: socket.socket) -> None:
        sock.sendall(head)
        for _ in range(200):
            sock.sendall(drop)
            time.sleep(0.05)

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        drip(b"", b"H"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        lambda sock: time.sleep(3),
    ],
    ids=["status line", "headers", "one header", "body", "chunks", "100 Continue", "silence"],
)
def test_an_answer_in_drops_ends_with_the_deadline(behave: Behaviour) -> None:
    """Each drop comes in time; all of them together do not."""
    with serving(behave) as server:
        started = time.monotonic()
        failure = failure_of(url_of(server), timeout_s=0.5)
        elapsed = time.monotonic() - started

    assert "in time" in str(failure) or "timed out" in str(failure)
    assert elapsed < 2


def test_a_handshake_that_does_not_end_ends_with_the_deadline() -> None:
    with serving(OK) as server:
        started = time.monotonic()
        failure_of(url_of(server, scheme="https"), timeout_s=0.5)

    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n",
    ],
    ids=["declared", "declared and not sent", "undeclared", "chunked"],
)
def test_a_document_over_the_bound_is_refused(answer: bytes) -> None:
    with serving(answer) as server:
        assert "larger than 100 bytes" in str(failure_of(url_of(server), max_bytes=100))


def test_an_endless_document_is_not_read_to_its_end() -> None:
    def behave(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)

    with serving(behave) as server:
        assert "larger than 262144 bytes" in str(failure_of(url_of(server)))


# Answers that are none ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["301", "302", "307", "308"])
def test_a_redirect_is_not_followed(status: str) -> None:
    with serving(OK) as target:
        answer = f"HTTP/1.1 {status} Moved\r\nLocation: {url_of(target)}\r\nContent-Length: 0\r\n\r\n".encode()
        with serving(answer) as server:
            failure = failure_of(url_of(server))
        assert target.requests == []

    assert f"answered with status {status}, not 200" in str(failure)


@pytest.mark.parametrize(
    "status", ["201 Created", "204 No Content", "206 Partial", "304 Not Modified", "404 x", "500 x"]
)
def test_only_200_is_an_answer(status: str) -> None:
    with serving(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as server:
        assert f"status {status[:3]}" in str(failure_of(url_of(server)))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\1\2\3",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 twohundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nonly a part",
    ],
    ids=["nothing", "binary", "another protocol", "version", "status", "many headers", "long header", "bad chunk",
         "cut chunk", "cut body"],
)  # fmt: skip
def test_garbage_is_a_failure_like_any_other(answer: bytes) -> None:
    with serving(answer) as server:
        failure = failure_of(url_of(server), timeout_s=3)

    assert str(failure).startswith(f"GET {url_of(server)}: ")


def test_what_the_other_side_sent_cannot_forge_a_log_line() -> None:
    with serving(b"bad\x1b[31m\nFORGED LINE" + b"y" * 5000) as server:
        text = str(failure_of(url_of(server)))

    assert text.isprintable()
    assert len(text) < 300


def test_a_port_where_nobody_listens_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    assert "refused" in str(failure_of(f"http://127.0.0.1:{port}/"))


# Addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "", "keys", "file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "http://", "https:///keys",
        "http://user@127.0.0.1/", "http://user:pass@127.0.0.1/", "http://127.0.0.1:99999/", "http://127.0.0.1:x/",
        "http://[::1/", "http://a\nb/", "gopher://x",
        "http://127.0.0.1/a b", "http://127.0.0.1/a\x01b", "http://127.0.0.1/ü", "http://127.0.0.1/\r\nX: y",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_http_address_is_refused_before_a_socket_is_opened(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    failure_of(url)


def test_the_text_of_a_failure_holds_no_query_and_no_password() -> None:
    text = str(failure_of("http://user:pass@127.0.0.1/keys?token=t0ken"))

    assert "pass" not in text.replace("password", "")
    assert "t0ken" not in text
    assert "127.0.0.1/keys" in text


def test_a_failure_is_not_an_answer_to_a_request() -> None:
    assert issubclass(OutboundFailed, GuardError)
    assert not issubclass(OutboundFailed, Refusal)


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy") as proxy, serving(OK) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, url_of(proxy, ""))
        assert fetch_document(url_of(server)) == BODY
        assert proxy.requests == []
