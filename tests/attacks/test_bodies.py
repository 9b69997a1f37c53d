"""Bodies that hide their size, or that a view asks for more than once."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pytest
from flask import Flask, jsonify, request

from flask_guard import ConfigError, Guard
from tests.requests.conftest import AppMaker, assert_problem

CHUNKED: dict[str, Any] = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
# As servers of HTTP/2 do: the end of the stream is the end of the body, and nothing is announced.
UNANNOUNCED: dict[str, Any] = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}


def _add_readers(app: Flask, guard: Guard) -> None:
    readers = {
        "data": lambda: request.get_data(),
        "form": lambda: dict(request.form),
        "parsed": lambda: request.get_data(parse_form_data=True),
        "stream": lambda: request.stream.read(),
        "chunks": lambda: b"".join(iter(lambda: request.stream.read(100), b"")),
        "lines": lambda: list(request.stream),
        "raw": lambda: request.environ["wsgi.input"].read(),
        "raw-lines": lambda: request.environ["wsgi.input"].readlines(),
        "input-stream": lambda: request.input_stream.read(),
        "json": lambda: request.get_json(force=True),
        "silent": lambda: request.get_json(force=True, silent=True),
    }
    for name, read in readers.items():

        def view(read: Any = read) -> str:
            read()
            return "all of it"

        app.add_url_rule(f"/{name}", name, guard.public(reason="test")(view), methods=["POST"])


@pytest.mark.parametrize("framing", [CHUNKED, UNANNOUNCED], ids=["chunked", "unannounced"])
@pytest.mark.parametrize(
    ("reader", "content_type"),
    [
        *itertools.product(
            ["data", "parsed", "stream", "chunks", "lines", "raw", "raw-lines", "input-stream", "json", "silent"],
            ["application/json", "application/x-www-form-urlencoded", "text/plain"],
        ),
        ("form", "application/x-www-form-urlencoded"),  # nothing is read of what is no form
    ],
)
def test_no_way_of_reading_gets_past_the_limit(
    make_app: AppMaker, framing: dict[str, Any], reader: str, content_type: str
) -> None:
    app, _ = make_app(_add_readers, max_body="1K")

    answer = app.test_client().post(
        f"/{reader}",
        content_type=content_type,
        environ_overrides={**framing, "wsgi.input": io.BytesIO(b"x" * 2000)},
    )

    assert_problem(answer, 413, "body_too_large")


def test_a_multipart_bomb_is_cut_off_at_its_own_limit(make_app: AppMaker) -> None:
    app, _ = make_app(_add_readers, max_body="1K", max_multipart="2K")
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"x" * 4000 + b"\r\n--b--\r\n"

    answer = app.test_client().post(
        "/form",
        content_type="multipart/form-data; boundary=b",
        environ_overrides={**CHUNKED, "wsgi.input": io.BytesIO(part)},
    )

    assert_problem(answer, 413, "body_too_large")


def test_report_only_leaves_flasks_own_limit_in_place(make_app: AppMaker) -> None:
    """To try Guard out must not make an application take bodies that it refused before."""

    def setup(app: Flask, guard: Guard) -> None:
        app.config["MAX_CONTENT_LENGTH"] = 1000
        _add_readers(app, guard)

    app, _ = make_app(setup, default_access="report-only")

    assert app.test_client().post("/data", data=b"x" * 2000).status_code == 413


def test_a_limit_of_flask_that_is_set_late_is_taken_over(make_app: AppMaker) -> None:
    """Left to Flask, it would cut a chunked body short and show the view the stump."""
    app, _ = make_app(_add_readers)
    app.config["MAX_CONTENT_LENGTH"] = 1000

    answers = [
        app.test_client().post("/data", environ_overrides={**CHUNKED, "wsgi.input": io.BytesIO(b"x" * 2000)})
        for _ in range(2)
    ]

    for answer in answers:
        assert_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize("limit", ["16M", 1.5e6, -1, True, []], ids=repr)
def test_a_limit_of_flask_that_is_no_number_of_bytes_refuses_to_start(make_app: AppMaker, limit: object) -> None:
    def setup(app: Flask, _guard: Guard) -> None:
        app.config["MAX_CONTENT_LENGTH"] = limit

    with pytest.raises(ConfigError, match="MAX_CONTENT_LENGTH"):
        make_app(setup)


def test_a_failed_start_leaves_flasks_limit_where_it_was(make_app: AppMaker) -> None:
    made = []

    def setup(app: Flask, _guard: Guard) -> None:
        app.config["MAX_CONTENT_LENGTH"] = 1000
        made.append(app)

    with pytest.raises(ConfigError):
        make_app(setup, jwt_secret_key="short")

    assert made[0].config["MAX_CONTENT_LENGTH"] == 1000


def test_a_silent_look_does_not_spare_the_body_a_loud_one(make_app: AppMaker) -> None:
    """`get_json(silent=True)` in a hook must not make `get_json()` in the view return None for a bad body."""

    def setup(app: Flask, guard: Guard) -> None:
        @app.post("/loud")
        @guard.public(reason="test")
        def loud() -> Any:
            return jsonify(first=request.get_json(silent=True), then=request.get_json())

        @app.post("/forced")
        @guard.public(reason="test")
        def forced() -> Any:
            return jsonify(first=request.get_json(silent=True), then=request.get_json(force=True, silent=True))

    app, _ = make_app(setup)
    client = app.test_client()

    assert_problem(client.post("/loud", data="{", content_type="application/json"), 400, "invalid_json")
    assert client.post("/forced", data='{"a": 1}', content_type="text/plain").get_json() == {
        "first": None,
        "then": {"a": 1},
    }
