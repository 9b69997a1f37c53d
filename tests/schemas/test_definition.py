"""A schema whose rules could not be kept is refused when its class is made, with every fault and its remedy."""

from __future__ import annotations

import re
from typing import Any

import pytest
from marshmallow import INCLUDE, Schema, fields, validate, validates

from flask_guard import ConfigError
from flask_guard.schemas import (
    DateRange,
    GuardSchema,
    Hashed,
    Hidden,
    Immutable,
    Pattern,
    ReadOnly,
    Redacted,
    RequireAtLeastOne,
    RequireWhen,
    Unique,
    WritableBy,
    WriteOnly,
    cross_field,
)

COLUMN = object()


def _make(members: dict[str, Any], **meta: Any) -> Any:
    return type(GuardSchema)(
        "Body", (GuardSchema,), {"headline": fields.String(), **members, "Meta": type("Meta", (), meta)}
    )


FAULTY_FIELDS: list[Any] = [
    pytest.param(ReadOnly(WriteOnly(fields.String())), "ReadOnly with WriteOnly: .* say Hidden", id="neither"),
    pytest.param(WritableBy(ReadOnly(fields.String()), "a"), "ReadOnly with WritableBy", id="nobody writes"),
    pytest.param(Immutable(ReadOnly(fields.String())), "Immutable with ReadOnly", id="never written"),
    pytest.param(Hashed(ReadOnly(fields.String())), "Hashed with ReadOnly", id="never hashed"),
    pytest.param(Redacted(WriteOnly(fields.String()), visible_to="a"), "Redacted with WriteOnly", id="nobody reads"),
    pytest.param(Hidden(WriteOnly(fields.String())), "Hidden stands alone", id="hidden and more"),
    pytest.param(Hashed(fields.Integer()), "Hashed is for texts, and this is Integer", id="a hashed number"),
    pytest.param(Hashed(fields.String(validate=Unique(COLUMN))), "Hashed with Unique", id="a unique hash"),
    pytest.param(fields.List(WriteOnly(fields.String())), "WriteOnly is inside of List", id="in a list"),
    pytest.param(fields.Dict(values=Hidden(fields.String())), "Hidden is inside of Dict", id="in a dict"),
    pytest.param(fields.Tuple((ReadOnly(fields.String()),)), "ReadOnly is inside of Tuple", id="in a tuple"),
    pytest.param(fields.Nested(Schema, unknown=INCLUDE), "INCLUDE", id="a nested schema that includes"),
    pytest.param(fields.List(fields.Nested(Schema, unknown=INCLUDE)), "INCLUDE", id="in a list that includes"),
    pytest.param(fields.String(load_only=True, dump_only=True), "Say Hidden", id="load_only and dump_only"),
    pytest.param(fields.Integer(validate=Pattern("a")), "Pattern is for texts, and this is Integer", id="a pattern"),
    pytest.param(fields.Integer(validate=validate.Length(3)), "Length is for what has a length", id="a length"),
    pytest.param(fields.String(validate=validate.Range(3)), "Range is for numbers", id="a range"),
    pytest.param(fields.List(fields.String(validate=validate.Range(3))), "Range is for numbers", id="a range inside"),
    pytest.param(fields.Integer(validate=validate.Range(3, 2)), "lets nothing pass", id="an empty range"),
    pytest.param(fields.String(validate=validate.Length(3, 2)), "lets nothing pass", id="an empty length"),
    pytest.param(fields.String(validate=validate.OneOf([])), "no choices", id="no choices"),
    pytest.param(fields.Nested(Schema, validate=Unique(COLUMN)), "Unique is for single values", id="a unique object"),
    pytest.param(fields.List(fields.String(validate=Unique(COLUMN))), "Unique is inside of List", id="unique inside"),
    pytest.param(
        fields.String(validate=[Unique(COLUMN), Unique(COLUMN)]), "Unique is there twice", id="unique and unique"
    ),
    pytest.param(fields.Url(schemes={"https", "javascript"}), "scheme javascript", id="a scheme that runs"),
]


@pytest.mark.parametrize(("field", "told"), FAULTY_FIELDS)
def test_a_field_that_cannot_be_what_it_says_is_refused(field: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"Body: faulty: .*{told}"):
        _make({"faulty": field})


