"""GuardSchema in views: what comes in is judged by who sends it, what goes out by who reads it, in his own tenant."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, Response, stream_with_context
from flask.testing import FlaskClient
from flask.views import MethodView
from marshmallow import Schema, fields, validate
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from flask_guard import ConfigError, Guard, tenant_scope
from flask_guard.db import TenantMixin
from flask_guard.policies import owner
from flask_guard.schemas import (
    DateRange,
    GuardSchema,
    Hashed,
    Immutable,
    ReadOnly,
    Redacted,
    Unique,
    WritableBy,
    WriteOnly,
)

from .conftest import assert_problem

PASSWORD = "correct horse battery"
Opened = tuple[Any, Callable[[], Any], dict[str, Any]]


def _with_flask_sqlalchemy(app: Flask, url: str) -> Opened:
    from flask_sqlalchemy import SQLAlchemy

    class Base(DeclarativeBase):
        pass

    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db = SQLAlchemy(app, model_class=Base)
    return db.Model, lambda: db.session, {"db": db}


def _with_extension_found(app: Flask, url: str) -> Opened:
    model, get_session, _supplied = _with_flask_sqlalchemy(app, url)
    return model, get_session, {}


def _with_lite(app: Flask, url: str) -> Opened:
    from flask_sqlalchemy_lite import SQLAlchemy

    class Base(DeclarativeBase):
        pass

    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    db = SQLAlchemy(app)
    return Base, lambda: db.session, {"db": db}


def _with_engine(app: Flask, url: str) -> Opened:
    class Base(DeclarativeBase):
        pass

    engine = sa.create_engine(url)
    sessions = scoped_session(sessionmaker(engine))
    app.teardown_appcontext(lambda _error: sessions.remove())
    return Base, sessions, {"engine": engine}


class Caller:
    """A client that shows a token of its own, and the parts of the application that tests look at."""

    def __init__(self, app: Flask, guard: Guard, user: Any, get_session: Callable[[], Any]) -> None:
        self.app, self.guard, self.user, self.get_session = app, guard, user, get_session
        self.client: FlaskClient = app.test_client()

    def __call__(self, method: str, path: str, *roles: str, tenant: str | None = "acme", **sent: Any) -> Any:
        token = self.guard.tokens.issue("ada", roles=roles, tenant=tenant)
        return self.client.open(path, method=method, headers={"Authorization": f"Bearer {token}"}, **sent)

    def add(self, email: str, *, tenant: str = "acme") -> int:
        answer = self("POST", "/users", tenant=tenant, json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        number: int = answer.get_json()["id"]
        return number

    def read_row(self, number: int, *, tenant: str = "acme") -> Any:
        with self.app.app_context(), tenant_scope(tenant):
            row = self.get_session().get(self.user, number)
            return {name: getattr(row, name) for name in ("email", "name", "password", "role", "plan")}


_WAYS = [_with_flask_sqlalchemy, _with_extension_found, _with_lite, _with_engine]


def _open_site(way: Callable[[Flask, str], Opened], folder: Path, url: str) -> Iterator[Caller]:
    app = Flask("app", instance_path=str(folder / "instance"))
    base, get_session, supplied = way(app, url)

    class User(TenantMixin, base):  # type: ignore[misc,valid-type]
        __tablename__ = "users"
        __table_args__ = (sa.UniqueConstraint("tenant_id", "email"),)
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str]
        name: Mapped[str] = mapped_column(default="")
        password: Mapped[str] = mapped_column(default="")
        role: Mapped[str] = mapped_column(default="member")
        plan: Mapped[str] = mapped_column(default="free")
        salary: Mapped[int | None]

    guard = Guard(jwt_secret_key=secrets.token_hex(32))
    _add_views(app, guard, User, get_session)
    guard.init_app(app, **supplied)
    with app.app_context():
        engine = get_session().get_bind()
        base.metadata.create_all(engine)
    yield Caller(app, guard, User, get_session)
    engine.dispose()


@pytest.fixture(params=_WAYS, ids=lambda way: way.__name__[6:])
def ask(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Caller]:
    """An application that keeps users of several tenants."""
    yield from _open_site(request.param, tmp_path, database_url)


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Caller]:
    """The same, for what has nothing to do with the kind of database."""
    yield from _open_site(_with_lite, tmp_path, f"sqlite:///{tmp_path / 'app.db'}")


def _add_views(app: Flask, guard: Guard, user: Any, get_session: Callable[[], Any]) -> None:
    class UserSchema(GuardSchema):
        id = ReadOnly(fields.Integer())
        email = fields.Email(required=True, validate=Unique(user.email))
        name = fields.String(validate=validate.Length(max=80))
        password = Hashed(fields.String(validate=validate.Length(min=15)))
        role = WritableBy(fields.String(load_default="member"), "owner")
        plan = Immutable(fields.String(load_default="free"))
        salary = Redacted(fields.Integer(), visible_to="hr")

    def find_user(number: int) -> Any:
        return get_session().get(user, number)

    @app.post("/users")
    @guard.accepts(UserSchema)
    @guard.returns(UserSchema)
    def add_user() -> Any:
        session, added = get_session(), user(**guard.body)
        session.add(added)
        session.commit()
        return added, 201

    @app.get("/users")
    @guard.returns(UserSchema)
    def list_users() -> Any:
        return get_session().scalars(sa.select(user).order_by(user.id))

    @app.route("/users/<int:number>", methods=["PUT", "PATCH"])
    @guard.accepts(UserSchema, existing=find_user)
    @guard.returns(UserSchema)
    def change_user(number: int) -> Any:
        changed = find_user(number)
        for name, value in guard.body.items():
            setattr(changed, name, value)
        get_session().commit()
        return changed

    @app.post("/races")
    @guard.accepts(UserSchema)
    def lose_a_race() -> Any:
        session = get_session()
        session.execute(sa.insert(user).values(email=guard.body["email"]))
        session.add(user(**guard.body))
        session.commit()
        return "", 201


# Whatever brings the database --------------------------------------------------------------------------


def test_a_taken_value_is_409_in_ones_own_tenant_and_free_in_another(ask: Caller) -> None:
    ask.add("ann@example.org")

    taken = ask("POST", "/users", json={"email": "ann@example.org"})

    problem = assert_problem(taken, 409, "conflict")
    assert problem["errors"] == [{"pointer": "/email", "message": "This value is already taken."}]
    assert "ann@example.org" not in taken.text
    assert ask.add("ann@example.org", tenant="zeta")


def test_what_the_look_up_lets_pass_the_constraint_refuses_alike(ask: Caller) -> None:
    problem = assert_problem(ask("POST", "/races", json={"email": "ann@example.org"}), 409, "conflict")

    assert "example.org" not in str(problem)
    assert ask.add("ann@example.org")


def test_without_a_tenant_nothing_is_looked_up(ask: Caller) -> None:
    problem = assert_problem(ask("POST", "/users", tenant=None, json={"email": "ann@example.org"}), 403, "forbidden")

    assert problem["detail"] == "Tenant identity could not be determined."


def test_the_row_that_is_changed_may_keep_its_value(ask: Caller) -> None:
    ask.add("bob@example.org")
    number = ask.add("ann@example.org")

    kept = ask("PUT", f"/users/{number}", json={"email": "ann@example.org", "name": "Ann"})
    taken = ask("PATCH", f"/users/{number}", json={"email": "bob@example.org"})

    assert (kept.status_code, kept.get_json()["name"]) == (200, "Ann")
    assert_problem(taken, 409, "conflict")


def test_an_object_of_another_tenant_is_answered_like_one_that_never_was(ask: Caller) -> None:
    number = ask.add("ann@example.org")

    answers = [
        ask("PATCH", f"/users/{name}", tenant="zeta", json=body)
        for name in (number, 999)
        for body in ({"name": "x"}, {"evil": 1})
    ]

    problems = [assert_problem(answer, 404, "not_found") | {"request_id": ""} for answer in answers]
    assert problems[1:] == problems[:-1]
    assert ask.read_row(number)["name"] == ""


# On one database ---------------------------------------------------------------------------------------


def test_an_update_leaves_what_the_caller_may_not_write_as_it_is(lite: Caller) -> None:
    number = lite.add("ann@example.org")
    lite("PATCH", f"/users/{number}", "owner", json={"role": "owner"})

    put = lite("PUT", f"/users/{number}", json={"email": "ann@example.org", "plan": "gold", "id": 99})
    row = lite.read_row(number)

    assert put.status_code == 200
    assert (row["role"], row["plan"]) == ("owner", "free")
    assert_problem(lite("PATCH", f"/users/{number}", json={"role": None}), 403, "field_forbidden")
    assert lite.read_row(number) == row


def test_put_asks_for_every_field_and_patch_for_none(lite: Caller) -> None:
    number = lite.add("ann@example.org")

    put = lite("PUT", f"/users/{number}", json={"name": "Ann"})
    patched = lite("PATCH", f"/users/{number}", json={"name": "Ann"})

    assert [fault["pointer"] for fault in assert_problem(put, 422, "validation_error")["errors"]] == ["/email"]
    assert patched.get_json() == {
        "id": number,
        "email": "ann@example.org",
        "name": "Ann",
        "role": "member",
        "plan": "free",
    }


def test_what_is_write_only_is_hashed_and_never_comes_back(lite: Caller) -> None:
    number = lite.add("ann@example.org")

    short = lite("PATCH", f"/users/{number}", "hr", json={"password": "hush hush"})
    answers = [
        short,
        lite("PATCH", f"/users/{number}", "hr", json={"name": "Ann"}),
        lite("GET", "/users", "hr"),
        lite("POST", "/users", "hr", json={"email": "eve@example.org", "password": PASSWORD}),
    ]

    assert lite.read_row(number)["password"].startswith("$argon2id$")
    assert_problem(short, 422, "validation_error")
    for answer in answers:
        assert "argon2" not in answer.text
        assert PASSWORD not in answer.text
        assert "hush" not in answer.text


def test_what_is_redacted_is_shown_to_its_roles_in_each_request(lite: Caller) -> None:
    number = lite.add("ann@example.org")
    lite("PATCH", f"/users/{number}", json={"salary": 5000})

    shown = [lite("GET", "/users", *roles).get_json()[0].get("salary") for roles in ((), ("hr",), (), ("boss", "hr"))]

    assert shown == [None, 5000, None, 5000]


def test_the_head_of_a_view_has_no_body_and_its_options_are_told(lite: Caller) -> None:
    lite.add("ann@example.org")

    head, read = (lite(method, "/users", "hr") for method in ("HEAD", "GET"))
    options = lite("OPTIONS", "/users")

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(read.data))
    assert (options.status_code, options.data) == (200, b"")
    assert "POST" in options.headers["Allow"]


# Without a database ------------------------------------------------------------------------------------


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
