"""A value is what JSON says it is: marshmallow's lax readings are off until a schema asks for them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from marshmallow import Schema, fields, validate

from flask_guard.schemas import GuardSchema

from .support import faults_of

LONG = 1024


def _load(field: Any, value: Any, *, coerce: bool = False) -> Any:
    members = {"x": field, "Meta": type("Meta", (), {"coerce": coerce})}
    return type(GuardSchema)("Body", (GuardSchema,), members)().load({"x": value})["x"]  # type: ignore[operator]


REFUSED: list[Any] = [
    pytest.param(fields.String(), "a\0b", id="NUL"),
    pytest.param(fields.String(), "\ud800", id="a lone surrogate"),
    pytest.param(fields.String(), "a" * (LONG + 1), id="a text that is too long"),
    pytest.param(fields.String(), 1, id="a number for a text"),
    pytest.param(fields.Email(), "a\0@example.org", id="NUL in an address"),
    pytest.param(fields.List(fields.String()), ["a", "\0"], id="NUL in a list"),
    pytest.param(fields.Dict(keys=fields.String(), values=fields.String()), {"\0": "a"}, id="NUL in a name"),
    pytest.param(fields.Raw(), {"a": [{"b": "\0"}]}, id="NUL in any JSON"),
    pytest.param(fields.Raw(), {"\0": 1}, id="NUL in a name of any JSON"),
    pytest.param(fields.Dict(), {"a": "\udfff"}, id="a surrogate in a dict of anything"),
    pytest.param(fields.Integer(), "1", id="a text for an integer"),
    pytest.param(fields.Integer(), "\uff11", id="a full-width digit"),
    pytest.param(fields.Integer(), 1.0, id="a float for an integer"),
    pytest.param(fields.Integer(), 1.5, id="a fraction for an integer"),
    pytest.param(fields.Integer(), True, id="a truth for an integer"),
    pytest.param(fields.Integer(), 2**63, id="an integer of 65 bits"),
    pytest.param(fields.Integer(), -(2**63) - 1, id="a negative integer of 65 bits"),
    pytest.param(fields.Float(), "1.5", id="a text for a float"),
    pytest.param(fields.Float(), True, id="a truth for a float"),
    pytest.param(fields.Float(), float("inf"), id="infinity"),
    pytest.param(fields.Decimal(), "1E+1000000", id="an exponent"),
    pytest.param(fields.Decimal(), "1E-1000000", id="a negative exponent"),
    pytest.param(fields.Decimal(), "1E+64", id="the first exponent that is too large"),
    pytest.param(fields.Decimal(), "\uff11", id="a full-width decimal"),
    pytest.param(fields.Decimal(), "1_000", id="a decimal with an underscore"),
    pytest.param(fields.Decimal(), " 1", id="a decimal with a space"),
    pytest.param(fields.Decimal(), "NaN", id="not a number"),
    pytest.param(fields.Decimal(), False, id="a truth for a decimal"),
    pytest.param(fields.Boolean(), "yes", id="a word for a truth"),
    pytest.param(fields.Boolean(), 1, id="a number for a truth"),
    pytest.param(fields.Boolean(), 1.0, id="a float for a truth"),
    pytest.param(fields.Boolean(), [], id="a list for a truth"),
    pytest.param(fields.TimeDelta(), "5", id="a text for a time span"),
    pytest.param(fields.TimeDelta(), True, id="a truth for a time span"),
    pytest.param(fields.Url(), "ftp://example.org/a", id="ftp"),
    pytest.param(fields.Url(), "javascript:alert(1)", id="javascript"),
    pytest.param(fields.Url(), "data:text/html,x", id="data"),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_a_lax_reading_is_refused(field: Any, value: Any) -> None:
    assert faults_of(GuardSchema.from_dict({"x": field})(), {"x": value}).keys() == {"x"}


TAKEN: list[Any] = [
    pytest.param(fields.String(), "a" * LONG, "a" * LONG, id="the longest text"),
    pytest.param(fields.String(), "e\u0301", "\u00e9", id="a text that is composed"),
    pytest.param(fields.String(), "\U0001f600", "\U0001f600", id="a text beyond the BMP"),
    pytest.param(fields.String(validate=validate.Length(max=5000)), "a" * 5000, "a" * 5000, id="a length of its own"),
    pytest.param(fields.String(validate=validate.Length(max=1)), "e\u0301", "\u00e9", id="a length after composing"),
    pytest.param(fields.Integer(), 2**63 - 1, 2**63 - 1, id="the largest integer"),
    pytest.param(fields.Integer(validate=validate.Range(0, 2**80)), 2**70, 2**70, id="a range of its own"),
    pytest.param(fields.Float(), 3, 3.0, id="an integer for a float"),
    pytest.param(fields.Decimal(), "12.50", Decimal("12.50"), id="a decimal as a text"),
    pytest.param(fields.Decimal(), 12.5, Decimal("12.5"), id="a decimal as a number"),
    pytest.param(fields.Decimal(places=2), "1e3", Decimal("1000.00"), id="an exponent that is small"),
    pytest.param(fields.Decimal(), "0E-70", Decimal("0E-70"), id="nothing at all"),
    pytest.param(fields.Decimal(allow_nan=True), Decimal("NaN"), None, id="not a number on request"),
    pytest.param(fields.Boolean(), True, True, id="a truth"),
    pytest.param(fields.Boolean(truthy={"ja"}), "ja", True, id="words of its own"),
    pytest.param(fields.TimeDelta(), 90, dt.timedelta(seconds=90), id="a time span"),
    pytest.param(fields.Url(), "https://example.org/a?b#c", "https://example.org/a?b#c", id="a URL"),
    pytest.param(fields.Url(schemes={"ftp"}), "ftp://example.org", "ftp://example.org", id="a scheme of its own"),
    pytest.param(fields.Raw(), {"a": [1, "é", None]}, {"a": [1, "é", None]}, id="any JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "loaded"), TAKEN)
def test_what_json_says_is_taken(field: Any, value: Any, loaded: Any) -> None:
    result = _load(field, value)

    assert result.is_nan() if loaded is None else (result == loaded and type(result) is type(loaded))


@pytest.mark.parametrize(
    ("field", "value", "loaded"),
    [
        pytest.param(fields.Integer(), "-12", -12, id="an integer"),
        pytest.param(fields.Integer(), 3.0, 3, id="a float that is whole"),
        pytest.param(fields.Float(), "1.5e3", 1500.0, id="a float"),
        pytest.param(fields.Boolean(), "on", True, id="a truth"),
        pytest.param(fields.TimeDelta(), "1.5", dt.timedelta(seconds=1.5), id="a time span"),
        pytest.param(fields.List(fields.Integer()), ["1", "2"], [1, 2], id="a list"),
    ],
)
def test_texts_are_read_where_a_schema_asks_for_it(field: Any, value: Any, loaded: Any) -> None:
    assert _load(field, value, coerce=True) == loaded


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(fields.Integer(), "\uff11", id="a full-width digit"),
        pytest.param(fields.Integer(), "1_000", id="an underscore"),
        pytest.param(fields.Integer(), " 1", id="a space"),
        pytest.param(fields.Integer(), True, id="a truth"),
        pytest.param(fields.Integer(), 1.5, id="a fraction"),
        pytest.param(fields.Integer(), "9" * 30, id="a number that is too large"),
        pytest.param(fields.Float(), "nan", id="no number"),
        pytest.param(fields.Float(), "\u0661", id="an Arabic digit"),
        pytest.param(fields.Boolean(), 1, id="a number for a truth"),
        pytest.param(fields.Boolean(), "perhaps", id="no truth"),
    ],
)
def test_not_any_text_is_read(field: Any, value: Any) -> None:
    class Lax(GuardSchema):
        x = field

        class Meta:
            coerce = True

    assert faults_of(Lax(), {"x": value}).keys() == {"x"}


def test_a_class_of_the_users_own_is_asked_and_made_strict() -> None:
    class Slug(fields.String):
        def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
            return super()._deserialize(value, *args, **kwargs).lower()

        def _validate(self, value: Any) -> None:
            if value == "no":
                raise self.make_error("invalid")
            super()._validate(value)

    schema = GuardSchema.from_dict({"slug": Slug()})()

    assert schema.load({"slug": "Ab"}) == {"slug": "ab"}
    assert faults_of(schema, {"slug": "NO"}) == {"slug": ["Not a valid string."]}
    assert faults_of(schema, {"slug": "a\0"}) == {"slug": ["May not contain NUL."]}


def test_a_field_that_two_schemas_share_is_strict_in_one_only() -> None:
    shared = fields.Integer()

    class Plain(Schema):
        x = shared

    class Guarded(GuardSchema):
        x = shared

    assert faults_of(Guarded(), {"x": "1"})
    assert Plain().load({"x": "1"}) == {"x": 1}


class Row(GuardSchema):
    name = fields.String()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (fields.List(fields.Integer()), [1]),
        (fields.List(fields.Nested(Row)), [{}]),
        (fields.Nested(Row, many=True), [{}]),
        (fields.Dict(fields.String(), fields.Integer()), None),
    ],
    ids=["list", "list of nested", "nested many", "mapping"],
)
def test_a_list_without_a_length_has_a_thousand_items(field: Any, value: Any) -> None:
    schema = GuardSchema.from_dict({"it": field})()

    def make(size: int) -> Any:
        return value * size if value else {str(number): 1 for number in range(size)}

    assert schema.load({"it": make(1000)})
    assert faults_of(schema, {"it": make(1001)}) == {"it": ["Longer than maximum length 1000."]}


def test_a_list_is_measured_before_its_items_are_read() -> None:
    seen: list[int] = []

    class Numbers(GuardSchema):
        few = fields.List(fields.Integer(validate=seen.append), validate=validate.Length(max=2))
        many = fields.List(fields.Integer(), validate=validate.Length(max=5000))

    assert faults_of(Numbers(), {"few": [1] * 3}) == {"few": ["Longer than maximum length 2."]}
    assert seen == []
    assert Numbers().load({"few": [1] * 2, "many": [1] * 5000})
    assert seen == [1, 1]
    assert Numbers().validate({"few": "12", "many": {}}) == {
        "few": ["Not a valid list."],
        "many": ["Not a valid list."],
    }
