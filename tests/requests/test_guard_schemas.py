"""GuardSchema in views: what comes in is judged by who sends it, what goes out by who reads it, in his own tenant."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import fields, validate
from sqlalchemy.orm import Mapped, mapped_column

from flask_guard import Guard, tenant_scope
from flask_guard.db import TenantMixin
from flask_guard.schemas import (
    GuardSchema,
    Hashed,
    Immutable,
    ReadOnly,
    Redacted,
    Unique,
    WritableBy,
)

from .conftest import assert_problem
from .databases import Opened, with_engine, with_flask_sqlalchemy, with_lite

PASSWORD = "correct horse battery"


def _with_extension_found(app: Flask, url: str) -> Opened:
    model, get_session, _supplied = with_flask_sqlalchemy(app, url)
    return model, get_session, {}


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


_WAYS = [with_flask_sqlalchemy, _with_extension_found, with_lite, with_engine]


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


@pytest.fixture(params=_WAYS, ids=lambda way: way.__name__.removeprefix("_")[5:])
def ask(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Caller]:
    """An application that keeps users of several tenants."""
    yield from _open_site(request.param, tmp_path, database_url)


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Caller]:
    """The same, for what has nothing to do with the kind of database."""
    yield from _open_site(with_lite, tmp_path, f"sqlite:///{tmp_path / 'app.db'}")


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
