"""examples/smorest: flask-smorest loads and dumps by Guard's schemas, on SQLite and on PostgreSQL."""

from __future__ import annotations

import importlib.util
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from flask_guard import tenant_scope

from .support import EXAMPLES

PIN = "837264"
Ask = Callable[..., TestResponse]


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("smorest_example", EXAMPLES / "smorest" / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # SQLAlchemy looks annotations up there
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def app(example: Any, database_url: str) -> Iterator[Flask]:
    config = {"GUARD_JWT_SECRET_KEY": secrets.token_urlsafe(48), "DATABASE_URL": database_url}
    app: Flask = example.create_app(config)
    yield app
    with app.app_context():
        example.db.engine.dispose()


@pytest.fixture
def ask(app: Flask) -> Ask:
    def send(method: str, path: str, *roles: str, tenant: str | None = "acme", **request: Any) -> TestResponse:
        with app.app_context():
            token = app.extensions["guard"].tokens.issue("ada", roles=roles, tenant=tenant)
        headers = {"Authorization": f"Bearer {token}"}
        return app.test_client().open(path, method=method, headers=headers, **request)

    return send


def _add(ask: Ask, email: str = "ann@example.org", *, tenant: str = "acme") -> TestResponse:
    return ask("POST", "/members/", "chair", tenant=tenant, json={"email": email, "pin": PIN, "phone": "12"})


def test_a_member_is_added_once_a_club(ask: Ask) -> None:
    added, again, elsewhere = _add(ask), _add(ask), _add(ask, tenant="zeta")

    assert (added.status_code, elsewhere.status_code) == (201, 201)
    assert added.get_json() == {"id": 1, "email": "ann@example.org", "name": "", "rank": "member", "phone": "12"}
    assert (again.status_code, again.get_json(force=True)["code"]) == (409, "conflict")
    assert [len(ask("GET", "/members/", tenant=tenant).get_json()) for tenant in ("acme", "zeta")] == [1, 1]


def test_what_may_be_seen_and_changed_is_told_by_roles(ask: Ask) -> None:
    _add(ask)

    lists = [ask("GET", "/members/?first_id=1", *roles).get_json()[0] for roles in ((), ("treasurer",))]
    refused = ask("PATCH", "/members/1", json={"rank": "treasurer"})
    changed = ask("PATCH", "/members/1", "chair", json={"rank": "treasurer", "email": "eve@example.org", "id": 9})

    assert ["phone" in shown for shown in lists] == [False, True]
    assert (refused.status_code, refused.get_json(force=True)["code"]) == (403, "field_forbidden")
    assert changed.get_json() == lists[1] | {"rank": "treasurer"}


def test_another_clubs_member_is_not_there(ask: Ask) -> None:
    _add(ask)

    for method, sent in (("GET", {}), ("PATCH", {"json": {"name": "x"}})):
        assert ask(method, "/members/1", tenant="zeta", **sent).status_code == 404
    assert ask("GET", "/members/", tenant=None).status_code == 403


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {"email": "x@example.org", "pin": "12", "evil": 1}}, 422),
        ({"data": '{"pin": "1", "pin": "2"}', "content_type": "application/json"}, 400),
        ({"data": "[" * 1000, "content_type": "application/json"}, 400),
        ({"data": "pin=1", "content_type": "text/plain"}, 415),
    ],
    ids=["faulty", "doubled", "deep", "text"],
)
def test_a_body_is_judged_as_strictly_as_guard_does(ask: Ask, sent: dict[str, Any], status: int) -> None:
    answer = ask("POST", "/members/", "chair", **sent)

    assert answer.status_code == status
    if status == 422:
        assert answer.get_json()["errors"]["json"] == {
            "pin": ["Shorter than minimum length 6."],
            "evil": ["Unknown field."],
        }


def test_a_pin_is_kept_as_a_hash_and_never_told(ask: Ask, app: Flask, example: Any) -> None:
    answers = [_add(ask), ask("GET", "/members/", "chair"), ask("PATCH", "/members/1", json={"pin": PIN})]

    assert all(PIN not in answer.text and "argon2" not in answer.text for answer in answers)
    with app.app_context(), tenant_scope("acme"):
        assert example.db.session.get(example.Member, 1).pin.startswith("$argon2id$")


def test_the_document_tells_what_comes_in_and_what_goes_out(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").get_json()

    members = document["components"]["schemas"]["Member"]
    assert members["additionalProperties"] is False
    assert members["properties"]["id"] == {"type": "integer", "readOnly": True}
    assert members["properties"]["pin"] == {"type": "string", "writeOnly": True, "minLength": 6}
    assert members["required"] == ["email", "pin"]
    assert "required" not in document["components"]["schemas"]["MemberChanges"]
