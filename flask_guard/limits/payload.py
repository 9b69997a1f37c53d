"""How many bytes a request may bring, counted on what is really read.

Pure. The edge puts a `BoundedInput` in the place of `wsgi.input`; `body_limit` says how much a route takes.
Werkzeug 3.1 cuts a chunked body off at MAX_CONTENT_LENGTH and lets the view see the stump with a 200, and a
declared length may be a lie, so neither is relied on here.
Rule: the byte that is too many is never delivered, and after it nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from ..errors import BadRequest

# What a declared length of more digits counts as: more than any limit, and far from int()'s own refusal.
_HUGE_LENGTH: Final = 10**18
_HUGE_DIGITS: Final = 18


class InputStream(Protocol):
    """The part of a server's `wsgi.input` that is used (PEP 3333, "Input and Error Streams")."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class BoundedInput:
    """A `wsgi.input` that raises instead of delivering more than `limit_bytes` in all.

    stream: the server's input. refuse: makes the exception from the limit that was passed; an OSError or a
    ValueError will not do, because Werkzeug takes them for a client that went away.
    limit_bytes may be set at any time, because the limit of a route is known only after routing; one below
    what was read already refuses at the next read. A refusal is final: raising the limit does not undo it.

    It has no `readinto`, so that Werkzeug's LimitedStream reads through `read`, which is counted.
    """

    __slots__ = ("_is_refused", "_refuse", "_stream", "bytes_read", "limit_bytes")

    def __init__(self, stream: InputStream, limit_bytes: int, refuse: Callable[[int], Exception]) -> None:
        self._stream = stream
        self._refuse = refuse
        self._is_refused = False
        self.limit_bytes = limit_bytes
        self.bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes, all that is left when it is negative or None; b"" at the end."""
        if size is not None and size >= 0:
            return self._count(self._stream.read(self._at_most(size)))
        pieces = []
        # Some servers hand over less than was asked for before the end.
        while piece := self._count(self._stream.read(self._at_most(None))):
            pieces.append(piece)
        return b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        """Return the next line with its end, at most `size` bytes of it; b"" at the end."""
        wanted = None if size is None or size < 0 else size
        return self._count(self._stream.readline(self._at_most(wanted)))

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return the lines that are left, or as many as make up `hint` bytes."""
        lines: list[bytes] = []
        found = 0
        for line in self:
            lines.append(line)
            found += len(line)
            if hint is not None and 0 < hint <= found:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def close(self) -> None:
        """Do nothing: the stream is the server's, and an application must not close it (PEP 3333)."""

    def _at_most(self, size: int | None) -> int:
        """Return how much to ask the stream for: never more than one byte above what is still allowed."""
        room = self.limit_bytes - self.bytes_read
        if self._is_refused or room < 0:
            raise self._final_refusal()
        return room + 1 if size is None else min(size, room + 1)

    def _count(self, data: bytes) -> bytes:
        self.bytes_read += len(data)
        if self.bytes_read > self.limit_bytes:
            raise self._final_refusal()
        return data

    def _final_refusal(self) -> Exception:
        self._is_refused = True  # a byte is lost: a higher limit later would deliver a body with a hole
        return self._refuse(self.limit_bytes)


def parse_content_length(raw: str | None) -> int | None:
    """Return the declared length in bytes, None when there is none (WSGI: absent or empty).

    A number beyond 10**18 counts as 10**18. Raises BadRequest for anything but ASCII digits: a sign, a list
    or a space may mean another length to the server in front of us (RFC 9110, section 8.6; RFC 9112, 6.3).
    """
    if not raw:
        return None
    if not (raw.isascii() and raw.isdigit()):
        raise BadRequest(detail="Content-Length is not a number")
    digits = raw.lstrip("0")
    return _HUGE_LENGTH if len(digits) > _HUGE_DIGITS else int(digits or "0")


def body_limit(content_type: str | None, *, route_limit: int | None, max_body: int, max_multipart: int) -> int:
    """Return the most bytes that the body of a request may have.

    route_limit: what the route declares; it wins, lower or higher. Else max_multipart goes for
    multipart/form-data and max_body for everything else, a body without a media type included.
    """
    if route_limit is not None:
        return route_limit
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return max_multipart if media_type == "multipart/form-data" else max_body
