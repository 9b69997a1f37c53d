"""What a BoundedInput delivers and refuses, and how a limit and a declared length are found."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.wsgi import get_input_stream

from flask_guard.errors import BadRequest, BodyTooLarge
from flask_guard.limits.payload import BoundedInput, body_limit, parse_content_length


class RecordingInput:
    """A server's input that notes how much it was asked for and hands over at most `chunk` bytes a time."""

    def __init__(self, data: bytes, *, chunk: int = 1 << 30) -> None:
        self.file = io.BytesIO(data)
        self.chunk = chunk
        self.asked: list[int] = []
        self.is_closed = False

    def read(self, size: int) -> bytes:
        self.asked.append(size)
        return self.file.read(min(size, self.chunk))

    def readline(self, size: int) -> bytes:
        self.asked.append(size)
        return self.file.readline(min(size, self.chunk))

    def close(self) -> None:
        self.is_closed = True


def refuse(limit_bytes: int) -> Exception:
    return BodyTooLarge(detail=f"limit {limit_bytes}")


def bound(data: bytes, limit_bytes: int) -> BoundedInput:
    return BoundedInput(RecordingInput(data), limit_bytes, refuse)


READERS: dict[str, Callable[[BoundedInput], bytes]] = {
    "read everything": lambda stream: stream.read(),
    "read with None": lambda stream: stream.read(None),
    "read by size": lambda stream: stream.read(1 << 20),
    "read byte by byte": lambda stream: b"".join(iter(lambda: stream.read(1), b"")),
    "read by threes": lambda stream: b"".join(iter(lambda: stream.read(3), b"")),
    "readline": lambda stream: b"".join(iter(stream.readline, b"")),
    "readline with None": lambda stream: b"".join(iter(lambda: stream.readline(None), b"")),
    "readline by size": lambda stream: b"".join(iter(lambda: stream.readline(2), b"")),
    "readlines": lambda stream: b"".join(stream.readlines()),
    "readlines with None": lambda stream: b"".join(stream.readlines(None)),
    "iteration": lambda stream: b"".join(stream),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("data", [b"", b"x", b"line\nline\n", b"\n\n\n", b"no end of line"])
def test_a_body_of_exactly_the_limit_is_delivered_whole(read: Callable[[BoundedInput], bytes], data: bytes) -> None:
    stream = bound(data, len(data))

    assert read(stream) == data
    assert stream.bytes_read == len(data)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("data", [b"x", b"line\nline\n", b"\n\n\n", b"no end of line"])
def test_one_byte_above_the_limit_is_refused(read: Callable[[BoundedInput], bytes], data: bytes) -> None:
    stream = bound(data, len(data) - 1)

    with pytest.raises(BodyTooLarge, match=f"limit {len(data) - 1}"):
        read(stream)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_the_server_is_never_asked_for_more_than_one_byte_above_the_limit(
    read: Callable[[BoundedInput], bytes],
) -> None:
    server = RecordingInput(b"a" * 1_000_000)

    with pytest.raises(BodyTooLarge):
        read(BoundedInput(server, 1000, refuse))

    assert max(server.asked) <= 1001
    assert server.file.tell() <= 1001


@given(data=st.binary(max_size=200), limit=st.integers(0, 250), sizes=st.lists(st.integers(1, 60), min_size=1))
def test_whatever_the_sizes_no_more_than_the_limit_is_ever_delivered(data: bytes, limit: int, sizes: list[int]) -> None:
    stream = bound(data, limit)
    delivered = b""

    try:
        for number in range(400):
            reader = stream.readline if number % 3 == 2 else stream.read
            delivered += reader(sizes[number % len(sizes)])
        refused = False
    except BodyTooLarge:
        refused = True

    assert refused == (len(data) > limit)
    assert data.startswith(delivered)
    assert len(delivered) <= limit
    assert refused or delivered == data


def test_reading_everything_goes_on_where_the_server_hands_over_little_at_a_time() -> None:
    stream = BoundedInput(RecordingInput(b"a" * 1000, chunk=7), 1000, refuse)

    assert stream.read() == b"a" * 1000


def test_a_server_that_hands_over_more_than_it_was_asked_for_is_refused_too() -> None:
    class Generous(RecordingInput):
        def readline(self, size: int) -> bytes:
            return self.file.readline()

    stream = BoundedInput(Generous(b"a" * 5000 + b"\n"), 100, refuse)

    with pytest.raises(BodyTooLarge):
        stream.readline()


def test_a_size_of_zero_reads_nothing() -> None:
    stream = bound(b"abc", 3)

    assert stream.read(0) == b""
    assert stream.bytes_read == 0


def test_a_hint_bounds_the_lines() -> None:
    stream = bound(b"one\ntwo\nthree\n", 100)

    assert stream.readlines(5) == [b"one\n", b"two\n"]
    assert stream.readlines(0) == [b"three\n"]


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_limit_lowered_below_what_was_read_refuses_at_the_next_read(
    read: Callable[[BoundedInput], bytes],
) -> None:
    stream = bound(b"a" * 10, 100)
    stream.read(10)

    stream.limit_bytes = 9

    with pytest.raises(BodyTooLarge, match="limit 9"):
        read(stream)


def test_a_limit_raised_before_it_was_passed_lets_more_through() -> None:
    stream = bound(b"a" * 20, 5)
    stream.read(5)

    stream.limit_bytes = 20

    assert stream.read() == b"a" * 15


def test_a_refusal_is_final_even_when_the_limit_is_raised() -> None:
    """The byte too many was taken from the server: a later read would deliver a body with a hole."""
    stream = bound(b"0123456789", 5)
    with pytest.raises(BodyTooLarge):
        stream.read()

    stream.limit_bytes = 100

    with pytest.raises(BodyTooLarge):
        stream.read(1)


def test_closing_leaves_the_stream_to_the_server() -> None:
    server = RecordingInput(b"abc")

    BoundedInput(server, 3, refuse).close()

    assert not server.is_closed


@pytest.mark.parametrize("environ", [{"wsgi.input_terminated": True}, {"CONTENT_LENGTH": "1000"}], ids=str)
@pytest.mark.parametrize("maximum", [None, 2000])
def test_werkzeug_reads_through_the_bound(environ: dict[str, object], maximum: int | None) -> None:
    """Neither its chunked nor its declared way takes the refusal for a client that went away."""
    environ = {**environ, "wsgi.input": bound(b"a" * 1000, 100)}

    with pytest.raises(BodyTooLarge):
        get_input_stream(environ, max_content_length=maximum).read()


@pytest.mark.parametrize("environ", [{"wsgi.input_terminated": True}, {"CONTENT_LENGTH": "1000"}], ids=str)
def test_werkzeug_gets_a_body_within_the_bound_whole(environ: dict[str, object]) -> None:
    environ = {**environ, "wsgi.input": bound(b"a" * 1000, 1000)}

    assert get_input_stream(environ, max_content_length=5000).read() == b"a" * 1000


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("00012", 12),
        ("4194304", 4194304),
        ("9" * 18, 10**18 - 1),
        ("1" + "0" * 18, 10**18),
        ("9" * 19, 10**18),
        ("9" * 100_000, 10**18),
        ("0" * 100_000 + "7", 7),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_declared_length_is_read(raw: str | None, length: int | None) -> None:
    assert parse_content_length(raw) == length


@pytest.mark.parametrize(
    "raw",
    [
        "-1",
        "+5",
        " 5",
        "5 ",
        "5,5",
        "5, 6",
        "0x10",
        "1_000",
        "1e3",
        "5.0",
        "\u0665",
        "\uff15",
        "²",
        "abc",
        "5\n",
        "\x005",
    ],
    ids=ascii,
)
def test_a_declared_length_that_is_no_number_is_refused_without_being_quoted(raw: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_content_length(raw)

    assert caught.value.text == "The request could not be understood."
    assert caught.value.detail == "Content-Length is not a number"


@pytest.mark.parametrize(
    ("content_type", "route_limit", "limit"),
    [
        (None, None, 4),
        ("", None, 4),
        ("application/json", None, 4),
        ("multipart/form-data; boundary=x", None, 32),
        (" Multipart/Form-Data ;boundary=x", None, 32),
        ("multipart/mixed", None, 4),
        ("multipart/form-data-x", None, 4),
        ("text/plain; x=multipart/form-data", None, 4),
        ("multipart/form-data, application/json", None, 4),
        ("application/json", 1, 1),
        ("application/json", 99, 99),
        ("multipart/form-data", 1, 1),
        ("multipart/form-data", 99, 99),
        ("application/json", 0, 0),
    ],
)
def test_the_limit_of_the_route_wins_then_that_of_the_media_type(
    content_type: str | None, route_limit: int | None, limit: int
) -> None:
    assert body_limit(content_type, route_limit=route_limit, max_body=4, max_multipart=32) == limit
