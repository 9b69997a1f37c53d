"""Mistakes that a programmer makes with Guard: each is told in words, and none of them opens anything."""

from __future__ import annotations

import gc
import io
import secrets
import weakref
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, request
from werkzeug.test import create_environ

from flask_guard import ConfigError, Guard, Policy, Principal
from flask_guard.pipeline.access_map import make_access_map

from .conftest import AppMaker, assert_problem, bearer


class Careless(Policy):
    """A policy that answers with a truth value."""

    def decide(self, principal: Principal, *, now: float) -> Any:
        return True

    def describe(self) -> str:
        return "careless"


def test_a_policy_that_returns_a_truth_value_opens_nothing_and_is_told(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        app.add_url_rule("/careless", "careless", guard.require(Careless())(lambda: "open"))

    app, guard = make_app(setup)

    answer = app.test_client().get("/careless", headers=bearer(guard))

    assert_problem(answer, 500, "internal")
    assert "X-Content-Type-Options" in answer.headers
    assert "careless.decide() returned True, which is not a Decision" in caplog.text


def test_the_map_shows_a_step_that_stands_in_for_the_rules(make_app: AppMaker) -> None:
    def wave_through(context: Any) -> None:
        return None

    def setup(app: Flask, guard: Guard) -> None:
        app.add_url_rule("/admin", "admin", guard.require_role("admin")(lambda: "admin"))
        guard.register("authorize", wave_through, position="replace", endpoints=["admin"])

    app, guard = make_app(setup)
    guard.compile(app)

    row = next(row for row in make_access_map(guard.runtime.compile()) if row.endpoint == "admin")
    assert "authorize is replaced by" in row.asks
    assert "wave_through" in row.asks
    assert [finding.id for finding in guard.runtime.findings()] == ["FG-ROUTE-003"]


def test_what_is_meant_for_one_application_does_not_break_its_sibling() -> None:
    guard = Guard(jwt_secret_key=secrets.token_urlsafe(48))
    first, second = Flask("first"), Flask("second")
    first.add_url_rule("/only", "only", lambda: "ok")
    guard.register("authorize", lambda context: None, endpoints=["only"])
    guard.add_header("X-Only", "1", endpoints=["only"])
    guard.init_app(first)
    guard.init_app(second)

    assert second.test_client().get("/nowhere").status_code == 404


@pytest.mark.parametrize("supplied", [{"engine": "sqlite://"}, {"db": object()}])
def test_what_is_no_database_is_refused_at_start(tmp_path: Path, supplied: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="engine"):
        Guard(Flask("app", instance_path=str(tmp_path)), **supplied)


def test_a_taken_blueprint_name_leaves_the_application_untouched() -> None:
    app = Flask("app")
    app.register_blueprint(Blueprint("guard_health", __name__))
    before = app.wsgi_app

    with pytest.raises(ConfigError, match="guard_health"):
        Guard(app)

    assert app.wsgi_app == before
    assert not app.before_request_funcs


def test_faults_of_several_parts_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as told:
        Guard(
            Flask("app"),
            jwt_issuers=[{"issuer": "https://a.example.com"}],
            api_keys=[{"key": secrets.token_urlsafe(40)}],
            database_url="nonsense",
        )

    text = str(told.value)
    assert all(name in text for name in ("GUARD_JWT_ISSUERS", "GUARD_API_KEYS", "GUARD_DATABASE_URL"))


def test_a_rule_that_comes_too_late_is_refused(make_app: AppMaker) -> None:
    app, guard = make_app()
    guard.compile(app)

    with pytest.raises(ConfigError, match="after the rules were compiled"):
        guard.require_role("admin")(app.view_functions["closed"])

    assert guard.require_role("admin")(lambda: "of another application")


def test_before_init_app_the_way_on_is_told() -> None:
    guard = Guard()

    for ask in (lambda: guard.tokens, lambda: guard.api_keys, lambda: guard.compile(Flask("app"))):
        with pytest.raises(ConfigError, match=r"guard\.init_app\(app\)"):
            ask()


def test_tokens_are_those_of_the_guard_that_is_asked(make_app: AppMaker) -> None:
    first_app, first = make_app()
    second_app, _ = make_app()

    with second_app.app_context():
        headers = bearer(first)

    assert first_app.test_client().get("/closed", headers=headers).status_code == 200


@pytest.mark.parametrize("is_lazy", [False, True], ids=["application", "generator around it"])
def test_a_body_does_not_outlive_its_request(make_app: AppMaker, is_lazy: bool) -> None:
    alive: list[weakref.ref[Any]] = []

    def setup(app: Flask, guard: Guard) -> None:
        guard.public(reason="test")(app.post("/upload", endpoint="upload")(lambda: str(len(request.get_data()))))
        inner = app.wsgi_app

        def forward(environ: Any, start_response: Any) -> Any:
            yield from inner(environ, start_response)

        if is_lazy:
            app.wsgi_app = forward  # type: ignore[method-assign]

    def upload(app: Flask) -> bytes:
        body = io.BytesIO(b"x" * 1000)
        alive.append(weakref.ref(body))
        environ = create_environ("/upload", method="POST")
        environ |= {"wsgi.input": body, "CONTENT_LENGTH": "1000"}
        return b"".join(app(environ, lambda *_begun: lambda _data: None))

    app, _ = make_app(setup)
    gc.collect()
    gc.disable()
    try:
        answers = {upload(app) for _ in range(5)}
        living = [reference for reference in alive if reference() is not None]
    finally:
        gc.enable()

    assert answers == {b"1000"}
    assert len(living) <= 1
