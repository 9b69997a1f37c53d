"""Every answer carries the headers, and every failure has one shape that says nothing of the inside."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import pytest
from flask import Flask, Response, abort, request, stream_with_context
from werkzeug.exceptions import HTTPException

from flask_guard import Guard

from .conftest import AppMaker, assert_problem, bearer

SECURITY_HEADERS = (
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "X-XSS-Protection",
    "Content-Security-Policy",
    "X-Request-Id",
)
MARKER = "marker-of-the-inside-4711"


def _routes(app: Flask, guard: Guard) -> None:
    open_route = guard.public(reason="test")

    @app.get("/ok")
    @open_route
    def ok() -> str:
        return "ok"

    @app.get("/crash")
    @open_route
    def crash() -> str:
        raise RuntimeError(MARKER)

    @app.get("/abort/<int:status>")
    @open_route
    def abort_with(status: int) -> str:
        abort(status, description="said by the view")

    @app.get("/stream")
    @open_route
    def stream() -> Response:
        return Response(stream_with_context(iter(["a", "b"])))

    @app.get("/own-headers")
    @open_route
    def own_headers() -> tuple[str, dict[str, str]]:
        return "ok", {"X-Frame-Options": "SAMEORIGIN", "Cache-Control": "max-age=5"}

    @app.post("/echo")
    @open_route
    def echo() -> Any:
        return {"got": request.get_json()}

    @app.post("/form")
    @open_route
    def form() -> Any:
        return {"names": sorted(request.form)}

    @app.post("/list")
    @open_route
    @guard.json_body("array", "object")
    def take_list() -> Any:
        return {"got": request.get_json()}

    @app.post("/small")
    @open_route
    @guard.max_body("1K")
    def small() -> Any:
        return {"size": len(request.get_data())}

    @app.post("/large")
    @open_route
    @guard.max_body("6M")
    def large() -> Any:
        return {"size": len(request.get_data())}

    @app.get("/raises-after")
    @open_route
    def raises_after() -> str:
        return "ok"

    @app.after_request
    def fail_once(response: Response) -> Response:
        if request.path == "/raises-after":
            raise RuntimeError(MARKER)
        return response


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ok", 200),
        ("GET", "/closed", 401),
        ("GET", "/nowhere", 404),
        ("POST", "/ok", 405),
        ("GET", "/crash", 500),
        ("GET", "/raises-after", 500),
        ("GET", "/stream", 200),
        ("GET", "/static/x", 401),
        ("OPTIONS", "/ok", 200),
        ("GET", "/abort/503", 503),
        ("GET", "/healthz/live", 200),
    ],
)
def test_the_headers_are_on_every_answer(make_app: AppMaker, method: str, path: str, status: int) -> None:
    app, _ = make_app(_routes)

    answer = app.test_client().open(path, method=method)

    assert answer.status_code == status
    for name in SECURITY_HEADERS:
        assert len(answer.headers.getlist(name)) == 1, name


def test_a_header_that_the_view_set_stays(make_app: AppMaker) -> None:
    app, _ = make_app(_routes)

    answer = app.test_client().get("/own-headers")

    assert answer.headers.getlist("X-Frame-Options") == ["SAMEORIGIN"]
    assert answer.headers["Cache-Control"] == "max-age=5"


def test_an_answer_to_a_principal_is_not_cached_and_a_new_token_never(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.post("/login")
        @guard.public(reason="login")
        def login() -> tuple[dict[str, str], dict[str, str]]:
            return {"token": guard.tokens.issue("ada")}, {"Cache-Control": "public, max-age=60"}

    app, guard = make_app(setup)
    client = app.test_client()

    assert client.get("/closed", headers=bearer(guard)).headers["Cache-Control"] == "no-store"
    answer = client.post("/login")
    assert answer.headers.getlist("Cache-Control") == ["no-store, no-cache, must-revalidate, private"]
    assert answer.headers["Pragma"] == "no-cache"


def test_headers_are_configurable_and_added_per_route(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        _routes(app, guard)
        guard.add_header("X-Robots-Tag", "noindex", endpoints=["ok"])

    app, _ = make_app(setup, headers='{"X-Frame-Options": null, "X-Team": "notes"}', service_name="notes")
    client = app.test_client()

    answer = client.get("/ok")

    assert "X-Frame-Options" not in answer.headers
    assert answer.headers["X-Team"] == "notes"
    assert answer.headers["X-Service-Name"] == "notes"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert "X-Robots-Tag" not in client.get("/stream").headers


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        ("abc-1.2_3", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("a b", False),
        ("a\tb", False),
        ("", False),
    ],
)
def test_a_request_id_is_taken_if_it_is_plain(make_app: AppMaker, given: str, is_taken: bool) -> None:
    app, _ = make_app(_routes)

    answer = app.test_client().get("/ok", headers={"X-Request-Id": given})

    sent = answer.headers["X-Request-Id"]
    assert (sent == given) is is_taken
    assert is_taken or re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", sent)


def test_an_unhandled_exception_is_logged_once_and_tells_nothing(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = make_app(_routes)

    with caplog.at_level(logging.DEBUG):
        answer = app.test_client().get("/crash")

    problem = assert_problem(answer, 500, "internal")
    assert MARKER not in answer.get_data(as_text=True)
    panics = [record for record in caplog.records if record.exc_info]
    assert [record.name for record in panics] == ["flask_guard.panic"]
    assert panics[0].guard["request_id"] == problem["request_id"]  # type: ignore[attr-defined]


def test_a_not_found_is_no_panic(make_app: AppMaker, caplog: pytest.LogCaptureFixture) -> None:
    app, _ = make_app(_routes)

    app.test_client().get("/nowhere")

    assert not [record for record in caplog.records if record.name == "flask_guard.panic"]


def test_under_testing_exceptions_propagate_as_in_flask(make_app: AppMaker) -> None:
    app, _ = make_app(_routes)
    app.testing = True

    with pytest.raises(RuntimeError, match=MARKER):
        app.test_client().get("/crash")


@pytest.mark.parametrize(("status", "code"), [(409, "conflict"), (418, "im_a_teapot"), (429, "rate_limited")])
def test_what_a_view_aborts_with_reaches_the_caller(make_app: AppMaker, status: int, code: str) -> None:
    app, _ = make_app(_routes)

    problem = assert_problem(app.test_client().get(f"/abort/{status}"), status, code)

    assert problem["detail"] == "said by the view"


def test_what_a_view_says_with_a_503_stays_inside(make_app: AppMaker) -> None:
    app, _ = make_app(_routes)

    problem = assert_problem(app.test_client().get("/abort/503"), 503, "service_unavailable")

    assert "said by the view" not in str(problem)


def test_an_application_keeps_its_handlers_for_its_views_but_not_for_refusals(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        _routes(app, guard)

        @app.errorhandler(404)
        def own_not_found(error: HTTPException) -> tuple[str, int]:
            return "own page", 404

        @app.errorhandler(Exception)
        def swallow(error: Exception) -> tuple[str, int]:
            return "swallowed", 200

    app, _ = make_app(setup)
    client = app.test_client()

    assert client.get("/nowhere").text == "own page"
    assert_problem(client.get("/closed"), 401, "unauthorized")
    assert_problem(client.post("/echo", data="{", content_type="application/json"), 400, "invalid_json")
    assert_problem(client.post("/small", data=io.BytesIO(b"x" * 2000)), 413, "body_too_large")


def test_a_formatter_gives_refusals_another_shape() -> None:
    def shape(problem: Mapping[str, Any]) -> tuple[bytes, str]:
        return json.dumps({"e": problem["code"]}).encode(), "application/json"

    app = Flask("app")
    Guard(app, error_formatter=shape)

    answer = app.test_client().get("/nowhere")

    assert answer.json == {"e": "not_found"}
    assert answer.status_code == 404


def test_a_formatter_that_fails_leaves_the_standard_shape() -> None:
    app = Flask("app")
    Guard(app, error_formatter=lambda problem: 1 / 0)  # type: ignore[arg-type,return-value]

    assert_problem(app.test_client().get("/nowhere"), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        ('{"a": 1}', "application/json", 200, None),
        ('{"a": 1}', "application/vnd.api+json", 200, None),
        ('{"a": 1, "a": 2}', "application/json", 400, "invalid_json"),
        ('{"a": NaN}', "application/json", 400, "invalid_json"),
        ('{"a": 1e999}', "application/json", 400, "invalid_json"),
        ("[1]", "application/json", 400, "invalid_json"),
        ("[" * 100_000, "application/json", 400, "invalid_json"),
        ('{"a":' * 65 + "1" + "}" * 65, "application/json", 400, "invalid_json"),
        ('{"a": "\\ud800"}', "application/json", 400, "invalid_json"),
        ("", "application/json", 400, "empty_body"),
        ('{"a": 1}', "text/plain; x=application/json", 415, "unsupported_media_type"),
        ('{"a": 1}', "application/json; charset=latin-1", 415, "unsupported_media_type"),
    ],
)
def test_a_plain_get_json_is_strict(
    make_app: AppMaker, body: str, media_type: str, status: int, code: str | None
) -> None:
    app, _ = make_app(_routes)

    answer = app.test_client().post("/echo", data=body, content_type=media_type)

    assert answer.status_code == status
    if code is not None:
        assert_problem(answer, status, code)


def test_a_route_may_take_a_json_array(make_app: AppMaker) -> None:
    app, _ = make_app(_routes)

    assert app.test_client().post("/list", json=[1, 2]).json == {"got": [1, 2]}


class _Endless(io.RawIOBase):
    """A body that never ends; counts what was taken from it."""

    taken = 0

    def tell(self) -> int:
        return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def read(self, size: int = -1) -> bytes:
        self.taken += size
        return b"x" * size


def test_a_chunked_body_is_counted_and_cut_off(make_app: AppMaker) -> None:
    app, _ = make_app(_routes)
    body = _Endless()

    answer = app.test_client().post(
        "/small",
        input_stream=body,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )

    assert_problem(answer, 413, "body_too_large")
    assert body.taken < 200_000


def test_flasks_own_limit_is_taken_over_and_holds_for_chunked_bodies(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        _routes(app, guard)
        app.config["MAX_CONTENT_LENGTH"] = 100

    app, _ = make_app(setup)

    answer = app.test_client().post(
        "/echo",
        input_stream=io.BytesIO(b'{"a": "' + b"x" * 500 + b'"}'),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )

    assert_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/small", 1024, 200), ("/small", 1025, 413), ("/large", 5_000_000, 200), ("/echo", 4_194_305, 413)],
)
def test_the_limit_of_a_route_is_lower_or_higher(make_app: AppMaker, path: str, size: int, status: int) -> None:
    app, _ = make_app(_routes)

    answer = app.test_client().post(path, data=b"x" * size)

    assert answer.status_code == status


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "1,1", "+5", "9" * 5000])
def test_a_malformed_content_length_is_refused(make_app: AppMaker, length: str) -> None:
    app, _ = make_app(_routes)

    answer = app.test_client().post(
        "/small", input_stream=io.BytesIO(b"xx"), environ_overrides={"CONTENT_LENGTH": length}
    )

    assert answer.status_code in (400, 413)
