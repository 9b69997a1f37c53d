"""Limits written with Flask-Limiter's decorators count inside Guard; a Limiter of one's own goes on counting itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits._storage_scheme import SCHEMES
from limits.storage import MemoryStorage

from flask_guard import ConfigError, Guard

from .conftest import AppMaker, assert_problem, bearer


def statuses(app: Flask, path: str, times: int, *, address: str = "203.0.113.7", **options: Any) -> list[int]:
    client = app.test_client()
    base = {"REMOTE_ADDR": address}
    return [client.open(path, environ_base=base, **options).status_code for _ in range(times)]


# guard.limiter ------------------------------------------------------------------------------------------


def test_a_decorated_view_is_refused_after_its_limit(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.get("/login")
        @guard.public(reason="logging in")
        @guard.limiter.limit("2/minute", key_func=get_remote_address)
        def login() -> str:
            return "in"

    app, _guard = make_app(setup)

    assert statuses(app, "/login", 2) == [200, 200]
    answer = app.test_client().get("/login", environ_base={"REMOTE_ADDR": "203.0.113.7"})
    problem = assert_problem(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 120
    assert '"route";q=2;w=60' in answer.headers["RateLimit-Policy"]
    assert "limit" not in problem["detail"]
    assert statuses(app, "/login", 1, address="203.0.113.8") == [200]


def test_without_a_key_a_principal_has_its_own_bucket(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.get("/notes")
        @guard.limiter.limit("2/minute")
        def notes() -> str:
            return ""

    app, guard = make_app(setup)

    assert statuses(app, "/notes", 3, headers=bearer(guard)) == [200, 200, 429]
    assert statuses(app, "/notes", 1, headers=bearer(guard, "eve")) == [200]


def test_the_view_that_is_served_is_the_view_that_was_written(make_app: AppMaker) -> None:
    def notes() -> str:
        return ""

    app, _guard = make_app(lambda app, guard: app.add_url_rule("/notes", "notes", guard.limiter.limit("2/day")(notes)))

    assert app.view_functions["notes"] is notes


@pytest.mark.parametrize("key", ["", None, RuntimeError("boom")], ids=["empty", "none", "an error"])
def test_a_key_function_without_a_key_counts_by_network(key: Any, make_app: AppMaker) -> None:
    def no_key() -> Any:
        if isinstance(key, Exception):
            raise key
        return key

    def setup(app: Flask, guard: Guard) -> None:
        @app.get("/notes")
        @guard.public(reason="test")
        @guard.limiter.limit("2/minute", key_func=no_key)
        def notes() -> str:
            return ""

    app, _guard = make_app(setup)

    assert statuses(app, "/notes", 3) == [200, 200, 429]
    assert statuses(app, "/notes", 1, address="203.0.113.8") == [200]


@pytest.mark.parametrize("text", ["", "often", RuntimeError("boom")], ids=["empty", "garbage", "an error"])
def test_a_dynamic_limit_without_a_text_is_the_strict_one(text: Any, make_app: AppMaker) -> None:
    def no_text() -> Any:
        if isinstance(text, Exception):
            raise text
        return text

    def setup(app: Flask, guard: Guard) -> None:
        @app.get("/notes")
        @guard.public(reason="test")
        @guard.limiter.limit(no_text)
        def notes() -> str:
            return ""

    app, _guard = make_app(setup)

    assert statuses(app, "/notes", 2) == [200, 429]


def test_a_shared_limit_counts_over_its_routes_and_methods(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        shared = guard.limiter.shared_limit("2/minute", scope="notes")
        for name in ("a", "b"):
            view = guard.public(reason="test")(shared(lambda: ""))
            app.add_url_rule(f"/{name}", name, view)

    app, _guard = make_app(setup)

    assert statuses(app, "/a", 1) == [200]
    assert statuses(app, "/b", 1, method="HEAD") == [200]
    assert statuses(app, "/a", 1) == statuses(app, "/b", 1) == [429]


def test_a_scope_by_host_counts_each_host_apart(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.get("/notes")
        @guard.public(reason="test")
        @guard.limiter.limit("1/minute", scope=lambda endpoint: request.host)
        def notes() -> str:
            return ""

    app, _guard = make_app(setup)

    assert statuses(app, "/notes", 2, headers={"Host": "a.example"}) == [200, 429]
    assert statuses(app, "/notes", 2, headers={"Host": "b.example"}) == [200, 429]


def test_an_exempt_view_is_without_the_limits_of_every_route(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        for name, decorate in (("free", guard.limiter.exempt), ("bound", lambda view: view)):
            app.add_url_rule(f"/{name}", name, guard.public(reason="test")(decorate(lambda: "")))

    app, _guard = make_app(setup, rate_limit_anonymous="2/minute")

    assert statuses(app, "/free", 4) == [200] * 4
    assert statuses(app, "/bound", 3) == [200, 200, 429]


def test_a_filter_exempts_from_the_limits_of_decorators_only(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @guard.limiter.request_filter
        def is_internal() -> bool:
            return request.headers.get("X-Internal") == "yes"

        app.add_url_rule("/a", "a", guard.public(reason="test")(guard.limiter.limit("1/minute")(lambda: "")))

    app, _guard = make_app(setup, rate_limit_anonymous="4/minute")

    assert statuses(app, "/a", 3, headers={"X-Internal": "yes"}) == [200] * 3
    assert statuses(app, "/a", 1, headers={"X-Internal": "yes"}) == [200]
    assert statuses(app, "/a", 1, headers={"X-Internal": "yes"}) == [429]


def test_a_limit_on_what_no_route_calls_is_a_start_error(make_app: AppMaker) -> None:
    app, guard = make_app()

    @guard.limiter.limit("2/minute")
    def helper() -> str:
        return ""

    with pytest.raises(ConfigError, match="helper, which no application or blueprint routes"):
        guard.compile(app)


def test_a_limit_that_comes_too_late_is_an_error(make_app: AppMaker) -> None:
    app, guard = make_app(lambda app, guard: guard.limiter)
    guard.compile(app)

    with pytest.raises(ConfigError, match="came after the rules were compiled"):
        guard.limiter.limit("2/minute")(app.view_functions["closed"])


# A Limiter of the application -----------------------------------------------------------------------------


class Unreachable(Exception):
    """What a driver raises whose server is away."""


class UnreachableStorage(MemoryStorage):
    @property
    def base_exceptions(self) -> type[Exception]:
        return Unreachable

    def incr(self, *_args: Any, **_options: Any) -> int:
        raise Unreachable("secret-host:6379")


def with_own_limiter(app: Flask, guard: Guard, **options: Any) -> None:
    limiter = Limiter(get_remote_address, app=app, **{"storage_uri": "memory://", **options})

    @app.get("/own")
    @guard.public(reason="test")
    @limiter.limit("2/minute")
    def own() -> str:
        return ""


def test_ones_own_limiter_counts_and_its_refusal_is_told_as_guards(make_app: AppMaker) -> None:
    app, _guard = make_app(with_own_limiter)

    assert statuses(app, "/own", 2) == [200, 200]
    answer = app.test_client().get("/own", environ_base={"REMOTE_ADDR": "203.0.113.7"})
    problem = assert_problem(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    assert problem["detail"] == "Too many requests. Try again later."


def test_a_handler_of_the_application_for_429_wins(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        with_own_limiter(app, guard)
        app.register_error_handler(429, lambda error: ("mine", 429))

    app, _guard = make_app(setup)
    statuses(app, "/own", 2)

    assert app.test_client().get("/own", environ_base={"REMOTE_ADDR": "203.0.113.7"}).text == "mine"


def test_an_outage_of_its_storage_is_a_503_that_tells_nothing(
    make_app: AppMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCHEMES, "unreachable", UnreachableStorage)
    app, _guard = make_app(lambda app, guard: with_own_limiter(app, guard, storage_uri="unreachable://"))

    answer = app.test_client().get("/own")

    assert_problem(answer, 503, "rate_limit_unavailable")
    assert "secret-host" not in answer.text
    assert answer.headers["Retry-After"] == "1"


def test_a_setting_of_flask_limiter_that_nobody_reads_is_a_start_error(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        app.config["RATELIMIT_STORAGE_URI"] = "redis://cache"

    app, guard = make_app(setup)

    with pytest.raises(ConfigError, match="under Guard use GUARD_RATE_LIMIT_STORAGE_URI"):
        guard.compile(app)


# What is loaded, and the command ----------------------------------------------------------------------------

PROGRAM = """
import secrets

