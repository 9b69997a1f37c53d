"""The application's request class with bounded forms: what `request.form` and `request.files` accept.

Werkzeug bounds the number of parts of a multipart form and the size of a field. Bounded here is what it leaves open:
files, the headers of parts (to read 32 MB of them takes seconds), and URL-encoded forms. A form that cannot be read
is refused, where Werkzeug would show the view an empty one, and so is a part without a name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from typing import IO, Any, Final

from flask import Flask, Request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser, MultiPartParser
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData, State

from ..errors import BadRequest, BodyTooLarge, Refusal
from .context import ENVIRON_KEY, RequestContext
from .failures import refuse_now

# A browser sends 60 to 150 bytes of headers a part. The worst headers take Werkzeug 1 us a byte: 0.17 s for what
# the 1000 parts that Flask allows have together.
_PART_HEADER_BYTES: Final = 8 * 1024
_MEAN_HEADER_BYTES: Final = 160
_USUAL_PARTS: Final = 1000
_END_OF_HEADERS: Final = re.compile(rb"\r\n\r\n|\r\r|\n\n")  # as Werkzeug's decoder has it
_BOUNDARY_BYTES: Final = 70  # RFC 2046, section 5.1.1

_Fields = MultiDict[str, str]
_Files = MultiDict[str, FileStorage]


class BoundedMultiPartParser(MultiPartParser):
    """Werkzeug's parser, with the headers of parts bounded before they are read."""

    def parse(self, stream: IO[bytes], boundary: bytes, content_length: int | None) -> tuple[_Fields, _Files]:
        """Return (fields, files). Raises BodyTooLarge, BadRequest, and what Werkzeug's parser raises."""
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        with ExitStack() as on_failure:
            for part, pieces in self._read_parts(stream, boundary):
                if isinstance(part, File):
                    sink = self.start_file_streaming(part, content_length)
                    file = FileStorage(sink, part.filename, part.name, headers=part.headers)
                    on_failure.callback(file.close)
                    for piece in pieces:
                        sink.write(piece)
                    sink.seek(0)
                    files.append((part.name, file))
                else:
                    fields.append((part.name, self._read_field(part, pieces)))
            on_failure.pop_all()
        return self.cls(fields), self.cls(files)

    def _read_field(self, part: Field, pieces: Iterator[bytes]) -> str:
        value = bytearray()
        for piece in pieces:
            value += piece
            if self.max_form_memory_size is not None and len(value) > self.max_form_memory_size:
                raise BodyTooLarge(detail="a field of the form is too large")
        return value.decode(self.get_part_charset(part.headers), "replace")

    def _read_parts(self, stream: IO[bytes], boundary: bytes) -> Iterator[tuple[Field | File, Iterator[bytes]]]:
        """Yield each part with its content, which is to be read before the next part."""
        events = self._read_events(stream, boundary)
        for event in events:
            if isinstance(event, Field | File):
                if event.name is None:  # Werkzeug casts what it did not find
                    raise BadRequest("A part of the form has no name.")
                yield event, _read_content(events)

    def _read_events(self, stream: IO[bytes], boundary: bytes) -> Iterator[Event]:
        decoder = MultipartDecoder(boundary, self.max_form_memory_size, max_parts=self.max_form_parts)
        header_bytes_left = _PART_HEADER_BYTES + _MEAN_HEADER_BYTES * (self.max_form_parts or _USUAL_PARTS)
        for data in chain(iter(lambda: stream.read(self.buffer_size), b""), [None]):
            decoder.receive_data(data)
            while True:
                _require_short_headers(decoder)
                held = len(decoder.buffer)
                event = decoder.next_event()
                if isinstance(event, NeedData | Epilogue):
                    break
                if isinstance(event, Field | File):
                    header_bytes_left -= held - len(decoder.buffer)
                    if header_bytes_left < 0:
                        raise BodyTooLarge(detail="the parts of the form have too many headers")
                yield event


