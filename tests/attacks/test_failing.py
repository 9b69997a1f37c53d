"""Applications, formatters and policies that fail at an awkward moment."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request, session
from flask.wrappers import Request
from werkzeug.routing import BaseConverter, Rule

from flask_guard import ConfigError, Guard
from flask_guard.authz.policies import Policy
from flask_guard.values import Decision, Principal
from tests.requests.conftest import AppMaker, assert_problem, bearer


class Server:
    """A WSGI server that keeps what it is told, and as gunicorn adds the headers of each `start_response`."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.headers: list[tuple[str, str]] = []
        self.written: list[bytes] = []

    def start_response(
        self, status: str, headers: list[tuple[str, str]], _exc_info: Any = None
    ) -> Callable[[bytes], None]:
        self.statuses.append(status)
        self.headers += headers
        return self.written.append

    def ask(self, app: Flask, path: str) -> bytes:
        environ = app.test_request_context(path).request.environ
        return b"".join(app.wsgi_app(environ, self.start_response))


def test_a_teardown_that_fails_leaves_nothing_of_the_first_answer(make_app: AppMaker) -> None:
    """Neither its length beside ours, which would let a proxy split the answer, nor its cookies."""

    def setup(app: Flask, guard: Guard) -> None:
        @app.get("/falls")
        @guard.public(reason="test")
        def falls() -> str:
            session["begun"] = True
            return "half done"

        @app.teardown_request
        def fail(_error: BaseException | None) -> None:
            raise RuntimeError("the pool is gone")

    app, _ = make_app(setup)
    server = Server()

    body = server.ask(app, "/falls")

    names = [name for name, _ in server.headers]
    assert server.statuses == ["500 Internal Server Error"]
    assert dict(server.headers)["Content-Length"] == str(len(body))
    assert len(names) == len(set(names))
    assert "Set-Cookie" not in names
    assert b"the pool is gone" not in body


def test_an_application_may_still_write_the_old_way(make_app: AppMaker) -> None:
    """PEP 3333's `write`: the headers go out with the first piece, and those of Guard are among them."""

    def old(inner: Any) -> Any:
        def app(_environ: Any, start_response: Any) -> list[bytes]:
            write = start_response("200 OK", [("Content-Type", "text/plain")])
            write(b"one")
            write(b"two")
            return []

        return app

    app, _ = make_app(lambda app, _guard: setattr(app, "wsgi_app", old(app.wsgi_app)))
    server = Server()

    assert server.ask(app, "/") == b""
    assert server.written == [b"one", b"two"]
    assert server.statuses == ["200 OK"]
    assert ("X-Content-Type-Options", "nosniff") in server.headers


def test_an_application_may_begin_its_answer_late(make_app: AppMaker) -> None:
    """A generator of a middleware calls start_response when it is first asked for a piece."""

    def late(inner: Any) -> Any:
        def app(environ: Any, start_response: Any) -> Any:
            yield from inner(environ, start_response)

        return app

    app, _ = make_app(lambda app, _guard: setattr(app, "wsgi_app", late(app.wsgi_app)))

    assert_problem(app.test_client().get("/closed"), 401, "unauthorized")


def test_a_failed_compile_does_not_grow_with_the_requests_that_meet_it(make_app: AppMaker) -> None:
    """One exception that is raised again and again would keep every request's frames, credentials included."""

    def setup(app: Flask, guard: Guard) -> None:
        @app.get("/both")
        @guard.public(reason="test")
        @guard.require_role("admin")
        def both() -> str:
            return "open?"

    app, _ = make_app(setup)

    for _ in range(20):
        assert app.test_client().get("/both").status_code == 500

    trace, depth = app.extensions["guard.runtime"].failure.__traceback__, 0
    while trace is not None:
        trace, depth = trace.tb_next, depth + 1
    assert depth < 10


@pytest.mark.parametrize(
    "answer",
    [
        (b"x", None),
        (b"x", b"text/plain"),
        (b"x", 5),
        (b"x", "text/plain\r\nSet-Cookie: a=b"),
        ("text", "text/plain"),
        None,
        (b"x",),
    ],
    ids=repr,
)
def test_a_formatter_that_answers_nonsense_leaves_the_standard_shape(tmp_path: Path, answer: Any) -> None:
    app = Flask("formatted", instance_path=str(tmp_path))
    app.add_url_rule("/closed", "closed", lambda: "")
    Guard(app, jwt_secret_key=secrets.token_urlsafe(48), error_formatter=lambda _members: answer)

    refused = app.test_client().get("/closed")

    assert_problem(refused, 401, "unauthorized")
    assert "Set-Cookie" not in refused.headers


