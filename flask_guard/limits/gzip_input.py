"""Bodies with a Content-Encoding: refused, or decoded from gzip under the bounds of any other body.

Pure. `decode_body` puts a decoder between two BoundedInputs: the one below counts the bytes of the wire, the one
above those that come out, so that a few bytes which stand for a great many are refused like the many.
Rule: one gzip member and nothing behind it. RFC 1952 lets members follow each other, but a proxy that inspects
only the first would have judged another body than the one that is served.
Source: RFC 9110, section 8.4 (the header); RFC 1952 (the format).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..errors import BadRequest, BodyTooLarge, Refusal, UnsupportedMediaType
from .payload import BoundedInput, InputStream, parse_content_length

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# What is held at most beside zlib's own window of 32 KB: read from the wire at once, decoded at once.
_WIRE_BYTES: Final = 16 * 1024
_DECODED_BYTES: Final = 64 * 1024

_GZIP_ONLY: Final = 16 + zlib.MAX_WBITS  # zlib's manual, inflateInit2: a gzip header is required, the CRC is checked
_GZIP_NAMES: Final = (["gzip"], ["x-gzip"])  # RFC 9110, section 8.4.1.3: a recipient takes them for the same


class UnsupportedCoding(UnsupportedMediaType):
    """The body is in a content coding that is not accepted. accepts_gzip: whether gzip alone would have been."""

    public = "A body must be sent as it is, without a Content-Encoding."

    def __init__(self, *, accepts_gzip: bool, detail: str = "") -> None:
        self._accepted = "gzip, identity" if accepts_gzip else "identity"
        public = "A body must be sent as it is or in gzip, in no other Content-Encoding." if accepts_gzip else None
        super().__init__(public, detail=detail)

    def headers(self) -> list[tuple[str, str]]:
        """Name what would have been accepted (RFC 9110, section 15.5.16)."""
        return [("Accept-Encoding", self._accepted)]


class GzipInput(io.RawIOBase):
    """The decoded bytes of a gzip stream, a piece at a time; give it to an `io.BufferedReader` to read lines.

    length: how many bytes the body has on the wire; None where the stream ends with the body. Not one byte more
    is asked for, because a server that does not mark the end would wait for it.
    refuse: makes the exception from a BadRequest, raised for anything but one whole gzip member whose checksum
    is right. A refusal is final. What was read before it is not to be trusted: the checksum comes last.
    """

    def __init__(self, stream: InputStream, length: int | None, refuse: Callable[[Refusal], Exception]) -> None:
        self._stream = stream
        self._left = length
        self._refuse = refuse
        self._decoder = zlib.decompressobj(wbits=_GZIP_ONLY)
        self._fault: str | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Put some of the decoded bytes into the buffer and return how many; 0 at the end."""
        target = memoryview(buffer).cast("B")
        if not target.nbytes:  # to zlib, a most of 0 is no bound
            return 0
        data = self._decode(min(target.nbytes, _DECODED_BYTES))
        target[: len(data)] = data
        return len(data)

    def _decode(self, most: int) -> bytes:
        """Return 1 to `most` decoded bytes; b"" at the end."""
        if self._fault is None:
            try:
                return b"" if self._decoder.eof else self._decode_more(most)
            except zlib.error as exc:
                self._fault = str(exc)
        raise self._refuse(BadRequest("The body is not valid gzip.", detail=f"gzip: {self._fault}"))

    def _decode_more(self, most: int) -> bytes:
        """Raises zlib.error for every fault, ours too."""
        decoder = self._decoder
        # Without new input first: zlib may still hold what did not fit the last time.
        data = decoder.decompress(decoder.unconsumed_tail, most)
        while not data and not decoder.eof:
            piece = self._read_wire()
            if not piece:
                raise zlib.error("the body ends too early")
            data = decoder.decompress(piece, most)
        if decoder.eof and (decoder.unused_data or self._read_wire()):
            raise zlib.error("something follows the compressed data")
        return data

    def _read_wire(self) -> bytes:
        if self._left is None:
            return self._stream.read(_WIRE_BYTES)
        if not self._left:
            return b""
        piece = self._stream.read(min(self._left, _WIRE_BYTES))
        self._left -= len(piece)
        return piece


def decode_body(
    environ: dict[str, Any], *, decode: bool, limit_bytes: int, refuse: Callable[[Refusal], Exception]
) -> BoundedInput | None:
    """Put the decoded body into the environment and return it; None where there is nothing to decode.

    environ: its input is bounded already. limit_bytes: the most that may come out of it.
    refuse: makes the exception that a read raises, from a BodyTooLarge or a BadRequest; see BoundedInput.
    A decoded body has no length and no coding: both are taken out of the environment, and its end is marked,
    so that Werkzeug neither stops at the length of the wire nor takes a body without a length for none.
    Raises UnsupportedCoding for every coding but gzip alone, and for that too unless `decode`; BadRequest for a
    Content-Length that is no number.
    """
    codings = _list_codings(environ.get("HTTP_CONTENT_ENCODING", ""))
    if not codings:
        return None
    if not decode or codings not in _GZIP_NAMES:
        raise UnsupportedCoding(accepts_gzip=decode, detail="content coding not accepted")

    def refuse_large(limit: int) -> Exception:
        return refuse(BodyTooLarge(detail=f"more than {limit} bytes decoded from gzip"))

    decoder = GzipInput(environ["wsgi.input"], _wire_length(environ), refuse)
    decoded = BoundedInput(io.BufferedReader(decoder, _DECODED_BYTES), limit_bytes, refuse_large)
    environ.pop("CONTENT_LENGTH", None)
    del environ["HTTP_CONTENT_ENCODING"]
    environ["wsgi.input_terminated"] = True
    environ["wsgi.input"] = decoded
    return decoded


def _list_codings(raw: str) -> list[str]:
    """Return the codings in the order in which they were applied, without those that change nothing."""
    codings = [coding.strip(" \t").lower() for coding in raw.split(",")]
    return [coding for coding in codings if coding not in ("", "identity")]


def _wire_length(environ: dict[str, Any]) -> int | None:
    """Return how much may be read of the wire; None when the server marks the end itself.

    As in Werkzeug, what is framed in a way that the server does not know has no body.
    """
    if environ.get("wsgi.input_terminated"):
        return None
    if "HTTP_TRANSFER_ENCODING" in environ:
        return 0
    return parse_content_length(environ.get("CONTENT_LENGTH")) or 0
