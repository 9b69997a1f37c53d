"""Sites for a browser: WSGI applications in threads of this process, under names of their own, behind nginx and TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.serving import make_server

from tests.services.ports import find_free_ports

from .nginx import Nginx
from .processes import wait_until

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as it arrived, before anything was taken out of it, and the status of its answer."""

    method: str
    path: str
    status: int
    origin: str | None
    has_cookie: bool


class Recorder:
    """A WSGI application around one of Flask that keeps what was exchanged. `exchanges` may be cleared."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.exchanges: list[Exchange] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path, origin = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_ORIGIN")
        has_cookie = "HTTP_COOKIE" in environ

        def start(status: str, *rest: Any) -> Any:
            self.exchanges.append(Exchange(method, path, int(status[:3]), origin, has_cookie))
            return start_response(status, *rest)

        return self.app(environ, start)

    def find(self, path: str) -> list[Exchange]:
        """Return what was exchanged under a path, the oldest first."""
        return [exchange for exchange in self.exchanges if exchange.path == path]

    def wait_for(self, path: str) -> list[Exchange]:
        """Return what was exchanged under a path as soon as there is something."""
        wait_until(lambda: self.find(path), f"a request for {path}")
        return self.find(path)


def make_origins(*names: str) -> list[str]:
    """Return an https origin for each name; the same name twice is two origins, which differ by their ports."""
    return [f"https://{name}:{port}" for name, port in zip(names, find_free_ports(len(names)), strict=True)]


@contextmanager
def published(nginx: Nginx, sites: Mapping[str, WSGIApp]) -> Iterator[None]:
    """Serve each application at its origin for the time of the block."""
    ports = {origin: urlsplit(origin).port or 0 for origin in sites}
    with ExitStack() as stack:
        addresses = {origin: stack.enter_context(in_thread(app)) for origin, app in sites.items()}
        servers = [nginx.make_server(ports[origin], address, tls=True) for origin, address in addresses.items()]
        stack.enter_context(nginx.serving(servers, ports=[*ports.values()]))
        yield


@contextmanager
def in_thread(app: WSGIApp) -> Iterator[str]:
    """Serve an application over http on loopback for the time of the block, and yield its address, `host:port`."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="site")
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