@pytest.mark.parametrize(
    ("members", "told"),
    [
        pytest.param(
            {"r": DateRange("start", "hedline")}, "names hedline, which is no field. Did you mean headline?", id="range"
        ),
        pytest.param(
            {"r": RequireAtLeastOne("headline", "phne")}, "r names phne, which is no field.", id="at least one"
        ),
        pytest.param(
            {"r": RequireWhen("hedline", when="headline")}, "r names hedline, which is no field. Did", id="when"
        ),
        pytest.param(
            {"r": cross_field("hedline")(lambda b, e: None)}, "r names hedline, which is no field.", id="cross"
        ),
        pytest.param(
            {"r": DateRange("headline", "start")}, "compares dates and times, and headline is String", id="no date"
        ),
        pytest.param({"m": validates("hedline")(lambda s, v, data_key: None)}, "m names hedline", id="validates"),
    ],
)
def test_a_rule_that_names_what_is_not_there_is_refused(members: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        _make({"start": fields.Date(), **members})


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        pytest.param({"unknown": INCLUDE}, "Meta.unknown is INCLUDE", id="include"),
        pytest.param({"unknowns": "exclude"}, "Meta.unknowns is no option. Did you mean unknown?", id="a typo"),
        pytest.param({"coerces": True}, "Meta.coerces is no option. Did you mean coerce?", id="a typo of ours"),
        pytest.param(
            {"load_only": ("hedline",)}, "Meta.load_only names hedline, which is no field. Did", id="load_only"
        ),
        pytest.param({"dump_only": ("hedline",)}, "Meta.dump_only names hedline", id="dump_only"),
        pytest.param({"exclude": ("hedline",)}, "Meta.exclude names hedline", id="exclude"),
        pytest.param({"fields": ("hedline",)}, "Meta.fields names hedline", id="fields"),
    ],
)
def test_an_option_that_means_nothing_is_refused(meta: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        _make({}, **meta)


def test_all_faults_of_a_schema_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        _make({"a": Hashed(fields.Integer()), "b": fields.Nested(Schema, unknown=INCLUDE)}, unknown=INCLUDE)

    assert len(caught.value.faults) == 3


@pytest.mark.parametrize("marker", [WriteOnly, Hidden, Hashed], ids=lambda marker: marker.__name__)
def test_an_heir_does_not_show_what_its_ancestor_keeps_in(marker: Any) -> None:
    class Account(GuardSchema):
        secret = marker(fields.String())

    with pytest.raises(ConfigError, match=rf"secret is {marker.__name__} in Account and would be shown here"):

        class Open(Account):
            secret = fields.String()

    class Kept(Account):
        secret = WriteOnly(fields.String(required=True))

    assert Kept().dump({"secret": "x"}) == {}


def test_a_rule_of_an_ancestor_holds_for_its_heirs_until_they_say_otherwise() -> None:
    class Event(GuardSchema):
        start = fields.Date()
        end = fields.Date()
        order = DateRange("start", "end")

    class Sub(Event):
        pass

    class Strictly(Event):
        order = DateRange("start", "end", allow_equal=False)

    day = {"start": "2024-01-01", "end": "2024-01-01"}
    assert Sub().validate({"start": "2024-01-02", "end": "2024-01-01"}) == {"end": ["Must not be before start."]}
    assert Sub().validate(day) == {}
    assert Strictly().validate(day) == {"end": ["Must be after start."]}


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: RequireAtLeastOne("a"), id="one of one"),
        pytest.param(lambda: RequireAtLeastOne("a", "a"), id="one of the same"),
        pytest.param(lambda: RequireWhen("a", when="a"), id="because of itself"),
        pytest.param(lambda: RequireWhen((), when="a"), id="nothing required"),
        pytest.param(lambda: DateRange("a", "a"), id="a range of one"),
        pytest.param(lambda: cross_field(), id="a check of nothing"),
        pytest.param(lambda: cross_field(3), id="a check that is a number"),  # type: ignore[arg-type]
        pytest.param(lambda: Unique("email"), id="a column by name"),
        pytest.param(lambda: Unique(COLUMN)("x"), id="unique alone"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(build: Any) -> None:
    with pytest.raises(ConfigError):
        build()