from flask import Flask
from flask_guard import Guard

app = Flask("app", instance_path={folder!r})
guard = Guard(jwt_secret_key=secrets.token_hex(32), log_level="error")
{more}
guard.init_app(app)
"""
DECORATED = """
@app.get("/login")
@guard.limiter.limit("5/minute")
def login():
    return ""
"""


@pytest.mark.parametrize(
    ("more", "is_loaded"), [("", False), (DECORATED, True)], ids=["without a decorator", "with a decorator"]
)
def test_flask_limiter_is_loaded_when_somebody_uses_it(more: str, is_loaded: bool, tmp_path: Path) -> None:
    program = PROGRAM.format(folder=str(tmp_path), more=more) + textwrap.dedent(
        """
        import json, sys
        guard.compile(app)
        print(json.dumps("flask_limiter" in sys.modules))
        """
    )

    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert json.loads(output.splitlines()[-1]) is is_loaded


@pytest.mark.parametrize(
    ("more", "command", "shown"),
    [
        pytest.param(DECORATED, "limits", "5 per 1 minute", id="limits"),
        pytest.param(DECORATED, "config", "memory://", id="config"),
        pytest.param("", "config", "100 per 1 minute", id="config without a decorator"),
    ],
)
def test_flask_limiter_command_shows_what_guard_enforces(more: str, command: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "limited.py").write_text(PROGRAM.format(folder=str(tmp_path), more=more))
    environ = {**os.environ, "COLUMNS": "200"}
    run = [sys.executable, "-m", "flask", "--app", str(tmp_path / "limited.py"), "limiter", command]

    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, env=environ, check=False)

    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
