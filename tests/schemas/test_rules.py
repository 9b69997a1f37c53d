"""Rules about several fields: their answers have a place, and they keep silent where they cannot know."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from marshmallow import ValidationError, fields

from flask_guard.schemas import (
    DateRange,
    ForbiddenValues,
    GuardSchema,
    Immutable,
    ReadOnly,
    RequireAtLeastOne,
    RequireWhen,
    cross_field,
)

from .support import faults_of


class Booking(GuardSchema):
    start = fields.DateTime(data_key="startsAt", attribute="starts_at")
    end = fields.DateTime(data_key="endsAt")
    email = fields.Email()
    phone = fields.String(allow_none=True)
    status = fields.String()
    reason = fields.String(allow_none=True)
    in_order = DateRange("start", "end")
    reachable = RequireAtLeastOne("email", "phone")
    explained = RequireWhen("reason", when="status", one_of=("refused", "late"))


class Day(GuardSchema):
    bookings = fields.List(fields.Nested(Booking))


EARLY, LATE = "2024-01-01T08:00:00+00:00", "2024-01-01T09:00:00+00:00"
REACHABLE = "At least one of email, phone is required."


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        pytest.param({"email": "a@example.org", "startsAt": EARLY, "endsAt": LATE}, {}, id="right"),
        pytest.param({"email": "a@example.org", "startsAt": EARLY, "endsAt": EARLY}, {}, id="the same time"),
        pytest.param(
            {"phone": "1", "startsAt": LATE, "endsAt": EARLY}, {"endsAt": ["Must not be before startsAt."]}, id="order"
        ),
        pytest.param({"phone": "1", "endsAt": EARLY}, {}, id="one end"),
        pytest.param(
            {"phone": "1", "startsAt": EARLY, "endsAt": "2024-01-01T09:00:00"},
            {"endsAt": ["Cannot be compared with startsAt: give both an offset from UTC, or neither."]},
            id="one offset",
        ),
        pytest.param({}, {"_schema": [REACHABLE]}, id="neither"),
        pytest.param({"phone": ""}, {"_schema": [REACHABLE]}, id="empty"),
        pytest.param({"phone": None}, {"_schema": [REACHABLE]}, id="null"),
        pytest.param({"email": "x"}, {"email": ["Not a valid email address."]}, id="a faulty field is there"),
        pytest.param(
            {"phone": "1", "status": "late"}, {"reason": ["Required because of status."]}, id="one of the values"
        ),
        pytest.param(
            {"phone": "1", "status": "late", "reason": ""}, {"reason": ["Required because of status."]}, id="no reason"
        ),
        pytest.param({"phone": "1", "status": "fine"}, {}, id="another value"),
        pytest.param(
            {"startsAt": LATE, "endsAt": EARLY, "status": "late", "evil": 1},
            {
                "_schema": [REACHABLE],
                "endsAt": ["Must not be before startsAt."],
                "reason": ["Required because of status."],
                "evil": ["Unknown field."],
            },
            id="all of them",
        ),
    ],
)
def test_a_body_is_judged_as_a_whole(body: Any, faults: Any) -> None:
    assert Booking().validate(body) == faults


def test_each_of_many_and_each_nested_one_is_judged() -> None:
    good, bad = {"phone": "1"}, {}

    assert Booking(many=True).validate([good, bad]) == {1: {"_schema": [REACHABLE]}}
    assert Day().validate({"bookings": [good, bad]}) == {"bookings": {1: {"_schema": [REACHABLE]}}}
    assert Booking(many=True).validate({"a": 1}) == {"_schema": ["Invalid input type."]}


@pytest.mark.parametrize("as_object", [False, True], ids=["a mapping", "an object"])
def test_an_update_is_judged_with_what_is_there(as_object: bool) -> None:
    facts: dict[str, Any] = {
        "phone": "1",
        "email": None,
        "starts_at": Booking().load({"phone": "1", "startsAt": LATE})["starts_at"],
    }
    existing = SimpleNamespace(**facts) if as_object else facts

    def faults(body: Any) -> Any:
        try:
            Booking().load(body, existing=existing, partial=True)
        except ValidationError as error:
            return error.messages
        return {}

    assert faults({}) == {}
    assert faults({"phone": None}) == {"_schema": [REACHABLE]}
    assert faults({"endsAt": EARLY}) == {"endsAt": ["Must not be before startsAt."]}


def test_what_is_not_known_is_not_judged() -> None:
    assert Booking(partial=True).load({"phone": None, "endsAt": EARLY, "status": "late"})
    assert faults_of(Booking(partial=True), {"phone": None, "email": "x"}) == {"email": ["Not a valid email address."]}


@pytest.mark.parametrize(
    ("rule", "body", "passes"),
    [
        pytest.param(RequireWhen("b", when="a"), {"a": "x"}, False, id="whenever it is there"),
        pytest.param(RequireWhen("b", when="a"), {"a": ""}, True, id="empty is not there"),
        pytest.param(RequireWhen(("b", "c"), when="a", equals="x"), {"a": "x", "b": "1"}, False, id="one of two lacks"),
        pytest.param(RequireWhen("b", when="a", equals=None), {"a": None}, False, id="because it is null"),
    ],
)
def test_a_field_is_required_because_of_another(rule: Any, body: Any, passes: bool) -> None:
    schema = GuardSchema.from_dict({name: fields.String(allow_none=True) for name in "abc"} | {"rule": rule})()  # type: ignore[dict-item]

    assert (schema.validate(body) == {}) is passes


# Functions ---------------------------------------------------------------------------------------------------


class Seats(GuardSchema):
    free = fields.Integer(data_key="freeSeats")
    taken = fields.Integer()

    @cross_field
    def fits(body: Any, existing: Any) -> Any:
        if body.get("free") == 0:
            raise ValidationError("None left.")
        if body.get("free") == 1:
            return {"free": "Is one.", "taken": ["Is", "none."]}
        if existing and body.get("taken", 0) < existing["taken"]:
            return "May not become less."
        return None

    @cross_field("taken")
    def named(body: Any, existing: Any) -> Any:
        return {"taken": "Too many."} if body.get("taken", 0) > 100 else None


def test_a_function_answers_with_messages_that_have_a_place() -> None:
    assert Seats().validate({"freeSeats": 2, "taken": 3}) == {}
    assert Seats().validate({"freeSeats": 0}) == {"_schema": ["None left."]}
    assert Seats().validate({"freeSeats": 1}) == {"freeSeats": ["Is one."], "taken": ["Is", "none."]}
    assert faults_of(Seats(), {"taken": 1}, existing={"taken": 2}) == {"_schema": ["May not become less."]}


def test_a_function_sees_right_fields_only() -> None:
    assert Seats().validate({"freeSeats": "x", "taken": 101}) == {
        "freeSeats": ["Not a valid integer."],
        "taken": ["Too many."],
    }
    assert Seats().validate({"freeSeats": 1, "taken": "x"}) == {"taken": ["Not a valid integer."]}


@pytest.mark.parametrize("answer", [True, 0, ["a"], object], ids=["a truth", "a number", "a list", "an object"])
def test_another_answer_is_a_mistake_of_the_program(answer: Any) -> None:
    schema = GuardSchema.from_dict({"a": fields.String(), "rule": cross_field(lambda b, e: answer)})()  # type: ignore[dict-item]

    with pytest.raises(TypeError, match="cross_field"):
        schema.load({})


def test_what_a_function_raises_is_not_the_callers_fault() -> None:
    schema = GuardSchema.from_dict({"a": fields.String(), "rule": cross_field(lambda b, e: b["gone"])})()  # type: ignore[dict-item]

    with pytest.raises(KeyError):
        schema.load({})


class Stay(GuardSchema):
    id = ReadOnly(fields.String())
    start = Immutable(fields.Date(required=True))
    end = fields.Date(required=True)
    role = fields.String(validate=ForbiddenValues(["admin"], mode="strip"))
    name = fields.String()
    in_order = DateRange("start", "end")
    named = RequireAtLeastOne("role", "name")
    known = RequireWhen("name", when="id", equals="vip")


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        pytest.param(
            {"name": "x", "end": "2024-05-01", "start": "2024-01-01"},
            {"end": ["Must not be before start."]},
            id="what is immutable",
        ),
        pytest.param(
            {"role": "member", "end": "2024-05-03", "id": "plain"},
            {"name": ["Required because of id."]},
            id="what is read-only",
        ),
        pytest.param(
            {"role": "Admin", "end": "2024-05-03"},
            {"_schema": ["At least one of role, name is required."], "name": ["Required because of id."]},
            id="what is removed",
        ),
    ],
)
def test_a_rule_is_not_silenced_by_sending_what_is_dropped(body: dict[str, Any], faults: dict[str, Any]) -> None:
    stay = {"id": "vip", "start": dt.date(2024, 5, 2)}

    assert faults_of(Stay(), body, existing=stay) == faults


def test_a_whole_body_is_judged_on_an_update_without_its_object_but_for_what_is_left_as_it_is() -> None:
    stay = Stay(is_update=True)

    assert faults_of(stay, {"end": "2024-05-01"}) == {"_schema": ["At least one of role, name is required."]}
    assert stay.load({"end": "2024-05-01", "start": "2024-09-09", "name": "x"})
