"""What comes out of a compressed body, what is refused of it, and how little of it is held."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import random
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.wsgi import get_input_stream

from flask_guard.errors import BadRequest, BodyTooLarge, Refusal, UnsupportedMediaType
from flask_guard.limits.gzip_input import GzipInput, UnsupportedCoding, decode_body
from flask_guard.limits.payload import BoundedInput

DATA = b"one line\nanother line\n" * 5000
MEMBER = gzip.compress(DATA, mtime=0)
LARGE = 10**9


class Wire(io.BytesIO):
    """A server's input that hands over at most `chunk` bytes a time and notes how much it was asked for."""

    def __init__(self, data: bytes, *, chunk: int = LARGE) -> None:
        super().__init__(data)
        self.chunk = chunk
        self.asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size >= 0, "a read without a bound"
        self.asked += size
        return super().read(min(size, self.chunk))


def hand_on(refusal: Refusal) -> Exception:
    return refusal


def decoded(wire: bytes, *, length: int | None = None, chunk: int = LARGE) -> io.BufferedReader:
    return io.BufferedReader(GzipInput(Wire(wire, chunk=chunk), length, hand_on))


def encoded_environ(wire: bytes, *, coding: str = "gzip", limit: int = LARGE, **further: Any) -> dict[str, Any]:
    stream = BoundedInput(Wire(wire), limit, lambda limit: BodyTooLarge(detail=f"wire limit {limit}"))
    return {"wsgi.input": stream, "HTTP_CONTENT_ENCODING": coding, "CONTENT_LENGTH": str(len(wire)), **further}


def decode(environ: dict[str, Any], *, limit: int = LARGE) -> BoundedInput:
    body = decode_body(environ, decode=True, limit_bytes=limit, refuse=hand_on)
    assert body is not None
    return body


@pytest.mark.parametrize("chunk", [1, 7, LARGE])
@pytest.mark.parametrize("size", [1, 3, 65_536, -1])
def test_what_was_compressed_comes_out(size: int, chunk: int) -> None:
    data = DATA[:3000]
    stream = decoded(gzip.compress(data), chunk=chunk)

    pieces = list(iter(lambda: stream.read(size), b""))

    assert b"".join(pieces) == data


def test_lines_come_out() -> None:
    stream = decode(encoded_environ(MEMBER))

    assert stream.readline() == b"one line\n"
    assert stream.readlines(9) == [b"another line\n"]
    assert b"".join(stream) == DATA[22:]


@given(data=st.binary(max_size=2000), chunk=st.integers(1, 50), sizes=st.lists(st.integers(1, 500), min_size=1))
@example(data=b"a" * 258 * 3, chunk=1, sizes=[257, 1])  # the longest match of deflate, cut where it ends
def test_whatever_the_sizes_what_was_compressed_comes_out(data: bytes, chunk: int, sizes: list[int]) -> None:
    stream = decoded(gzip.compress(data), chunk=chunk)
    asked = itertools.cycle(sizes)

    pieces = list(iter(lambda: stream.read(next(asked)), b""))

    assert b"".join(pieces) == data


@given(wire=st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda data: MEMBER[:10] + data)))
def test_any_bytes_are_refused_or_mean_what_they_mean_to_gzip(wire: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert decoded(wire).read() == gzip.decompress(wire)


def flip(position: int) -> bytes:
    return MEMBER[:position] + bytes([MEMBER[position] ^ 1]) + MEMBER[position + 1 :]


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"", "the body ends too early"),
        (MEMBER[:5], "the body ends too early"),
        (MEMBER[:-1], "the body ends too early"),
        (MEMBER[: len(MEMBER) // 2], "the body ends too early"),
        (MEMBER + MEMBER, "something follows"),
        (MEMBER + b"\0", "something follows"),
        (MEMBER + b"GET / HTTP/1.1", "something follows"),
        (flip(0), "incorrect header check"),
        (MEMBER[:3] + b"\xe0" + MEMBER[4:], "unknown header flags"),
        (flip(-8), "incorrect data check"),
        (flip(-4), "incorrect length check"),
        (zlib.compress(DATA), "incorrect header check"),
        (zlib.compress(DATA, wbits=-15), "incorrect header check"),
        (DATA, "incorrect header check"),
    ],
    ids=[
        "nothing",
        "half a header",
        "without the last byte",
        "half",
        "two members",
        "padding",
        "another request",
        "wrong magic",
        "unknown flags",
        "wrong checksum",
        "wrong length",
        "zlib",
        "raw deflate",
        "not compressed",
    ],
)
@pytest.mark.parametrize("chunk", [1, LARGE])
def test_anything_but_one_whole_member_is_refused(wire: bytes, reason: str, chunk: int) -> None:
    with pytest.raises(BadRequest, match=f"gzip: .*({reason})") as caught:
        decoded(wire, chunk=chunk).read()

    assert caught.value.text == "The body is not valid gzip."


def test_a_refusal_is_final() -> None:
    stream = decoded(MEMBER + MEMBER)
    with pytest.raises(BadRequest):
        stream.read()

    with pytest.raises(BadRequest):
        stream.read(1)


