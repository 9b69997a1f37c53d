"""What only a socket can send: framing that contradicts itself, headers in odd bytes, a second request behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.requests.test_servers import _free_port, _raw, _serve

HEAD = b"Host: localhost\r\nConnection: close\r\n"
NEXT = b"GET /me HTTP/1.1\r\n" + HEAD + b"\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n"
POST = b"POST /small HTTP/1.1\r\nHost: localhost\r\n"

# Every status that a request may get. A server's own refusal, 400 or 501, is as good as ours.
REQUESTS: dict[str, tuple[bytes, set[int]]] = {
    "a large body with a request in it": (
        POST + b"Content-Length: 5000\r\n\r\n" + b"GET /small HTTP/1.1\r\n\r\n".ljust(5000, b"x") + NEXT,
        {413},
    ),
    "two ways to say the length": (POST + b"Connection: close\r\nContent-Length: 3\r\n" + CHUNKS, {400, 413}),
    "an unknown coding": (POST + HEAD + CHUNKS.replace(b"chunked", b"xchunked"), {400, 501}),
    "a length with a sign": (POST + HEAD + b"Content-Length: +3\r\n\r\nabc", {400}),
    "a length with a mark": (POST + HEAD + b"Content-Length: 1_0\r\n\r\nabc", {400}),
    "a length of 300 digits": (POST + HEAD + b"Content-Length: " + b"9" * 300 + b"\r\n\r\nabc", {400, 413}),
    "two credentials": (NEXT[:-2] + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", {401}),
    "a credential in latin-1": (NEXT[:-2] + b"Authorization: Bearer \xe9\xff\r\n\r\n", {401}),
    "a credential with NUL": (NEXT[:-2] + b"Authorization: Bearer a\x00b\r\n\r\n", {400, 401}),
    "a credential on two lines": (NEXT[:-2] + b"Authorization: Bearer\r\n abc\r\n\r\n", {400, 401}),
    "a key of a hard blank": (NEXT[:-2] + b"X-API-Key: \xa0\r\n\r\n", {401}),
    "a request id with CR": (NEXT[:-2] + b"X-Request-Id: a\rX-Evil: 1\r\n\r\n", {400, 401}),
    "a path with NUL": (NEXT.replace(b"/me", b"/me%00"), {404}),
    "an address of another host": (NEXT.replace(b"/me", b"http://elsewhere/me"), {401}),
    "two slashes": (NEXT.replace(b"/me", b"//me"), {401, 404}),
    "a method in small letters": (NEXT.replace(b"GET", b"get"), {400, 401}),
}
SERVERS = {
    "gunicorn": ["gunicorn", "--log-level", "critical"],
    "gthread": ["gunicorn", "--log-level", "critical", "-k", "gthread", "--threads", "2"],
    "waitress": ["waitress"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_no_bytes_on_the_wire_open_a_route_or_end_in_a_500(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    port = _free_port()
    option = "--listen" if server == "waitress" else "-b"
    monkeypatch.setenv("GUARD_LOG_LEVEL", "error")

    with _serve(tmp_path, [*SERVERS[server], option, f"127.0.0.1:{port}", "served:app"], port):
        answers = {name: _raw(port, request) for name, (request, _) in REQUESTS.items()}

    for name, (_, allowed) in REQUESTS.items():
        statuses = {int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", answers[name])}
        assert statuses, name
        assert statuses <= allowed | {401}, (name, answers[name])
        assert b"\nX-Evil" not in answers[name]