def _require_short_headers(decoder: MultipartDecoder) -> None:
    if decoder.state is not State.PART or len(decoder.buffer) <= _PART_HEADER_BYTES:
        return
    if not _END_OF_HEADERS.search(decoder.buffer, 0, _PART_HEADER_BYTES):
        raise BodyTooLarge(detail="a part of the form has too many headers")


def _read_content(events: Iterator[Event]) -> Iterator[bytes]:
    for event in events:
        if isinstance(event, Data):
            yield event.data
            if not event.more_data:
                return


class BoundedFormParser(FormDataParser):
    """Reads a form within bounds, or refuses it; never takes an unreadable one for an empty one."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[IO[bytes], _Fields, _Files]:
        """Return (what is left of the stream, fields, files). Raises BodyTooLarge and BadRequest."""
        try:
            if mimetype == "multipart/form-data":
                return stream, *self._read_multipart(stream, content_length, (options or {}).get("boundary", ""))
            if mimetype == "application/x-www-form-urlencoded":
                self.silent = False
                stream = self._bound_urlencoded(stream.read())
            return super().parse(stream, mimetype, content_length, options)
        except RequestEntityTooLarge:
            raise BodyTooLarge(detail="the form has too many parts, or a part that is too large") from None
        except ValueError as exc:
            # Dropped as a cause: it may hold the whole body.
            raise BadRequest("The form could not be read.", detail=f"the form could not be read: {exc}") from None

    def _read_multipart(self, stream: IO[bytes], content_length: int | None, boundary: str) -> tuple[_Fields, _Files]:
        if not 0 < len(boundary) <= _BOUNDARY_BYTES:
            raise ValueError("the boundary is missing or too long")
        parser = BoundedMultiPartParser(
            stream_factory=self.stream_factory,
            max_form_memory_size=self.max_form_memory_size,
            max_form_parts=self.max_form_parts,
            cls=self.cls,
        )
        return parser.parse(stream, boundary.encode("ascii"), content_length)

    def _bound_urlencoded(self, data: bytes) -> IO[bytes]:
        """Hold the form against Flask's limits, which Werkzeug 3.1.9 applies to multipart only."""
        if self.max_form_memory_size is not None and len(data) > self.max_form_memory_size:
            raise BodyTooLarge(detail="the form is larger than MAX_FORM_MEMORY_SIZE")
        if self.max_form_parts is not None and data.count(b"&") >= self.max_form_parts:
            raise BodyTooLarge(detail="the form has too many fields")
        return io.BytesIO(data)


class BoundedFormsMixin(Request):
    """Reads forms within bounds. Mixed into the class that the application uses."""

    form_data_parser_class = BoundedFormParser
    _refusal: Refusal | None = None
    _file_count = 0

    def _get_file_stream(self, *args: Any, **named: Any) -> IO[bytes]:
        """Return where Werkzeug's parser writes a file; see Flask. Raises BodyTooLarge for one file too many."""
        self._file_count += 1
        context: RequestContext | None = self.environ.get(ENVIRON_KEY)
        if context is not None and self._file_count > context.runtime.settings.limits.max_files:
            raise BodyTooLarge("The form has more files than this service accepts.", detail="too many files")
        return super()._get_file_stream(*args, **named)

    def _load_form_data(self) -> None:
        """Read the form, once. A refusal is final, because what was read of the body is gone."""
        if self._refusal is None:
            try:
                return super()._load_form_data()
            except Refusal as refusal:
                self._refusal = refusal
        context: RequestContext | None = self.environ.get(ENVIRON_KEY)
        if context is None:  # a request that no Guard has seen
            raise self._refusal
        raise refuse_now(context, self._refusal, context.runtime.error_formatter) from self._refusal


def use_bounded_forms(app: Flask) -> None:
    """Give the application's request class bounded forms, whatever class it is.

    A parser of its own stays, bounded in its files as long as it opens them through the request.
    """
    given = app.request_class
    if issubclass(given, BoundedFormsMixin):
        return
    members: dict[str, Any] = {"__module__": __name__}
    if given.form_data_parser_class is not FormDataParser:
        members["form_data_parser_class"] = given.form_data_parser_class
    app.request_class = type("GuardedRequest", (BoundedFormsMixin, given), members)
