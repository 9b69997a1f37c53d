"""What real servers make of the headers that a browser's protection rests on: doubled, misspelt, folded."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection

import pytest

from tests.requests.test_servers import _free_port, _raw

_PROGRAM = """
import os
from flask import Flask, Response, stream_with_context
from flask_guard import Guard

app = Flask("served", instance_path=os.environ["INSTANCE"])
app.secret_key = os.environ["SIGNS"]
guard = Guard()

@app.post("/write")
@guard.public(reason="test")
def write():
    return "written"

@app.get("/stream")
@guard.public(reason="test")
def stream():
    return Response(iter(["a"] * 3), mimetype="text/html")

@app.get("/fails")
@guard.public(reason="test")
def fails():
    return Response(app.before_request_funcs["nothing"])

guard.init_app(app, jwt_secret_key=os.environ["SIGNS_TOKENS"], hsts=True)
"""
HEAD = b"Host: notes.test\r\nConnection: close\r\nContent-Length: 0\r\n"
COOKIE = b"Cookie: __Host-session=x\r\n"
OWN = b"Origin: http://notes.test\r\n"
EVIL = b"Origin: https://evil.test\r\n"
JSON = b"Content-Type: application/json\r\n"

FOREIGN: dict[str, bytes] = {
    "an underscore": COOKIE + EVIL + JSON + b"Sec_Fetch_Site: same-origin\r\n",
    "its own word after the foreign one": COOKIE + EVIL + JSON + b"Sec-Fetch-Site: cross-site, same-origin\r\n",
    "two words on two lines": COOKIE + EVIL + JSON + b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
    "the own origin first": COOKIE + OWN + EVIL + JSON,
    "the own origin last": COOKIE + EVIL + OWN + JSON,
    "an origin on two lines": COOKIE + b"Origin: http://notes.test\r\n .evil.test\r\n" + JSON,
    "the cookie on a second line": b"Cookie: a=b\r\n" + COOKIE + JSON,
    "another host asked for twice": COOKIE + b"Host: evil.test\r\n" + EVIL.replace(b"https", b"http") + JSON,
    "a host that is forwarded": COOKIE + EVIL + JSON + b"X-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https\r\n",
    "a method that is not the one sent": COOKIE + EVIL + JSON + b"X-HTTP-Method-Override: GET\r\n",
    "a form that says it is JSON too": COOKIE + OWN + b"Content-Type: text/plain; a=application/json\r\n",
    "another header with an underscore": COOKIE + OWN + b"X_Requested_With: x\r\n",
}
SERVERS = {
    "gthread": ["gunicorn", "--log-level", "critical", "-k", "gthread", "--threads", "2", "-b"],
    "waitress": ["waitress", "--listen"],
}


@contextmanager
def _serve(folder: Path, command: list[str], port: int) -> Iterator[None]:
    (folder / "served.py").write_text(_PROGRAM)
    given = {"INSTANCE": str(folder), "SIGNS": secrets.token_hex(32), "SIGNS_TOKENS": secrets.token_urlsafe(48)}
    address = [f"127.0.0.1:{port}", "served:app"]
    server = subprocess.Popen([sys.executable, "-m", *command, *address], cwd=folder, env=os.environ | given)
    try:
        for _ in range(200):
            with suppress(OSError), create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(20)


def _status(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    assert found is not None, answer
    return int(found[1])


@pytest.mark.parametrize("server", SERVERS)
def test_no_spelling_of_a_header_lets_a_foreign_page_write(tmp_path: Path, server: str) -> None:
    port = _free_port()

    with _serve(tmp_path, SERVERS[server], port):
        own = _raw(port, b"POST /write HTTP/1.1\r\n" + HEAD + COOKIE + OWN + JSON + b"\r\n")
        statuses = {
            name: _status(_raw(port, b"POST /write HTTP/1.1\r\n" + HEAD + headers + b"\r\n"))
            for name, headers in FOREIGN.items()
        }

    assert _status(own) == 200
    assert {name: status for name, status in statuses.items() if status not in (400, 403)} == {}


@pytest.mark.parametrize("server", SERVERS)
def test_every_answer_of_the_application_has_the_headers_once(tmp_path: Path, server: str) -> None:
    port = _free_port()
    requests = {
        name: f"{line}\r\nHost: notes.test\r\nConnection: close\r\n\r\n".encode()
        for name, line in {
            "streamed": "GET /stream HTTP/1.1",
            "without a body": "HEAD /stream HTTP/1.1",
            "of old": "GET /stream HTTP/1.0",
            "failed": "GET /fails HTTP/1.1",
            "nowhere": "GET /nowhere HTTP/1.1",
            "not this method": "GET /write HTTP/1.1",
            "a preflight": "OPTIONS /write HTTP/1.1\r\nOrigin: https://evil.test\r\nAccess-Control-Request-Method: GET",
        }.items()
    }

    with _serve(tmp_path, SERVERS[server], port):
        heads = {name: _raw(port, sent).partition(b"\r\n\r\n")[0].lower() for name, sent in requests.items()}

    for name, head in heads.items():
        assert head.count(b"\r\ncontent-security-policy:") == 1, name
        assert head.count(b"\r\nx-content-type-options: nosniff") == 1, name
        assert b"strict-transport-security" not in head, name
