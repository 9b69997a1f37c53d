"""A real server on loopback that behaves as it is told."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from flask_guard.net.outbound import OutboundFailed, fetch_document

BODY = b'{"keys": []}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)

Behaviour = Callable[[socket.socket], None]


class Server:
    """Accepts connections one after another and treats each as it is told. `requests` holds what came in."""

    def __init__(self, behave: Behaviour, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._behave = behave
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopped = threading.Event()
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopped.is_set():
                connection.close()
                return
            connection.settimeout(5)
            try:
                with self._context.wrap_socket(connection, server_side=True) if self._context else connection as sock:
                    self.requests.append(_read_head(sock))
                    self._behave(sock)
            except OSError:
                connection.close()  # the client has had enough


def _read_head(sock: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        part = sock.recv(4096)
        if not part:
            break
        head += part
    return head


@contextmanager
def serving(behave: Behaviour | bytes, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    answer = behave
    server = Server((lambda sock: sock.sendall(answer)) if isinstance(answer, bytes) else answer, context)
    try:
        yield server
    finally:
        server.stop()


def url_of(server: Server, path: str = "/keys", scheme: str = "http", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{server.port}{path}"


def failure_of(url: str, **options: float) -> OutboundFailed:
    with pytest.raises(OutboundFailed) as caught:
        fetch_document(url, **options)  # type: ignore[arg-type]
    return caught.value
