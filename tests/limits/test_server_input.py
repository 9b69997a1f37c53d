"""What goes wrong below `wsgi.input` is a refusal, and a body that ends early is no body."""

from __future__ import annotations

import io

import pytest

from flask_guard.errors import BadRequest, Refusal
from flask_guard.limits.server_input import ServerInput, find_announced_length


class Broken:
    """A server's input that fails with an error of its own."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, _size: int, /) -> bytes:
        raise self.error

    readline = read


def hand_on(refusal: Refusal) -> Exception:
    return refusal


@pytest.mark.parametrize("announced", [None, 0, 10])
def test_a_body_that_is_whole_is_delivered(announced: int | None) -> None:
    stream = ServerInput(io.BytesIO(b"one\ntwo\nxx"), announced, hand_on)

    assert [stream.readline(100), stream.read(3), stream.read(100)] == [b"one\n", b"two", b"\nxx"]
    assert [stream.read(100), stream.readline(100)] == [b"", b""]


@pytest.mark.parametrize("way", ["read", "readline"])
def test_a_body_that_ends_before_its_length_is_refused(way: str) -> None:
    stream = ServerInput(io.BytesIO(b"123456789"), 10, hand_on)
    assert getattr(stream, way)(100) == b"123456789"

    with pytest.raises(BadRequest, match="the body broke off: 9 bytes of 10 came") as caught:
        getattr(stream, way)(100)

    assert caught.value.text == "The body could not be read."


def test_to_ask_for_nothing_tells_nothing_of_the_end() -> None:
    assert ServerInput(io.BytesIO(b""), 10, hand_on).read(0) == b""


@pytest.mark.parametrize("way", ["read", "readline"])
@pytest.mark.parametrize("error", [OSError("s3cret"), ValueError("s3cret"), EOFError(), Exception("s3cret")], ids=repr)
def test_an_error_of_the_server_is_a_refusal(error: Exception, way: str) -> None:
    stream = ServerInput(Broken(error), None, hand_on)

    with pytest.raises(BadRequest) as caught:
        getattr(stream, way)(100)

    assert caught.value.detail == f"the body broke off: {type(error).__name__}"
    assert "s3cret" not in caught.value.text
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("environ", "length"),
    [
        ({}, None),
        ({"CONTENT_LENGTH": ""}, None),
        ({"CONTENT_LENGTH": "12"}, 12),
        ({"CONTENT_LENGTH": "+12"}, None),
        ({"CONTENT_LENGTH": "12", "HTTP_TRANSFER_ENCODING": "chunked"}, None),
    ],
    ids=["none", "empty", "a number", "no number", "chunked"],
)
def test_a_length_counts_where_nothing_contradicts_it(environ: dict[str, str], length: int | None) -> None:
    assert find_announced_length(environ) == length
