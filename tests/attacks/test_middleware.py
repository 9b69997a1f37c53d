"""What stands between the edge and Flask changes requests; what is judged is what is served."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from flask import Flask, request
from flask.views import MethodView

from flask_guard import Guard
from tests.requests.conftest import AppMaker, assert_problem, bearer

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def override_method(inner: WSGIApp) -> WSGIApp:
    """The middleware that lets a form send DELETE."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["REQUEST_METHOD"] = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"])
        return inner(environ, start_response)

    return app


def drop_credentials(inner: WSGIApp) -> WSGIApp:
    """A middleware that hands on another environment, without the credential."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return inner({name: value for name, value in environ.items() if name != "HTTP_AUTHORIZATION"}, start_response)

    return app


def bring_a_body(inner: WSGIApp) -> WSGIApp:
    """A middleware that makes a request with a body from one without."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = {
            "wsgi.input": io.BytesIO(b"x" * 2048),
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        }
        return inner(environ | body, start_response)

    return app


def _add_routes(app: Flask, guard: Guard) -> None:
    class Orders(MethodView):
        @guard.public(reason="anybody may order")
        def post(self) -> str:
            return str(len(request.get_data()))

        @guard.require_role("admin")
        def delete(self) -> str:
            return "deleted"

    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))


def test_the_rule_of_the_method_that_runs_is_the_one_that_counts(make_app: AppMaker) -> None:
    """An overridden method must not run under the rule of the method that was sent."""

    def setup(app: Flask, guard: Guard) -> None:
        _add_routes(app, guard)
        app.wsgi_app = override_method(app.wsgi_app)  # type: ignore[method-assign, assignment]

    app, guard = make_app(setup)
    client, override = app.test_client(), {"X-HTTP-Method-Override": "DELETE"}

    assert client.post("/orders").status_code == 200
    assert_problem(client.post("/orders", headers=override), 401, "unauthorized")
    allowed = client.post("/orders", headers={**override, **bearer(guard, roles=["admin"])})
    assert allowed.get_data() == b"deleted"


def test_a_credential_that_middleware_took_away_counts_no_more(make_app: AppMaker) -> None:
    def setup(app: Flask, _guard: Guard) -> None:
        app.wsgi_app = drop_credentials(app.wsgi_app)  # type: ignore[method-assign, assignment]

    app, guard = make_app(setup)

    assert_problem(app.test_client().get("/closed", headers=bearer(guard)), 401, "unauthorized")


def test_a_body_that_middleware_brought_is_bounded_too(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        _add_routes(app, guard)
        app.wsgi_app = bring_a_body(app.wsgi_app)  # type: ignore[method-assign, assignment]

    app, _ = make_app(setup, max_body="1K")

    assert_problem(app.test_client().post("/orders"), 413, "body_too_large")


def test_a_stream_that_middleware_wraps_keeps_the_limit_of_its_route(make_app: AppMaker) -> None:
    """The bytes are counted once, below the wrapper, and a route may still take more than the default."""

    def count(inner: WSGIApp) -> WSGIApp:
        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            return inner({**environ, "wsgi.input": io.BufferedReader(_Raw(environ["wsgi.input"]))}, start_response)

        return app

    def setup(app: Flask, guard: Guard) -> None:
        @app.post("/large")
        @guard.public(reason="test")
        @guard.max_body("4K")
        def large() -> str:
            return str(len(request.get_data()))

        app.wsgi_app = count(app.wsgi_app)  # type: ignore[method-assign, assignment]

    app, _ = make_app(setup, max_body="1K")
    client = app.test_client()

    assert client.post("/large", data=b"x" * 4000).get_data() == b"4000"
    assert_problem(client.post("/large", data=b"x" * 5000), 413, "body_too_large")


class _Raw(io.RawIOBase):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("method", ["post", "Post", "pOST"])
def test_a_method_in_other_letters_is_judged_as_flask_routes_it(make_app: AppMaker, method: str) -> None:
    """Flask takes "delete" for DELETE, so Guard does."""
    app, _ = make_app(_add_routes)
    client = app.test_client()

    opened = client.open("/orders", environ_overrides={"REQUEST_METHOD": method})
    closed = client.open("/orders", environ_overrides={"REQUEST_METHOD": "delete"})

    assert opened.status_code == 200
    assert_problem(closed, 401, "unauthorized")
