"""`guard.accepts` judges what a view takes before it runs, `guard.returns` what leaves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask, Response, jsonify, redirect
from flask.testing import FlaskClient
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from flask_guard import ConfigError, Guard

Route = Callable[..., FlaskClient]


class NoteSchema(Schema):
    title = fields.String(required=True, validate=validate.Length(1, 10))
    tags = fields.List(fields.String())
    secret = fields.String(load_only=True)


@dataclass
class Note:
    title: str
    secret: str = "hush"


@pytest.fixture
def guard() -> Guard:
    return Guard(env="development", default_access="public")


@pytest.fixture
def route(guard: Guard) -> Route:
    def make(view: Any, *, methods: tuple[str, ...] = ("GET", "POST"), **options: Any) -> FlaskClient:
        app = Flask(__name__)
        app.testing = True
        app.add_url_rule("/", "view", guard.public(reason="test")(view), methods=methods)
        guard.init_app(app, **options)
        return app.test_client()

    return make


def test_a_view_finds_what_was_loaded(guard: Guard, route: Route) -> None:
    client = route(guard.accepts(NoteSchema)(lambda: guard.body))

    assert client.post("/", json={"title": "one"}).get_json() == {"title": "one"}


def test_all_faults_are_told_at_once_and_the_view_does_not_run(guard: Guard, route: Route) -> None:
    ran: list[bool] = []
    client = route(guard.accepts(NoteSchema)(lambda: ran.append(True)))

    answer = client.post("/", json={"tags": ["a", 5], "admin": True})

    assert answer.status_code == 422
    problem = answer.get_json()
    assert problem["code"] == "validation_error"
    assert sorted(error["pointer"] for error in problem["errors"]) == ["/admin", "/tags/1", "/title"]
    assert ran == []


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"data": "{", "content_type": "application/json"}, 400, "invalid_json"),
        ({"data": "", "content_type": "application/json"}, 400, "empty_body"),
        ({"data": "title=one", "content_type": "text/plain"}, 415, "unsupported_media_type"),
        ({"data": "[]", "content_type": "application/json"}, 400, "invalid_json"),
        ({"data": '{"title": "a", "title": "b"}', "content_type": "application/json"}, 400, "invalid_json"),
    ],
    ids=["broken", "empty", "text", "array", "doubled"],
)
def test_what_is_no_body_is_refused(guard: Guard, route: Route, sent: dict[str, Any], status: int, code: str) -> None:
    client = route(guard.accepts(NoteSchema)(lambda: guard.body))

    answer = client.post("/", **sent)

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)


def test_many_takes_an_array_and_nothing_else(guard: Guard, route: Route) -> None:
    client = route(guard.accepts(NoteSchema, many=True)(lambda: guard.body))

    both = [{"title": "one"}, {"title": "two"}]
    assert client.post("/", json=both).get_json() == both
    assert client.post("/", json={"title": "one"}).status_code == 400
    assert client.post("/", json=[{"title": "one"}, {}]).get_json()["errors"][0]["pointer"] == "/1/title"


def test_partial_asks_for_nothing(guard: Guard, route: Route) -> None:
    client = route(guard.accepts(NoteSchema, partial=True)(lambda: guard.body))

    assert client.post("/", json={"tags": []}).get_json() == {"tags": []}


@pytest.mark.parametrize("location", ["form", "query"])
def test_forms_and_queries_are_loaded_too(guard: Guard, route: Route, location: str) -> None:
    client = route(guard.accepts(NoteSchema, location=location)(lambda: guard.body))  # type: ignore[arg-type]
    given = {"title": "one", "tags": ["a", "b"]}

    answer = client.post("/", **({"data": given} if location == "form" else {"query_string": given}))
    doubled = {"title": ["one", "two"]}
    refused = client.post("/", **({"data": doubled} if location == "form" else {"query_string": doubled}))

    assert answer.get_json() == given
    assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, "/title")


def test_a_query_is_judged_for_methods_without_a_body(guard: Guard, route: Route) -> None:
    client = route(guard.accepts(NoteSchema, location="query")(lambda: guard.body))

    assert client.get("/?title=one").get_json() == {"title": "one"}
    assert client.get("/?title=one&admin=1").status_code == 422


def test_a_rule_on_a_class_leaves_methods_without_a_body_alone(guard: Guard, route: Route) -> None:
    @guard.accepts(NoteSchema)
    class Notes(MethodView):
        def get(self) -> Any:
            return {"read": True}

        def post(self) -> Any:
            return guard.body

    client = route(Notes.as_view("notes"))

    assert client.get("/").get_json() == {"read": True}
    assert client.post("/", json={}).status_code == 422


def test_a_view_without_a_rule_has_no_body(guard: Guard, route: Route) -> None:
    with pytest.raises(RuntimeError, match=r"guard\.accepts"):
        route(lambda: guard.body).get("/")


def test_what_is_loaded_belongs_to_its_request(guard: Guard) -> None:
    with pytest.raises(RuntimeError, match=r"guard\.accepts"):
        _ = guard.body


def test_a_body_is_judged_after_the_rules(guard: Guard) -> None:
    """Who may not write learns nothing of the schema."""
    app = Flask(__name__)
    app.add_url_rule("/", "view", guard.require_role("admin")(guard.accepts(NoteSchema)(lambda: "")), methods=["POST"])
    guard.init_app(app)

    assert app.test_client().post("/", json={"admin": True}).status_code == 401


def test_report_only_refuses_bodies_all_the_same(guard: Guard, route: Route) -> None:
    client = route(guard.accepts(NoteSchema)(lambda: guard.body), default_access="report-only")

    assert client.post("/", json={}).status_code == 422


NOTE = Note("one")


@pytest.mark.parametrize(
    ("given", "body", "status"),
    [
        ({"title": "one", "secret": "hush", "row": 7}, {"title": "one"}, 200),
        (NOTE, {"title": "one"}, 200),
        ([NOTE, {"title": "two", "secret": "hush"}], [{"title": "one"}, {"title": "two"}], 200),
        ((note for note in [NOTE]), [{"title": "one"}], 200),
        ((NOTE, 201), {"title": "one"}, 201),
        ((NOTE, 201, {"Location": "/1"}), {"title": "one"}, 201),
        ((NOTE, {"Location": "/1"}), {"title": "one"}, 200),
        ((NOTE, "201 Created"), {"title": "one"}, 201),
    ],
    ids=["mapping", "object", "list", "generator", "status", "status and headers", "headers", "status line"],
)
def test_what_a_view_gives_is_dumped(guard: Guard, route: Route, given: Any, body: Any, status: int) -> None:
    answer = route(guard.returns(NoteSchema)(lambda: given)).get("/")

    assert (answer.status_code, answer.get_json()) == (status, body)


@pytest.mark.parametrize(
    "given",
    [lambda: jsonify(secret="hush"), lambda: Response("hush"), lambda: "hush", lambda: b"hush"],
    ids=["json", "response", "text", "bytes"],
)
def test_what_cannot_be_dumped_does_not_leave(guard: Guard, route: Route, given: Callable[[], Any]) -> None:
    client = route(guard.returns(NoteSchema)(given))
    client.application.testing = False

    answer = client.get("/")

    assert answer.status_code == 500
    assert "hush" not in answer.text


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (lambda: ("", 204), 204),
        (lambda: redirect("/elsewhere"), 302),
        (lambda: Response(status=204), 204),
        (lambda: ({"error": "taken"}, 409), 409),
    ],
    ids=["nothing", "redirect", "empty response", "error"],
)
def test_answers_without_a_body_and_errors_pass(
    guard: Guard, route: Route, given: Callable[[], Any], status: int
) -> None:
    assert route(guard.returns(NoteSchema)(given)).get("/").status_code == status


def test_a_refusal_is_not_dumped(guard: Guard, route: Route) -> None:
    client = route(guard.accepts(NoteSchema)(guard.returns(NoteSchema)(lambda: guard.body)))

    assert client.post("/", json={}).get_json()["code"] == "validation_error"


@pytest.mark.parametrize(
    "write",
    [
        lambda guard: guard.accepts("NoteSchema"),
        lambda guard: guard.accepts(dict),
        lambda guard: guard.accepts(NoteSchema, location="josn"),
        lambda guard: guard.accepts(NoteSchema, location="form", many=True),
        lambda guard: guard.accepts(NoteSchema(), many=True),
        lambda guard: guard.returns(lambda: None),
        lambda guard: guard.returns(None),
    ],
    ids=["name", "no schema", "location", "many forms", "many of an instance", "view", "none"],
)
def test_what_cannot_be_meant_is_refused(guard: Guard, write: Callable[[Guard], Any]) -> None:
    with pytest.raises(ConfigError):
        write(guard)


def test_two_schemas_on_one_view_are_refused(guard: Guard, route: Route) -> None:
    client = route(guard.accepts(NoteSchema)(guard.accepts(Schema)(lambda: "")))

    with pytest.raises(ConfigError, match="at once"):
        client.get("/")
