"""What real servers put into the environment, and what is read out of it: UNIX sockets, spellings, repeated headers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flask_guard.net.addresses import ClientReader
from flask_guard.values import Client

_PROGRAM = """
import json

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()]
"""
_GUNICORN = ["gunicorn", "--log-level", "error", "--no-control-socket", "-b", "unix:s", "dumped:app"]
_WAITRESS = ["waitress", "--unix-socket", "s"]
SERVERS = {
    "gunicorn": _GUNICORN,
    "gunicorn, dangerous names": [*_GUNICORN, "--header-map", "dangerous"],
    "waitress": [*_WAITRESS, "--no-clear-untrusted-proxy-headers", "dumped:app"],
    "waitress, as it comes": [*_WAITRESS, "dumped:app"],
}
# A name with underscores is no header of a proxy's; gunicorn lets it pass for one only where it is told to.
BELIEVED = {
    "gunicorn": Client("198.51.100.7", "198.51.100.7", "https", "example.com"),
    "gunicorn, dangerous names": Client("198.51.100.7", "198.51.100.7", "https", "evil.example"),
    "waitress": Client("198.51.100.7", "198.51.100.7", "https", "example.com"),
    "waitress, as it comes": Client("", "unix", "http", "example.com"),
}
_REQUEST = (
    "GET / HTTP/1.1\r\nHost: Example.com\r\nConnection: close\r\n"
    "X-Forwarded-For: 127.0.0.1\r\nx-forwarded-FOR: 10.0.0.3,  198.51.100.7\r\n"
    "X_Real_IP: 127.0.0.1\r\nX_Forwarded_Host: evil.example\r\nX-Forwarded-Proto: https\r\n\r\n"
)


@contextmanager
def served(server: str) -> Iterator[Path]:
    """Run a server on a UNIX socket; yields its path, which has to be short."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "dumped.py").write_text(_PROGRAM)
        process = subprocess.Popen([sys.executable, "-m", *SERVERS[server]], cwd=folder)
        try:
            yield Path(folder, "s")
        finally:
            process.terminate()
            process.wait(20)


def ask(path: Path, request: str) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        for _ in range(200):
            try:
                connection.connect(str(path))
                break
            except OSError:
                time.sleep(0.05)
        connection.sendall(request.encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    found: dict[str, Any] = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    return found


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no UNIX sockets here")
@pytest.mark.parametrize("server", SERVERS)
def test_the_client_behind_a_unix_socket_is_read(server: str) -> None:
    with served(server) as path:
        environ = ask(path, _REQUEST)

    assert environ["REMOTE_ADDR"] == ("" if server.startswith("gunicorn") else "localhost")
    assert ClientReader().get_client(environ).address == ""
    assert ClientReader(["unix"]).read(environ) == BELIEVED[server]
    assert not any("FORWARDED" in name or "REAL" in name for name in environ)
