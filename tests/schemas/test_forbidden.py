"""Forbidden values are found however they are written and wherever they stand."""

from __future__ import annotations

import enum
import logging
from decimal import Decimal
from typing import Any

import pytest
from marshmallow import Schema, fields

from flask_guard import ConfigError
from flask_guard.schemas import ForbiddenValues, GuardSchema

from .support import acting_as, faults_of

REFUSED = ["This value is not allowed."]
# "admin" in full-width letters.
FULL_WIDTH = "".join(chr(ord(letter) + 0xFEE0) for letter in "admin")
SPELLINGS = [
    "admin",
    "Admin",
    " ADMIN\t",
    FULL_WIDTH,
    "ad\u200bmin",
    "ad\u00admin",
    "\ufeffadmin",
    "adm\u2060in\ufe0f",
    "a\u034fdmin",
]


class Role(enum.Enum):
    ADMIN = "root"
    USER = "user"


def _schema(field: Any) -> Any:
    return GuardSchema.from_dict({"x": field})()


@pytest.mark.parametrize("spelling", SPELLINGS, ids=ascii)
@pytest.mark.parametrize(
    ("field", "wrap"),
    [
        pytest.param(fields.Raw, lambda v: v, id="alone"),
        pytest.param(fields.Raw, lambda v: [["x", v]], id="in lists"),
        pytest.param(fields.Raw, lambda v: {"a": {"b": [v]}}, id="in mappings"),
        pytest.param(lambda **o: fields.List(fields.String(), **o), lambda v: ["x", v], id="in a list of texts"),
    ],
)
def test_a_forbidden_value_is_found_as_people_read_it(spelling: str, field: Any, wrap: Any) -> None:
    schema = _schema(field(validate=ForbiddenValues(["admin"])))

    assert faults_of(schema, {"x": wrap(spelling)}) == {"x": REFUSED}


@pytest.mark.parametrize("value", ["administrator", "user", "", None, 5, ["user"]], ids=repr)
def test_another_value_passes(value: Any) -> None:
    assert _schema(fields.Raw(allow_none=True, validate=ForbiddenValues(["admin"]))).load({"x": value}) == {"x": value}


@pytest.mark.parametrize(
    ("field", "forbidden", "value"),
    [
        pytest.param(fields.Integer(), ["0"], 0, id="a number as a text"),
        pytest.param(fields.Float(), [1], 1.0, id="a float as an integer"),
        pytest.param(fields.Decimal(), ["2.5"], "2.5", id="a decimal"),
        pytest.param(fields.Boolean(), [True], True, id="a truth"),
        pytest.param(fields.Enum(Role), [Role.ADMIN], "ADMIN", id="a member of an enum"),
        pytest.param(fields.Enum(Role), ["admin"], "ADMIN", id="its name"),
        pytest.param(fields.Enum(Role), ["ROOT"], "ADMIN", id="its value"),
    ],
)
def test_a_value_of_any_type_can_be_forbidden(field: Any, forbidden: list[Any], value: Any) -> None:
    field.validators.append(ForbiddenValues(forbidden))

    assert faults_of(_schema(field), {"x": value}) == {"x": REFUSED}


def test_only_the_path_is_searched_when_there_is_one() -> None:
    schema = _schema(fields.Raw(validate=ForbiddenValues(["admin"], path="profile.role")))

    assert schema.load({"x": {"role": "admin", "profile": {"name": "admin"}}})
    assert faults_of(schema, {"x": {"profile": [{"role": ["admin"]}]}}) == {"x": REFUSED}


def test_a_nested_member_is_named_by_its_place() -> None:
    class Inner(Schema):
        role = fields.String(validate=ForbiddenValues(["admin"]))

    assert faults_of(_schema(fields.List(fields.Nested(Inner))), {"x": [{}, {"role": "Admin"}]}) == {
        "x": {1: {"role": REFUSED}}
    }


def test_who_holds_a_role_may_send_it() -> None:
    schema = _schema(fields.String(validate=ForbiddenValues(["admin"], unless_role=("owner",))))

    with acting_as("owner"):
        assert schema.load({"x": "admin"}) == {"x": "admin"}
    with acting_as("editor"):
        assert faults_of(schema, {"x": "admin"}) == {"x": REFUSED}
    assert faults_of(schema, {"x": "admin"}) == {"x": REFUSED}


@pytest.mark.parametrize(
    ("make", "value"),
    [
        pytest.param(lambda one: fields.String(validate=one), "Admin", id="a text"),
        pytest.param(lambda one: fields.List(fields.String(validate=one)), ["x", "admin"], id="inside of a list"),
        pytest.param(lambda one: fields.List(fields.String(), validate=[one]), ["admin"], id="a list"),
    ],
)
def test_a_stripped_member_is_as_good_as_not_sent(make: Any, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    schema = GuardSchema.from_dict({"x": make(ForbiddenValues(["admin"], mode="strip")), "y": fields.String()})()

    with caplog.at_level(logging.WARNING):
        assert schema.load({"x": value, "y": "z"}) == {"y": "z"}
    assert "x" in caplog.text
    assert "admin" not in caplog.text.lower()


def test_a_stripped_member_that_is_required_is_missing() -> None:
    field = fields.String(required=True, validate=ForbiddenValues(["admin"], "strip"))

    assert faults_of(_schema(field), {"x": "admin"}) == {"x": ["Missing data for required field."]}
    assert _schema(field).load({"x": "admin"}, partial=True) == {}


def test_a_stripped_member_gets_its_default() -> None:
    field = fields.String(load_default="user", validate=ForbiddenValues(["admin"], "strip"))

    assert _schema(field).load({"x": "admin"}) == {"x": "user"}


def test_a_plain_schema_refuses_what_it_cannot_strip() -> None:
    class Plain(Schema):
        x = fields.String(validate=ForbiddenValues(["admin"], "strip"))

    assert faults_of(Plain(), {"x": "admin"}) == {"x": REFUSED}


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: ForbiddenValues([]), id="no values"),
        pytest.param(lambda: ForbiddenValues([None]), id="null"),
        pytest.param(lambda: ForbiddenValues("admin"), id="a text"),
        pytest.param(lambda: ForbiddenValues(["a"], mode="remove"), id="another mode"),  # type: ignore[arg-type]
        pytest.param(lambda: ForbiddenValues(["a"], unless_role=[""]), id="an empty role"),
    ],
)
def test_a_validator_that_forbids_nothing_is_refused(build: Any) -> None:
    with pytest.raises(ConfigError):
        build()


def test_a_decimal_is_compared_by_how_it_is_written() -> None:
    assert ForbiddenValues(["1"])(Decimal("1.5")) == Decimal("1.5")
