"""What a view with `accepts` and `returns` takes and gives, whatever is sent and however its schema is meant."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, Response, stream_with_context
from flask.testing import FlaskClient
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from flask_guard import ConfigError, Guard
from flask_guard.policies import owner
from flask_guard.schemas import (
    DateRange,
    GuardSchema,
    Immutable,
    Redacted,
    Unique,
    WriteOnly,
)

from .conftest import assert_problem


class PageSchema(GuardSchema):
    title = fields.String(required=True)
    size = fields.Integer()
    tags = fields.List(fields.Integer(), validate=validate.Length(max=3))
    is_new = fields.Boolean()
    secret = WriteOnly(fields.String())


@pytest.fixture
def guard() -> Guard:
    return Guard(env="development", default_access="public", jwt_secret_key=secrets.token_hex(32))


@pytest.fixture
def route(guard: Guard) -> Callable[..., FlaskClient]:
    def make(view: Any, *, path: str = "/", **options: Any) -> FlaskClient:
        app = Flask(__name__)
        app.secret_key = secrets.token_hex(32)
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        app.add_url_rule(path, "view", guard.public(reason="test")(view), methods=methods)
        guard.init_app(app, **options)
        return app.test_client()

    return make


@pytest.mark.parametrize("location", ["form", "query"])
def test_forms_and_queries_are_read_as_texts_and_json_is_not(guard: Guard, route: Any, location: Any) -> None:
    client = route(guard.accepts(PageSchema, location=location)(lambda: guard.body))
    given = {"title": "a", "size": "12", "tags": ["1", "2"], "is_new": "yes"}

    sent = {"data": given} if location == "form" else {"query_string": given}

    assert client.post("/", **sent).get_json() == {"title": "a", "size": 12, "tags": [1, 2], "is_new": True}
    assert PageSchema().validate({"title": "a", "size": "12"}) == {"size": ["Not a valid integer."]}


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"title": "a", "size": ["1", "2"]}, "/size"),
        ({"title": "a", "size": "\u0661"}, "/size"),
        ({"title": "a", "size": "1e3"}, "/size"),
        ({"title": "a", "tags": ["1"] * 4}, "/tags"),
        ({"title": "a", "_method": "DELETE"}, "/_method"),
        ({"title": "a\0"}, "/title"),
        ({"title[evil]": "a", "title": "a"}, "/title[evil]"),
    ],
    ids=["doubled", "other digits", "exponent", "too many", "method override", "nul", "brackets"],
)
def test_a_form_is_no_way_around_the_schema(guard: Guard, route: Any, given: Any, pointer: str) -> None:
    client = route(guard.accepts(PageSchema, location="form")(lambda: guard.body))

    problem = assert_problem(client.post("/", data=given), 422, "validation_error")

    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


def test_the_token_of_a_form_is_not_a_member_of_the_body(guard: Guard, route: Any) -> None:
    client = route(guard.accepts(PageSchema, location="form")(lambda: guard.body))

    assert client.post("/", data={"title": "a", "csrf_token": "x"}).get_json() == {"title": "a"}


@pytest.mark.parametrize(
    "sent",
    [{"json": {"title": "a"}}, {"data": "title=a", "content_type": "text/plain"}, {"data": "title=a"}],
    ids=["json", "text", "none"],
)
def test_what_is_no_form_is_not_taken_for_an_empty_one(guard: Guard, route: Any, sent: Any) -> None:
    class Optional(GuardSchema):
        title = fields.String()

    client = route(guard.accepts(Optional, location="form")(lambda: guard.body))

    problem = assert_problem(client.post("/", **sent), 415, "unsupported_media_type")

    assert problem["detail"] == "This route accepts forms."
    assert client.post("/").get_json() == {}


@pytest.mark.parametrize("default_access", ["public", "report-only"])
def test_an_existing_object_that_is_not_there_is_404(guard: Guard, route: Any, default_access: str) -> None:
    ran: list[bool] = []
    view = guard.accepts(PageSchema, existing=lambda number: None)(lambda number: ran.append(True))
    client = route(view, path="/<int:number>", default_access=default_access)

    assert_problem(client.patch("/1", json={"evil": 1}), 404, "not_found")
    assert ran == []


def test_an_existing_object_of_another_tenant_is_404_however_it_was_found(guard: Guard) -> None:
    class Row:
        tenant_id = "zeta"

    app = Flask(__name__)
    view = guard.accepts(PageSchema, existing=lambda: Row())(lambda: "changed")
    app.add_url_rule("/", "view", guard.authenticated()(view), methods=["PATCH"])
    guard.init_app(app)

    def send(tenant: str | None) -> Any:
        headers = {"Authorization": f"Bearer {guard.tokens.issue('ada', tenant=tenant)}"}
        return app.test_client().patch("/", json={"title": "x"}, headers=headers)

    assert_problem(send("acme"), 404, "not_found")
    assert_problem(send(None), 404, "not_found")
    assert send("zeta").text == "changed"


def test_a_function_that_finds_the_object_may_refuse_before_the_body_is_judged(guard: Guard) -> None:
    class Row:
        tenant_id, owner_id = "acme", "eve"

    app = Flask(__name__)
    view = guard.accepts(PageSchema, existing=lambda: guard.check(owner(), Row()))(lambda: "changed")
    app.add_url_rule("/", "view", guard.authenticated()(view), methods=["PATCH"])
    guard.init_app(app)

    headers = {"Authorization": f"Bearer {guard.tokens.issue('ada', tenant='acme')}"}
    assert_problem(app.test_client().patch("/", json={"evil": 1}, headers=headers), 403, "forbidden")


def test_a_rule_sees_the_object_that_is_changed(guard: Guard, route: Any) -> None:
    class Stay(GuardSchema):
        start = Immutable(fields.Date(required=True))
        end = fields.Date(required=True)
        in_order = DateRange("start", "end")

    booked = Stay().load({"start": "2026-05-02", "end": "2026-05-04"})
    client = route(guard.accepts(Stay, existing=lambda: booked)(lambda: "ok"))

    for sent in ({"end": "2026-05-01"}, {"end": "2026-05-01", "start": "2026-01-01"}):
        for method in (client.put, client.patch):
            problem = assert_problem(method("/", json=sent), 422, "validation_error")
            assert problem["errors"] == [{"pointer": "/end", "message": "Must not be before start."}]
    assert client.patch("/", json={"end": "2026-05-03", "start": "2026-05-09"}).text == "ok"


def test_a_rule_on_a_class_leaves_delete_alone_unless_it_is_named(guard: Guard) -> None:
    class Page(MethodView):
        def put(self) -> Any:
            return guard.body

        def delete(self) -> Any:
            return "", 204

    class Strict(Page):
        pass

    class Own(Page):
        @guard.accepts(PageSchema)
        def delete(self) -> Any:
            return guard.body

    guard.accepts(PageSchema)(Page)
    guard.accepts(PageSchema, methods=["PUT", "DELETE"])(Strict)
    app = Flask(__name__)
    for cls in (Page, Strict, Own):
        app.add_url_rule(f"/{cls.__name__}", view_func=guard.public(reason="test")(cls).as_view(cls.__name__))
    guard.init_app(app)
    client = app.test_client()

    assert client.delete("/Page").status_code == 204
    assert client.put("/Page", json={}).status_code == 422
    assert client.delete("/Strict").status_code == 415
    assert client.delete("/Own", json={}).status_code == 422


def test_patch_asks_for_nothing_unless_said_otherwise(guard: Guard) -> None:
    app = Flask(__name__)
    ways: dict[str, Any] = {
        "class": guard.accepts(PageSchema),
        "instance": guard.accepts(PageSchema()),
        "plain": guard.accepts(Schema.from_dict({"title": fields.String(required=True)})),
        "whole": guard.accepts(PageSchema, partial=False),
        "own": guard.accepts(PageSchema(partial=False)),
        "query": guard.accepts(PageSchema, location="query"),
    }
    for name, accept in ways.items():
        view = guard.public(reason="test")(accept(lambda: guard.body))
        app.add_url_rule(f"/{name}", name, view, methods=["PUT", "PATCH"])
    guard.init_app(app)
    client = app.test_client()

    patched = {name: client.patch(f"/{name}", json={}).status_code for name in ways}
    put = {client.put(f"/{name}", json={}).status_code for name in ways}

    assert patched == {"class": 200, "instance": 200, "plain": 200, "whole": 422, "own": 422, "query": 422}
    assert put == {422}


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda guard: guard.accepts(PageSchema, existing="row"), "a function"),
        (lambda guard: guard.accepts(Schema.from_dict({}), existing=lambda: None), "for a GuardSchema"),
        (lambda guard: guard.accepts(PageSchema, existing=lambda: None, many=True), "for a GuardSchema"),
        (lambda guard: guard.accepts(PageSchema, existing=lambda: None, location="query"), "for a GuardSchema"),
        (lambda guard: guard.accepts(PageSchema, max_items=0), "max_items"),
        (lambda guard: guard.accepts(PageSchema(), partial=True), "an instance has its own"),
        (lambda guard: guard.accepts(PageSchema, methods=["GET", "POST"]), "nothing to load for GET, HEAD"),
        (lambda guard: guard.accepts(PageSchema, location="query", methods=["OPTIONS"]), "nothing to load"),
    ],
    ids=["text", "plain schema", "many", "query", "no items", "instance", "get", "options"],
)
def test_what_cannot_be_meant_is_refused_where_it_is_written(
    guard: Guard, write: Callable[[Guard], Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        write(guard)


def test_a_function_that_cannot_take_the_arguments_of_its_route_is_refused_at_start(guard: Guard) -> None:
    app = Flask(__name__)
    view = guard.accepts(PageSchema, existing=lambda number: None)(lambda **_: "")
    app.add_url_rule("/<int:id>", "one", view, methods=["PATCH"])
    app.add_url_rule("/right/<int:number>", "right", view, methods=["PATCH"])
    guard.init_app(app)

    with pytest.raises(ConfigError, match=r"accepts\(existing=\) of 'one' cannot be called for /<int:id>"):
        guard.compile(app)


def test_without_a_database_whether_a_value_is_taken_is_not_known(guard: Guard, route: Any) -> None:
    schema = GuardSchema.from_dict({"email": fields.String(validate=Unique(object()))})
    client = route(guard.accepts(schema)(lambda: "ok"))

    assert_problem(client.post("/", json={"email": "a"}), 500, "unique_check_failed")


# What goes out -----------------------------------------------------------------------------------------


def test_a_generator_is_dumped_within_its_request(guard: Guard) -> None:
    class Shown(GuardSchema):
        title = fields.String()
        secret = WriteOnly(fields.String())
        price = Redacted(fields.Integer(), visible_to="staff")

    app = Flask(__name__)

    @app.get("/<kind>")
    @guard.returns(Shown)
    def stream(kind: str) -> Any:
        rows = ({"title": str(number), "secret": "hush", "price": number} for number in range(2))
        return stream_with_context(rows) if kind == "context" else rows

    guard.init_app(app)
    client = app.test_client()
    staff = {"Authorization": f"Bearer {guard.tokens.issue('ada', roles=['staff'])}"}

    for kind in ("context", "plain"):
        assert client.get(f"/{kind}").get_json() == [{"title": "0"}, {"title": "1"}]
        assert client.get(f"/{kind}", headers=staff).get_json()[1] == {"title": "1", "price": 1}


@pytest.mark.parametrize(
    "given",
    [lambda: Response(iter(["hush"])), lambda: iter(["hush"]), lambda: ["hush"], lambda: [b"hush"], lambda: 5],
    ids=["stream", "lines", "texts", "bytes", "number"],
)
def test_what_has_no_members_does_not_leave(guard: Guard, route: Any, given: Callable[[], Any]) -> None:
    answer = route(guard.returns(PageSchema)(given)).get("/")

    assert answer.status_code == 500
    assert "hush" not in answer.text


def test_a_row_and_a_named_tuple_are_one_object(guard: Guard, route: Any) -> None:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        row = connection.execute(sa.text("select 'a' as title, 'hush' as secret")).one()
    engine.dispose()

    assert route(guard.returns(PageSchema)(lambda: row)).get("/").get_json() == {"title": "a"}


def test_in_report_only_the_options_of_a_view_are_told(guard: Guard, route: Any) -> None:
    client = route(guard.returns(PageSchema)(lambda: {}), default_access="report-only")

    assert client.options("/").status_code == 200


# Attacks -----------------------------------------------------------------------------------------------


class Tree(GuardSchema):
    child = fields.Nested(lambda: Tree())
    size = fields.Integer()


@pytest.mark.parametrize("depth", [60, 400])
def test_a_body_that_is_nested_deeply_is_loaded_or_refused(guard: Guard, route: Any, depth: int) -> None:
    client = route(guard.accepts(Tree)(lambda: "ok"), max_json_depth=1000)

    answer = client.post("/", data='{"child":' * depth + "{}" + "}" * depth, content_type="application/json")

    if depth == 60:
        assert answer.text == "ok"
    else:
        assert assert_problem(answer, 422, "validation_error")["errors"] == [
            {"pointer": "", "message": "Nested too deeply."}
        ]


@pytest.mark.parametrize(
    "body",
    ["[{},{}]", "5", '"text"', "null", "true", '{"title": {"title": "a"}}', '{"title": ["a"]}', '{"title": 5}'],
)
def test_a_body_of_another_type_is_refused(guard: Guard, route: Any, body: str) -> None:
    client = route(guard.json_body("object", "array", "scalar")(guard.accepts(PageSchema)(lambda: "ok")))

    answer = client.post("/", data=body, content_type="application/json")

    assert answer.status_code == 422, answer.text


def test_an_array_has_a_thousand_items_unless_said_otherwise(guard: Guard) -> None:
    app = Flask(__name__)
    for path, options in (("/usual", {}), ("/more", {"max_items": 1500})):
        view = guard.public(reason="test")(guard.accepts(PageSchema, many=True, **options)(lambda: "ok"))  # type: ignore[arg-type]
        app.add_url_rule(path, path[1:], view, methods=["POST"])
    guard.init_app(app)
    client = app.test_client()
    items = [{"title": "a"}] * 1001

    problem = assert_problem(client.post("/usual", json=items), 422, "validation_error")

    assert problem["errors"] == [{"pointer": "", "message": "Longer than maximum length 1000."}]
    assert client.post("/usual", json=items[1:]).text == "ok"
    assert client.post("/more", json=items).text == "ok"


def test_a_schema_that_fails_is_a_500_that_says_nothing(guard: Guard, route: Any) -> None:
    def fail(_value: str) -> None:
        raise RuntimeError("hush")

    schema = GuardSchema.from_dict({"title": fields.String(validate=fail)})
    client = route(guard.accepts(schema)(lambda: "ok"))

    answer = client.post("/", json={"title": "a"})

    assert answer.status_code == 500
    assert "hush" not in answer.text


def test_what_was_sent_to_a_view_that_is_not_let_in_is_not_looked_up(guard: Guard) -> None:
    asked: list[bool] = []
    app = Flask(__name__)
    view = guard.accepts(PageSchema, existing=lambda: asked.append(True))(lambda: "ok")
    app.add_url_rule("/", "view", guard.require_role("admin")(view), methods=["PATCH"])
    guard.init_app(app)

    answer = app.test_client().patch("/", json={"evil": 1})

    assert (answer.status_code, asked) == (401, [])
