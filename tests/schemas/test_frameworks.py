"""flask-smorest and APIFlask take a GuardSchema as any schema of marshmallow, and describe it in their documents."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from apiflask import APIFlask
from flask import Flask
from flask.testing import FlaskClient
from flask_smorest import Api, Blueprint
from marshmallow import fields, validate

from flask_guard import Guard
from flask_guard.policies import optional_auth, public
from flask_guard.schemas import (
    ForbiddenValues,
    GuardSchema,
    Hashed,
    Hidden,
    Immutable,
    Pattern,
    ReadOnly,
    Redacted,
    WritableBy,
    WriteOnly,
)


class Line(GuardSchema):
    name = fields.String(required=True)
    cost = WriteOnly(fields.Integer())


class Order(GuardSchema):
    id = ReadOnly(fields.Integer())
    code = Immutable(fields.String(validate=Pattern("[a-z]+", full=True), required=True))
    pin = Hashed(fields.String(validate=validate.Length(min=4)))
    state = WritableBy(fields.String(validate=ForbiddenValues(["paid"])), "clerk")
    margin = Redacted(fields.Integer(), visible_to="clerk")
    notes = Hidden(fields.String())
    lines = fields.List(fields.Nested(Line))


class Page(GuardSchema):
    size = fields.Integer(load_default=10)

    class Meta:
        coerce = True


STORED = {"id": 1, "code": "a", "pin": "hush", "margin": 5, "notes": "hush", "lines": [{"name": "x", "cost": 3}]}


def _make_smorest(guard: Guard) -> Flask:
    app = Flask("app")
    app.config.from_mapping(API_TITLE="Shop", API_VERSION="1", OPENAPI_VERSION="3.0.3", OPENAPI_URL_PREFIX="/")
    shop = Blueprint("shop", "shop")

    @shop.route("/orders", methods=["POST"])
    @shop.arguments(Order)
    @shop.response(201, Order)
    def add(body: Any) -> Any:
        assert not body.get("pin") or body["pin"].startswith("$argon2id$")
        return STORED | body

    @shop.route("/orders")
    @shop.arguments(Page, location="query")
    @shop.response(200, Order(many=True))
    def list_orders(page: Any) -> Any:
        return [STORED] * page["size"]

    guard.rules({"api-docs.*": public(reason="the document"), "shop.*": optional_auth()})
    Api(app).register_blueprint(shop)
    return app


def _make_apiflask(guard: Guard) -> Flask:
    app = APIFlask("app", title="Shop", version="1", docs_path=None)

    @app.post("/orders")
    @app.input(Order)
    @app.output(Order, status_code=201)
    def add(json_data: Any) -> Any:
        assert not json_data.get("pin") or json_data["pin"].startswith("$argon2id$")
        return STORED | json_data

    @app.get("/orders")
    @app.input(Page, location="query")
    @app.output(Order(many=True))
    def list_orders(query_data: Any) -> Any:
        return [STORED] * query_data["size"]

    guard.rules({"openapi.*": public(reason="the document"), "add": optional_auth(), "list_orders": optional_auth()})
    return app


Asked = tuple[FlaskClient, Callable[..., dict[str, str]]]


@pytest.fixture(params=[_make_smorest, _make_apiflask], ids=["flask-smorest", "APIFlask"])
def asked(request: pytest.FixtureRequest) -> Asked:
    """(a client, headers for a principal with roles)."""
    guard = Guard(jwt_secret_key=secrets.token_hex(32))
    app = request.param(guard)
    guard.init_app(app)

    def as_roles(*roles: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {guard.tokens.issue('ada', roles=roles)}"}

    return app.test_client(), as_roles


def test_what_goes_out_has_neither_what_is_written_only_nor_what_others_see(asked: Asked) -> None:
    client, _ = asked

    added = client.post("/orders", json={"id": 9, "code": "b", "pin": "12345", "lines": [{"name": "y", "cost": 4}]})
    listed = client.get("/orders?size=2")

    assert added.status_code == 201, added.text
    assert added.get_json() == {"id": 1, "code": "b", "lines": [{"name": "y"}]}
    assert listed.get_json() == [{"id": 1, "code": "a", "lines": [{"name": "x"}]}] * 2


@pytest.mark.parametrize(
    "body",
    [
        {"code": "b", "evil": 1},
        {"code": "b", "notes": "x"},
        {"code": "B"},
        {"code": "b", "lines": [{"name": "x", "evil": 1}]},
        {"code": 5},
        {"code": "b", "pin": "abc"},
        {},
    ],
    ids=["unknown", "hidden", "pattern", "nested", "type", "write-only", "required"],
)
def test_what_is_faulty_is_422_and_not_quoted(asked: Asked, body: dict[str, Any]) -> None:
    answer = asked[0].post("/orders", json=body)

    assert answer.status_code == 422
    assert "abc" not in answer.text


def test_members_for_some_roles_are_written_and_seen_by_them(asked: Asked) -> None:
    client, as_roles = asked
    body = {"code": "b", "state": "open"}

    answer = client.post("/orders", json=body, headers=as_roles("guest"))
    added = client.post("/orders", json=body, headers=as_roles("clerk"))

    assert (answer.status_code, answer.get_json(force=True)["code"]) == (403, "field_forbidden")
    assert added.get_json() == {"id": 1, "code": "b", "state": "open", "margin": 5, "lines": [{"name": "x"}]}
    assert client.get("/orders?size=1", headers=as_roles("guest")).get_json()[0].get("margin") is None


def test_the_document_describes_the_schema(asked: Asked) -> None:
    document = asked[0].get("/openapi.json").get_json()

    order = document["components"]["schemas"]["Order"]
    assert order["properties"].keys() == {"id", "code", "pin", "state", "margin", "lines"}
    assert order["properties"]["id"]["readOnly"] is True
    assert order["properties"]["pin"]["writeOnly"] is True
    assert order["properties"]["pin"]["minLength"] == 4
    assert order["required"] == ["code"]
    assert document["components"]["schemas"]["Line"]["properties"]["cost"]["writeOnly"] is True
    size = document["paths"]["/orders"]["get"]["parameters"][0]
    assert (size["name"], size["in"], size["schema"]) == ("size", "query", {"type": "integer", "default": 10})
