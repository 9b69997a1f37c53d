"""Behind real servers: what forks, what streams, what a client can send that a test client cannot."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

_PROGRAM = """
import os
from flask import Flask, jsonify, request
from flask_guard import Guard, current_principal

app = Flask("served", instance_path=os.environ["INSTANCE"])
guard = Guard()

@app.get("/me")
def me():
    return jsonify(id=current_principal.id, pid=os.getpid())

@app.post("/keys")
@guard.require_role("admin")
def make_key():
    record, key = guard.api_keys.create(name=request.get_json()["name"])
    return jsonify(id=record.id, key=key), 201

@app.post("/small")
@guard.public(reason="test")
@guard.max_body("1K")
def small():
    return jsonify(size=len(request.get_data()))

guard.init_app(app)
guard.compile(app)
if os.environ.get("WARM"):
    with app.app_context():
        guard.api_keys.create(name="made before the fork")
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _serve(folder: Path, command: list[str], port: int, **environ: str) -> Iterator[None]:
    (folder / "served.py").write_text(_PROGRAM)
    environment = {**os.environ, "INSTANCE": str(folder / "instance"), **environ}
    server = subprocess.Popen([sys.executable, "-m", *command], cwd=folder, env=environment)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def _ask(port: int, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, dict[str, object]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Content-Type": "application/json", **sent} if body else sent)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if content else {}


def _raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(request)
        connection.settimeout(20)
        return connection.recv(65536)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A token of the served application, whose secret is in the environment of its processes."""
    from flask import Flask

    from flask_guard import Guard

    monkeypatch.setenv("GUARD_JWT_SECRET_KEY", secrets.token_urlsafe(48))
    guard = Guard(Flask("issuer", instance_path=str(tmp_path)))
    return guard.tokens.issue("ada", roles=["admin"])


def test_preloaded_workers_share_nothing_that_breaks(tmp_path: Path, token: str) -> None:
    """gunicorn --preload, with the database opened before the fork; every worker makes and takes keys."""
    port = _free_port()
    command = [
        "gunicorn",
        "-w",
        "3",
        "--preload",
        "--log-level",
        "error",
        "-b",
        f"127.0.0.1:{port}",
        "served:app",
    ]

    with _serve(tmp_path, command, port, WARM="1"):
        made = [
            _ask(port, "POST", "/keys", json.dumps({"name": f"key {n}"}), Authorization=f"Bearer {token}")
            for n in range(12)
        ]
        workers = {_ask(port, "GET", "/me", X_API_Key=str(answer["key"]))[1]["pid"] for _, answer in made * 5}

    assert [status for status, _ in made] == [201] * 12
    assert len(workers) > 1
    assert os.stat(tmp_path / "instance" / "guard.sqlite3").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("server", ["gunicorn", "waitress"])
def test_a_chunked_body_over_the_limit_is_refused(tmp_path: Path, token: str, server: str) -> None:
    port = _free_port()
    commands = {
        "gunicorn": ["gunicorn", "--log-level", "error", "-b", f"127.0.0.1:{port}", "served:app"],
        "waitress": ["waitress", "--listen", f"127.0.0.1:{port}", "served:app"],
    }
    head = b"POST /small HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"

    with _serve(tmp_path, commands[server], port):
        fitting = _raw(port, head + chunk + b"0\r\n\r\n")
        too_large = _raw(port, head + chunk * 3 + b"0\r\n\r\n")

    assert b" 200 " in fitting.split(b"\r\n")[0]
    assert b" 413 " in too_large.split(b"\r\n")[0]
    assert b"x-content-type-options" in too_large.lower()