def test_not_one_byte_more_than_announced_is_asked_of_the_server() -> None:
    """A server that does not mark the end would wait for it until the client goes away."""
    wire = Wire(MEMBER + b"GET / HTTP/1.1")

    data = io.BufferedReader(GzipInput(wire, len(MEMBER), hand_on)).read()

    assert data == DATA
    assert wire.asked == len(MEMBER)


def test_an_empty_buffer_takes_nothing() -> None:
    assert GzipInput(Wire(MEMBER), None, hand_on).readinto(bytearray()) == 0


def test_a_large_buffer_is_filled_a_piece_at_a_time() -> None:
    assert GzipInput(Wire(gzip.compress(bytes(1_000_000))), None, hand_on).readinto(bytearray(1_000_000)) == 65_536


def drain(body: BoundedInput) -> None:
    while body.read(16_384):
        pass


def test_a_bomb_is_refused_one_byte_above_the_limit_in_little_memory_and_time() -> None:
    environ = encoded_environ(gzip.compress(bytes(10_000_000)), limit=100_000)
    body = decode(environ, limit=4_000_000)
    tracemalloc.start()
    started = time.thread_time()

    try:
        with pytest.raises(BodyTooLarge, match="more than 4000000 bytes decoded from gzip"):
            drain(body)
        seconds, (_, peak) = time.thread_time() - started, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert body.bytes_read == 4_000_001
    assert peak < 400_000
    assert seconds < 0.05


def test_the_bytes_of_the_wire_have_their_own_limit() -> None:
    noise = random.Random(1).randbytes(5000)
    body = decode(encoded_environ(gzip.compress(noise), limit=1000), limit=10_000)

    with pytest.raises(BodyTooLarge, match="wire limit 1000"):
        body.read()


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", " gzip\t", "identity, gzip", "gzip,", ", gzip"])
def test_gzip_alone_is_decoded_under_any_of_its_names(coding: str) -> None:
    assert decode(encoded_environ(MEMBER, coding=coding)).read() == DATA


@pytest.mark.parametrize("coding", ["", "identity", "Identity", "identity, identity", " , "])
@pytest.mark.parametrize("accepts", [True, False])
def test_a_body_in_no_coding_is_left_alone(coding: str, accepts: bool) -> None:
    environ = encoded_environ(DATA, coding=coding)
    before = dict(environ)

    body = decode_body(environ, decode=accepts, limit_bytes=10, refuse=hand_on)

    assert body is None
    assert environ == before


OTHERS = ["gzip, gzip", "gzip, br", "br", "deflate", "compress", "zstd", "aes128gcm", "gzip;q=1", '"gzip"', "gzip\xa0"]


@pytest.mark.parametrize(
    ("accepts", "coding", "accepted", "text"),
    [
        *(
            (True, coding, "gzip, identity", "A body must be sent as it is or in gzip, in no other Content-Encoding.")
            for coding in OTHERS
        ),
        *(
            (False, coding, "identity", "A body must be sent as it is, without a Content-Encoding.")
            for coding in ["gzip", "x-gzip", *OTHERS]
        ),
    ],
)
def test_another_coding_is_refused_with_those_that_are_accepted(
    accepts: bool, coding: str, accepted: str, text: str
) -> None:
    environ = encoded_environ(MEMBER, coding=coding)

    with pytest.raises(UnsupportedMediaType) as caught:
        decode_body(environ, decode=accepts, limit_bytes=LARGE, refuse=hand_on)

    assert isinstance(caught.value, UnsupportedCoding)
    assert caught.value.text == text
    assert caught.value.headers() == [("Accept-Encoding", accepted)]
    assert caught.value.detail == "content coding not accepted"


@pytest.mark.parametrize(
    "framing",
    [
        {},
        {"wsgi.input_terminated": True},
        {"wsgi.input_terminated": True, "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"},
    ],
    ids=["by length", "by both", "chunked"],
)
def test_werkzeug_reads_the_decoded_body_to_its_end(framing: dict[str, Any]) -> None:
    """Content-Length is that of the wire: to stop there would hand the view a stump."""
    environ = encoded_environ(MEMBER, **framing)

    decode(environ)

    assert "CONTENT_LENGTH" not in environ
    assert "HTTP_CONTENT_ENCODING" not in environ
    assert get_input_stream(environ).read() == DATA
    assert get_input_stream(environ).read() == b""


@pytest.mark.parametrize(
    "framing",
    [{"CONTENT_LENGTH": ""}, {"HTTP_TRANSFER_ENCODING": "chunked"}],
    ids=["no length", "chunked, by a server that does not know it"],
)
def test_a_body_without_an_end_is_not_read(framing: dict[str, Any]) -> None:
    environ = encoded_environ(MEMBER, **framing)

    body = decode(environ)

    with pytest.raises(BadRequest, match="ends too early"):
        body.read()


def test_a_length_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadRequest, match="Content-Length is not a number"):
        decode(encoded_environ(MEMBER, CONTENT_LENGTH="+5"))
