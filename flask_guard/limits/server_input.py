"""The server's `wsgi.input`, made honest: a body that breaks off, or is framed wrongly, is a bad request.

Pure. PEP 3333 names no errors of the input, so every server raises its own: of broken chunks gunicorn 27 makes
OSErrors and plain Exceptions, which would end in a 500. And a server that marks the end of the stream returns an
early end as if it were that of the body, which is incomplete then (RFC 9112, section 8).
Rule: nothing but bytes or a refusal comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BadRequest, Refusal
from .payload import InputStream, parse_content_length


class ServerInput:
    """A server's input that refuses instead of raising errors of its own or ending early.

    announced: the Content-Length, None when there is none to hold the body against.
    refuse: makes the exception from a BadRequest; see BoundedInput, which is to be put around this.
    """

    __slots__ = ("_announced", "_received", "_refuse", "_stream")

    def __init__(self, stream: InputStream, announced: int | None, refuse: Callable[[Refusal], Exception]) -> None:
        self._stream = stream
        self._announced = announced or 0
        self._refuse = refuse
        self._received = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; b"" at the end."""
        return self._receive(self._stream.read, size)

    def readline(self, size: int, /) -> bytes:
        """Return up to `size` bytes of the next line; b"" at the end."""
        return self._receive(self._stream.readline, size)

    def _receive(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            data = read(size)
        except Exception as exc:  # whatever it is, it is about bytes that the client sent or did not send
            raise self._refused(type(exc).__name__) from exc
        self._received += len(data)
        if not data and size and self._received < self._announced:
            raise self._refused(f"{self._received} bytes of {self._announced} came")
        return data

    def _refused(self, reason: str) -> Exception:
        return self._refuse(BadRequest("The body could not be read.", detail=f"the body broke off: {reason}"))


def find_announced_length(environ: Mapping[str, Any]) -> int | None:
    """Return the length to hold a body against; None for one that is no number, which others refuse."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return None
    try:
        return parse_content_length(environ.get("CONTENT_LENGTH"))
    except BadRequest:
        return None
