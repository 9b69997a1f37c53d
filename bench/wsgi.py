"""Requests without a server: the WSGI application is called as a server would call it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
Headers = list[tuple[str, str]]


class StartResponse:
    """Takes the status and the headers of one answer."""

    __slots__ = ("headers", "status")

    status: str
    headers: Headers

    def __call__(self, status: str, headers: Headers, exc_info: Any = None) -> None:
        self.status = status
        self.headers = headers


def make_environ(path: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> Environ:
    """Return the environment of a request over https. headers: `x_api_key="..."` is X-Api-Key."""
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_ACCEPT": "application/json",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate",
        "HTTP_USER_AGENT": "bench",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body:
        environ |= {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"}
    return environ | {f"HTTP_{name.upper()}": value for name, value in headers.items()}


def serve(app: Callable[..., Iterable[bytes]], environ: Environ, body: bytes = b"") -> StartResponse:
    """Make one request, read the whole answer and drop it, close it, and return its head."""
    environ = environ.copy()
    environ["wsgi.input"] = io.BytesIO(body)
    start = StartResponse()
    answer = app(environ, start)
    for _ in answer:
        pass
    answer.close()  # type: ignore[attr-defined]  # Werkzeug's answers have it
    return start


def fetch(
    app: Callable[..., Iterable[bytes]], environ: Environ, body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Make one request and return status, headers by their names in lower case, and body."""
    start = StartResponse()
    answer = app(environ | {"wsgi.input": io.BytesIO(body)}, start)
    data = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    return int(start.status[:3]), {name.lower(): value for name, value in start.headers}, data
