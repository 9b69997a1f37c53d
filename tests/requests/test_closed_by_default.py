"""A route without a rule is closed, whatever kind of route it is."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView

from flask_guard import ConfigError, Guard, current_principal, current_tenant
from flask_guard.policies import public

from .conftest import AppMaker, assert_problem, bearer


def _every_kind_of_route(app: Flask, guard: Guard) -> None:
    blueprint = Blueprint("area", __name__, url_prefix="/area", static_folder="files")
    nested = Blueprint("inner", __name__, url_prefix="/inner")

    class Things(MethodView):
        def get(self) -> str:
            return "things"

        def post(self) -> str:
            return "made"

    @nested.get("/deep")
    def deep() -> str:
        return "deep"

    @app.get("/async")
    async def answer_later() -> str:
        await asyncio.sleep(0)
        return str(current_principal.id)

    app.add_url_rule("/things", view_func=Things.as_view("things"))
    app.add_url_rule("/factory", view_func=lambda: "made", endpoint="factory")
    blueprint.register_blueprint(nested)
    app.register_blueprint(blueprint)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/closed"),
        ("HEAD", "/closed"),
        ("OPTIONS", "/closed"),
        ("GET", "/static/app.js"),
        ("GET", "/area/files/a.js"),
        ("GET", "/area/inner/deep"),
        ("GET", "/things"),
        ("POST", "/things"),
        ("OPTIONS", "/things"),
        ("GET", "/async"),
        ("GET", "/factory"),
    ],
)
def test_no_route_answers_an_anonymous_caller(make_app: AppMaker, method: str, path: str) -> None:
    app, guard = make_app(_every_kind_of_route)

    anonymous = app.test_client().open(path, method=method)
    known = app.test_client().open(path, method=method, headers=bearer(guard))

    assert anonymous.status_code == 401
    assert anonymous.headers["WWW-Authenticate"] == "Bearer"
    assert known.status_code in (200, 404)


def test_a_refusal_says_what_is_asked_and_nothing_else(make_app: AppMaker) -> None:
    app, _ = make_app()

    problem = assert_problem(app.test_client().get("/closed"), 401, "unauthorized")

    assert problem["detail"] == "Authentication is required."
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id"}


def test_without_any_credential_setting_everything_is_closed(make_app: AppMaker) -> None:
    app, guard = make_app(jwt_secret_key=None)

    answer = app.test_client().get("/closed", headers={"Authorization": "Bearer a.b.c"})

    assert_problem(answer, 401, "invalid_token")
    with app.app_context(), pytest.raises(ConfigError, match="GUARD_JWT_SECRET_KEY"):
        guard.tokens.issue("ada")


def test_unknown_urls_and_methods_are_told_in_the_same_shape(make_app: AppMaker) -> None:
    app, _ = make_app()
    client = app.test_client()

    assert_problem(client.get("/nowhere"), 404, "not_found")
    wrong_method = client.delete("/closed")
    assert_problem(wrong_method, 405, "method_not_allowed")
    assert "GET" in wrong_method.headers["Allow"]


def test_a_hook_registered_before_guard_does_not_answer_ahead_of_it(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.before_request
        def answer_everything() -> str:
            return "open"

    app, _ = make_app(setup)

    assert app.test_client().get("/closed").status_code == 401


def test_an_extension_that_puts_its_hook_first_afterwards_is_moved_behind(make_app: AppMaker) -> None:
    app, _ = make_app()
    app.before_request_funcs[None].insert(0, lambda: "open")

    assert app.test_client().get("/closed").status_code == 401


def test_the_tenant_of_the_token_is_the_current_tenant(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.get("/tenant")
        @guard.require_tenant()
        def tenant() -> dict[str, Any]:
            return {"id": current_tenant.id, "bound": bool(current_tenant)}

    app, guard = make_app(setup)
    client = app.test_client()

    assert client.get("/tenant", headers=bearer(guard, tenant="acme")).json == {"id": "acme", "bound": True}
    problem = assert_problem(client.get("/tenant", headers=bearer(guard)), 403, "forbidden")
    assert problem["detail"] == "Tenant identity could not be determined."
    assert not current_tenant


def test_report_only_decides_and_logs_and_refuses_nothing(make_app: AppMaker, caplog: pytest.LogCaptureFixture) -> None:
    app, _ = make_app(default_access="report-only")

    with caplog.at_level("WARNING", logger="flask_guard"):
        answer = app.test_client().get("/closed", headers={"Authorization": "Bearer nonsense"})

    assert answer.json == {"id": "anonymous"}
    said = [record.guard for record in caplog.records if hasattr(record, "guard") and "refus" in record.message]
    assert [(facts["event"], facts["code"], facts["route"]) for facts in said] == [
        ("would_refuse", "invalid_token", "/closed")
    ]


@pytest.mark.parametrize(
    ("default", "read", "write"),
    [("public-read", 200, 401), ("public", 200, 200), ("authenticated", 401, 401)],
)
def test_the_default_of_routes_without_a_rule(make_app: AppMaker, default: str, read: int, write: int) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.route("/both", methods=["GET", "POST"])
        def both() -> str:
            return "ok"

    app, _ = make_app(setup, default_access=default)
    client = app.test_client()

    assert client.get("/both").status_code == read
    assert client.head("/both").status_code == read
    assert client.post("/both").status_code == write
    assert client.post("/both", headers={"X-HTTP-Method-Override": "GET"}).status_code == write
    assert client.get("/both", headers={"Authorization": "Bearer bad"}).status_code == 401


def test_after_a_failed_compile_nothing_is_served(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @guard.require_role("admin")
        def lost() -> str:
            return "no route leads here"

        app.config["LOST"] = lost

    app, _ = make_app(setup)
    client = app.test_client()

    for path in ("/closed", "/healthz/live", "/nowhere"):
        problem = assert_problem(client.get(path), 500, "internal")
        assert "lost" not in str(problem)


def test_under_testing_a_failed_compile_is_raised(make_app: AppMaker) -> None:
    app, guard = make_app(lambda app, guard: guard.rules({"nobody.*": public(reason="nobody")}))
    app.testing = True

    with pytest.raises(ConfigError, match=r"nobody\.\*"):
        app.test_client().get("/closed")
    with pytest.raises(ConfigError):
        guard.compile(app)


def test_two_guards_in_one_process_keep_their_keys_apart(make_app: AppMaker) -> None:
    first, first_guard = make_app()
    second, second_guard = make_app()

    headers = bearer(first_guard)

    assert first.test_client().get("/closed", headers=headers).status_code == 200
    assert_problem(second.test_client().get("/closed", headers=headers), 401, "invalid_token")
    assert second.test_client().get("/closed", headers=bearer(second_guard)).status_code == 200


def test_one_guard_serves_several_applications() -> None:
    guard = Guard(jwt_secret_key=secrets.token_urlsafe(48))
    apps = []
    for name in ("one", "two"):
        app = Flask(name)
        app.add_url_rule("/", "index", guard.public(reason="front")(lambda: "ok"))
        guard.init_app(app)
        apps.append(app)

    assert [app.test_client().get("/").status_code for app in apps] == [200, 200]
    with pytest.raises(RuntimeError, match="the context of an application"):
        _ = guard.tokens
    with apps[0].app_context():
        assert guard.tokens.issue("ada")


def test_a_second_init_of_one_application_is_refused(make_app: AppMaker) -> None:
    app, guard = make_app()

    with pytest.raises(ConfigError, match="once"):
        guard.init_app(app)


def test_a_wrong_setting_leaves_the_application_untouched() -> None:
    app = Flask("app")
    before = app.wsgi_app

    with pytest.raises(ConfigError, match="jwt_secret_kye"):
        Guard(app, jwt_secret_kye="x")

    assert app.wsgi_app == before
    assert "guard" not in app.extensions
    assert not app.before_request_funcs
