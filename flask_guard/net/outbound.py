"""One document from one address, within bounds: time for the whole call, size, no detours.

Relies on the standard library's HTTP and TLS. Whether plain http is allowed is for the settings to say.
Rule: no redirect, no proxy from the environment, no answer but 200; every failure is one OutboundFailed.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..errors import GuardError

_DEFAULT_PORTS = {"http": 80, "https": 443}


class OutboundFailed(GuardError):
    """A document could not be fetched. The text is for the log: it names the address and what went wrong."""


def fetch_document(url: str, *, timeout_s: float = 10, max_bytes: int = 262_144) -> bytes:
    """Return the body of a GET request that is answered with 200.

    url: http or https, without a user name; the certificate is checked against the system's authorities, or
    those in the file that SSL_CERT_FILE names.
    timeout_s: for connecting, the handshake and the whole answer together; looking up the name is the
    system's and has the system's limits. max_bytes: largest body; the default has room for 50 keys with
    their certificates. Raises OutboundFailed for everything that goes wrong.
    """
    deadline = _Deadline(timeout_s)
    try:
        parts = _split(url)
        with _connect(parts, deadline) as sock:
            return _get(parts, sock, deadline, max_bytes=max_bytes)
    except (OSError, HTTPException, ValueError) as exc:
        # Shortened and in ASCII, because some of these texts quote what the other side sent.
        raise OutboundFailed(f"GET {_printable(url)}: {ascii(str(exc))[1:-1]:.200}") from exc


class _Deadline:
    """A moment on the monotonic clock by which all must be done."""

    def __init__(self, timeout_s: float) -> None:
        self._at = time.monotonic() + timeout_s

    def remaining_s(self) -> float:
        """Return the time that is left. Raises TimeoutError when there is none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("no complete answer in time")
        return left


def _split(url: str) -> SplitResult:
    # urlsplit drops line ends and tabs silently.
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("not an address in printable ASCII")
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError("not an http or https address without a user name")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def _connect(parts: SplitResult, deadline: _Deadline) -> socket.socket:
    host = parts.hostname or ""
    sock = _open_first(host, _port(parts), deadline)
    if parts.scheme == "http":
        return sock
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        sock.settimeout(deadline.remaining_s())
        return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _open_first(host: str, port: int, deadline: _Deadline) -> socket.socket:
    """Connect to the first address of a host that answers, all of them within the deadline."""
    failure = OSError("the name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.remaining_s())
            sock.connect(address)
        except OSError as exc:
            sock.close()
            failure = exc
        else:
            return sock
    raise failure


def _get(parts: SplitResult, sock: socket.socket, deadline: _Deadline, *, max_bytes: int) -> bytes:
    connection = HTTPConnection(parts.hostname or "", _port(parts))
    connection.default_port = _DEFAULT_PORTS[parts.scheme]  # it is not named in the Host header
    connection.sock = sock
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    sock.settimeout(deadline.remaining_s())
    connection.request("GET", target, headers={"Accept": "application/json", "Connection": "close"})
    with HTTPResponse(sock, method="GET") as response:
        response.fp = io.BufferedReader(_TimedReader(sock, deadline))
        response.begin()
        if response.status != 200:
            raise ValueError(f"answered with status {response.status}, not 200")
        if (response.length or 0) > max_bytes:
            raise ValueError(f"the answer is larger than {max_bytes} bytes")
        body = response.read(max_bytes + 1)
        if len(body) > max_bytes:
            raise ValueError(f"the answer is larger than {max_bytes} bytes")
        if response.length:
            raise ValueError(f"the answer ends {response.length} bytes early")
        return body


class _TimedReader(io.RawIOBase):
    """Reads a socket with the time that is left, so that an answer in drops ends with the deadline too."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.remaining_s())
        return self._sock.recv_into(buffer)


def _printable(url: str) -> str:
    """Return an address for the log: without its query, and without a user name that should not be there."""
    return ascii(url.partition("?")[0].rpartition("@")[2])[1:-1]
