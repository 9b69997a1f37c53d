"""Functions of the application at named steps, health probes, and errors of its data."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import marshmallow
import pytest
import sqlalchemy as sa
from flask import Blueprint, Flask, request

from flask_guard import ConfigError, Guard, Principal, current_principal
from flask_guard.errors import AccessRefused
from flask_guard.pipeline.context import RequestContext
from flask_guard.policies import public

from .conftest import AppMaker, assert_problem, bearer


def test_a_step_of_the_application_sees_the_principal_and_may_refuse(make_app: AppMaker) -> None:
    seen: list[str] = []

    def setup(app: Flask, guard: Guard) -> None:
        def only_ada(context: RequestContext) -> None:
            seen.append(context.principal.id)
            if context.principal.id != "ada":
                raise AccessRefused(detail="not ada")

        guard.register("authenticate", only_ada, position="after", endpoints=["closed"])

    app, guard = make_app(setup)
    client = app.test_client()

    assert client.get("/closed", headers=bearer(guard)).status_code == 200
    assert_problem(client.get("/closed", headers=bearer(guard, "eve")), 403, "forbidden")
    assert seen == ["ada", "eve"]


def test_a_step_may_end_the_chain_and_respond_still_runs(make_app: AppMaker) -> None:
    calls: list[str] = []

    def setup(app: Flask, guard: Guard) -> None:
        guard.register("authorize", lambda context: ("maintenance", 503), position="before")
        guard.register("authorize", lambda context: calls.append("later"), position="after")

        def sign(context: RequestContext, response: Any) -> Any:
            response.headers["X-Signed"] = "yes"
            return response

        guard.register("respond", sign)

    app, guard = make_app(setup)

    answer = app.test_client().get("/closed", headers=bearer(guard))

    assert (answer.status_code, answer.text, answer.headers["X-Signed"]) == (503, "maintenance", "yes")
    assert calls == []
    assert app.test_client().get("/nowhere").headers["X-Signed"] == "yes"


def test_steps_run_in_the_order_of_registration(make_app: AppMaker) -> None:
    order: list[str] = []

    def setup(app: Flask, guard: Guard) -> None:
        def note(word: str) -> Any:
            return lambda context: order.append(word)

        guard.register("tenant", note("second"), position="after")
        guard.register("payload", note("first"))
        guard.register("tenant", note("third"), position="after")

    app, guard = make_app(setup)
    app.test_client().get("/closed", headers=bearer(guard))

    assert order == ["first", "second", "third"]


def test_a_replaced_authentication_sets_the_principal(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        def trust_header(context: RequestContext) -> None:
            name = context.environ.get("HTTP_X_TEST_USER")
            if name:
                context.principal = Principal(id=name, method="dev")

        guard.register("authenticate", trust_header, position="replace")

    app, _ = make_app(setup)
    client = app.test_client()

    assert client.get("/closed", headers={"X-Test-User": "ada"}).json == {"id": "ada"}
    assert client.get("/closed").status_code == 401


def test_an_async_step_works(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        async def answer(context: RequestContext) -> str:
            return "async"

        guard.register("payload", answer, methods=["GET"])

    app, _ = make_app(setup)

    assert app.test_client().get("/closed").text == "async"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"step": "authorise"}, "Did you mean authorize"),
        ({"step": "authorize", "position": "instead"}, "not 'instead'"),
        ({"step": "authorize", "fn": "name"}, "cannot be called"),
    ],
)
def test_a_registration_that_means_nothing_is_refused_at_once(
    make_app: AppMaker, arguments: dict[str, Any], sentence: str
) -> None:
    guard = Guard()

    with pytest.raises(ConfigError, match=sentence):
        guard.register(**{"fn": lambda context: None, **arguments})


@pytest.mark.parametrize(
    "scope",
    [{"endpoints": ["clsoed"]}, {"blueprints": ["nobody"]}, {"endpoints": ["closed"], "methods": ["DELETE"]}],
)
def test_a_registration_that_could_never_run_is_an_error(make_app: AppMaker, scope: dict[str, Any]) -> None:
    app, guard = make_app(lambda app, guard: guard.register("authorize", lambda context: None, **scope))

    with pytest.raises(ConfigError, match="could never run"):
        guard.compile(app)


def test_what_comes_after_the_rules_were_compiled_is_refused(make_app: AppMaker) -> None:
    app, guard = make_app()
    guard.compile(app)

    with pytest.raises(ConfigError, match="compiled"):
        guard.register("authorize", lambda context: None)
    with pytest.raises(ConfigError, match="compiled"):
        guard.rules({"closed": public(reason="late")})
    with pytest.raises(ConfigError, match="compiled"):
        guard.add_header("X-A", "b")


def test_the_probes_answer_without_a_credential_or_a_log_line(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = make_app(path_prefix="/api", health_ready_paths="/healthz/ready,/readyz", log_level="debug")
    client = app.test_client()

    with caplog.at_level("DEBUG", logger="flask_guard"):
        assert client.get("/api/healthz/live").json == {"status": "ok"}
        assert client.get("/api/healthz/ready").json == {"checks": {}, "status": "ok"}
        assert client.get("/api/readyz").status_code == 200

    assert not [record for record in caplog.records if record.name == "flask_guard.access"]
    assert client.get("/healthz/live").status_code == 404


@pytest.mark.parametrize(
    ("check", "state"),
    [(lambda: None, "ok"), (lambda: True, "ok"), (lambda: False, "error"), (lambda: 1 / 0, "error")],
)
def test_a_check_of_the_application_decides_readiness(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture, check: Any, state: str
) -> None:
    app, _ = make_app(lambda app, guard: guard.health_check("queue", check))

    answer = app.test_client().get("/healthz/ready")

    assert answer.status_code == (200 if state == "ok" else 503)
    assert answer.json == {"status": "ok" if state == "ok" else "degraded", "checks": {"queue": state}}
    assert "ZeroDivision" not in answer.text


def test_a_late_check_is_an_error_and_is_not_piled_up(make_app: AppMaker) -> None:
    started: list[int] = []
    release = threading.Event()

    def hang() -> None:
        started.append(1)
        release.wait(20)

    app, _ = make_app(lambda app, guard: guard.health_check("slow", hang), health_timeout="50ms")
    client = app.test_client()

    begun = time.monotonic()
    answers = [client.get("/healthz/ready")]
    time.sleep(1.05)
    answers.append(client.get("/healthz/ready"))
    release.set()

    assert [answer.json["checks"] for answer in answers] == [{"slow": "error"}] * 2
    assert time.monotonic() - begun < 5
    assert started == [1]


def test_many_probes_at_once_ask_once(make_app: AppMaker) -> None:
    asked: list[int] = []
    app, _ = make_app(lambda app, guard: guard.health_check("queue", lambda: asked.append(1)))

    threads = [threading.Thread(target=lambda: app.test_client().get("/healthz/ready")) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert asked == [1]


def test_the_live_probe_asks_the_database_if_told_to(make_app: AppMaker, tmp_path: Path) -> None:
    well, _ = make_app(health_check_db=True, database_url=f"sqlite:///{tmp_path}/guard.sqlite3")
    ill, _ = make_app(health_check_db=True, database_url="postgresql://nobody@127.0.0.1:1/none", health_timeout="2s")

    assert well.test_client().get("/healthz/live").json == {"status": "ok", "db": "ok"}
    answer = ill.test_client().get("/healthz/live")
    assert (answer.status_code, answer.json) == (503, {"status": "degraded", "db": "error"})


@pytest.mark.parametrize(("path", "status", "code"), [("/unique", 409, "conflict"), ("/null", 422, "validation_error")])
def test_a_row_that_the_database_refuses(
    make_app: AppMaker, database_url: str, path: str, status: int, code: str
) -> None:
    engine = sa.create_engine(database_url)
    rows = sa.Table("rows", sa.MetaData(), sa.Column("name", sa.String(20), unique=True, nullable=False))

    def setup(app: Flask, guard: Guard) -> None:
        @app.post("/unique")
        def unique() -> str:
            with engine.begin() as connection:
                connection.execute(rows.insert(), [{"name": "secret-value"}, {"name": "secret-value"}])
            return "made"

        @app.post("/null")
        def null() -> str:
            with engine.begin() as connection:
                connection.execute(sa.text("INSERT INTO rows (name) VALUES (NULL)"))
            return "made"

    rows.create(engine)
    app, guard = make_app(setup)

    answer = app.test_client().post(path, headers=bearer(guard))
    engine.dispose()

    assert_problem(answer, status, code)
    assert "secret-value" not in answer.text
    assert "rows" not in answer.text


def test_a_validation_error_of_marshmallow_names_the_fields(make_app: AppMaker) -> None:
    class NoteSchema(marshmallow.Schema):
        title = marshmallow.fields.String(required=True)
        tags = marshmallow.fields.List(marshmallow.fields.Integer())

    def setup(app: Flask, guard: Guard) -> None:
        @app.post("/notes")
        def make() -> Any:
            return NoteSchema().load(request.get_json())

    app, guard = make_app(setup)

    answer = app.test_client().post("/notes", json={"tags": [1, "x"]}, headers=bearer(guard))

    problem = assert_problem(answer, 422, "validation_error")
    assert {fault["pointer"] for fault in problem["errors"]} == {"/title", "/tags/1"}


def test_rules_of_a_blueprint_hold_for_its_views_and_static_files(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        admin = Blueprint("admin", __name__, url_prefix="/admin", static_folder="files")
        guard.require_role("admin")(admin)

        @admin.get("/")
        def front() -> str:
            return current_principal.id

        @admin.get("/help")
        @guard.public(reason="help page")
        def help_page() -> str:
            return "help"

        app.register_blueprint(admin)

    app, guard = make_app(setup)
    client = app.test_client()

    assert client.get("/admin/", headers=bearer(guard)).status_code == 403
    assert client.get("/admin/files/x", headers=bearer(guard)).status_code == 403
    assert client.get("/admin/", headers=bearer(guard, roles=["admin"])).text == "ada"
    assert client.get("/admin/help").text == "help"


def test_every_request_leaves_one_access_line_with_its_facts(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    app, guard = make_app(log_level="info")
    headers = {**bearer(guard, tenant="acme"), "traceparent": f"00-{trace}-b7ad6b7169203331-01"}

    with caplog.at_level("INFO", logger="flask_guard.access"):
        answer = app.test_client().get("/closed", headers=headers)
        app.test_client().get("/closed")

    lines = [record for record in caplog.records if record.name == "flask_guard.access"]
    assert [line.levelname for line in lines] == ["INFO", "WARNING"]
    facts = lines[0].guard  # type: ignore[attr-defined]
    assert (facts["method"], facts["route"], facts["status"]) == ("GET", "/closed", 200)
    assert (facts["actor"], facts["tenant"], facts["trace_id"]) == ("ada", "acme", trace)
    assert facts["request_id"] == answer.headers["X-Request-Id"]
    assert lines[1].guard["code"] == "unauthorized"  # type: ignore[attr-defined]
    assert headers["Authorization"] not in caplog.text