class Odd(Policy):
    """A policy that answers with whatever it was given, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def decide(self, principal: Principal, *, now: float) -> Decision:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    def describe(self) -> str:
        return "odd"


@pytest.mark.parametrize("answer", [None, True, 1, "yes", ValueError("inside")], ids=repr)
@pytest.mark.parametrize("shape", ["plain", "inverted", "either", "both"])
def test_a_policy_that_answers_nonsense_opens_nothing(make_app: AppMaker, answer: Any, shape: str) -> None:
    policy = Odd(answer)
    shapes = {"plain": policy, "inverted": ~policy, "either": policy | policy, "both": policy & policy}

    def setup(app: Flask, guard: Guard) -> None:
        app.add_url_rule("/odd", "odd", guard.require(shapes[shape])(lambda: "in"))

    enforced, guard = make_app(setup)
    reported, lenient = make_app(setup, default_access="report-only")

    refused = enforced.test_client().get("/odd", headers=bearer(guard))
    assert_problem(refused, 500, "internal")
    assert b"inside" not in refused.get_data()
    # Where nothing is enforced, a policy with a bug must not end a request either.
    assert reported.test_client().get("/odd", headers=bearer(lenient)).get_data() == b"in"


def test_report_only_serves_a_route_that_came_late(make_app: AppMaker) -> None:
    """Enforced it is closed, because nobody has judged it; in report-only it would only be reported."""
    statuses = []
    for access in ("authenticated", "report-only"):
        app, _ = make_app(default_access=access)
        assert app.test_client().get("/closed").status_code in (200, 401)
        app.url_map.add(Rule("/late", endpoint="late", methods=["GET"]))
        app.view_functions["late"] = lambda: "late"
        statuses.append(app.test_client().get("/late").status_code)

    assert statuses == [404, 200]


def test_a_guard_that_comes_after_the_first_request_touches_nothing(tmp_path: Path) -> None:
    app = Flask("served", instance_path=str(tmp_path))
    app.test_client().get("/")

    with pytest.raises(ConfigError, match="served requests already"):
        Guard(app, jwt_secret_key=secrets.token_urlsafe(48))

    assert not app.before_request_funcs
    assert app.request_class is Request
    assert "guard" not in app.extensions


def test_a_converter_that_raises_ends_in_a_500_that_tells_nothing(make_app: AppMaker) -> None:
    class Raising(BaseConverter):
        def to_python(self, value: str) -> Any:
            raise RuntimeError("inside the converter")

    def setup(app: Flask, _guard: Guard) -> None:
        app.url_map.converters["raising"] = Raising
        app.add_url_rule("/raising/<raising:value>", "raising", lambda value: value)

    app, _ = make_app(setup)

    problem = assert_problem(app.test_client().get("/raising/1"), 500, "internal")
    assert "converter" not in str(problem)


def test_an_error_handler_for_everything_does_not_open_what_is_refused(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        app.config["TRAP_HTTP_EXCEPTIONS"] = True
        app.register_error_handler(Exception, lambda _error: ("fine", 200))

        @app.post("/read")
        @guard.public(reason="test")
        def read() -> str:
            return str(len(request.get_data()))

    app, _ = make_app(setup, max_body="1K")

    assert_problem(app.test_client().get("/closed"), 401, "unauthorized")
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    refused = app.test_client().post("/read", data=b"x" * 2000, environ_overrides=chunked)
    assert refused.status_code in (200, 413)
    assert b"2000" not in refused.get_data()


@pytest.mark.parametrize(
    "option", ["path_prefix", "health_live_paths", "jwt_issuer", "jwt_subject_claim", "public_url", "service_name"]
)
def test_bytes_that_are_no_text_refuse_to_start(make_app: AppMaker, option: str) -> None:
    """A variable of the environment that is not UTF-8 is told as a wrong setting, not by a UnicodeError."""
    raw = b"https://\xff/".decode("utf-8", "surrogateescape")

    with pytest.raises(ConfigError, match=f"GUARD_{option.upper()}"):
        make_app(**{option: raw})
