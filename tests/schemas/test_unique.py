"""Unique: asked of the tenant's rows once the body is right; not knowing is never "free"."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import fields

from flask_guard.errors import Conflict, StoreUnavailable, TenantRequired, UniqueCheckFailed
from flask_guard.schemas import GuardSchema, Unique, lookups

from .support import faults_of

EMAIL = object()


class Rows:
    """A table of e-mail addresses, by the id of their row."""

    def __init__(self, **taken: str) -> None:
        self.taken = taken
        self.asked: list[Any] = []

    def is_taken(self, column: Any, value: Any, *, existing: Any, ignore_case: bool) -> bool:
        assert column is EMAIL
        self.asked.append(value)
        wanted = value.casefold() if ignore_case else value
        others = [text for row, text in self.taken.items() if existing is None or row != existing["id"]]
        return wanted in [text.casefold() if ignore_case else text for text in others]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    table = Rows(r1="a@example.org", r2="B@example.org")
    monkeypatch.setattr(lookups, "_find_lookup", lambda: table)
    return table


class User(GuardSchema):
    name = fields.String(required=True)
    email = fields.String(data_key="mail", allow_none=True, validate=Unique(EMAIL))


class Users(GuardSchema):
    rows = fields.List(fields.Nested(User))


def _conflict(schema: Any, body: Any, **options: Any) -> list[str]:
    with pytest.raises(Conflict) as caught:
        schema.load(body, **options)
    assert caught.value.status == 409
    assert "example.org" not in caught.value.detail + caught.value.text
    return [fault.pointer for fault in caught.value.errors]


def test_a_taken_value_is_a_conflict_that_names_the_field(rows: Rows) -> None:
    assert _conflict(User(), {"name": "x", "mail": "a@example.org"}) == ["/mail"]
    assert User().load({"name": "x", "mail": "c@example.org"})["email"] == "c@example.org"


def test_a_place_in_the_body_is_told(rows: Rows) -> None:
    bodies = [{"name": "x", "mail": "c"}, {"name": "x", "mail": "a@example.org"}]

    assert _conflict(User(many=True), bodies) == ["/1/mail"]
    assert _conflict(Users(), {"rows": bodies}) == ["/rows/1/mail"]


def test_two_of_one_body_may_not_be_the_same(rows: Rows) -> None:
    assert _conflict(User(many=True), [{"name": "x", "mail": "c"}] * 2) == ["/1/mail"]


def test_case_counts_unless_it_is_to_be_ignored(rows: Rows) -> None:
    lax = GuardSchema.from_dict({"mail": fields.String(validate=Unique(EMAIL, ignore_case=True))})(many=True)

    assert User().load({"name": "x", "mail": "b@example.org"})
    assert _conflict(lax, [{"mail": "b@example.org"}, {"mail": "C"}, {"mail": "c"}]) == ["/0/mail", "/2/mail"]


def test_the_row_that_is_changed_does_not_count(rows: Rows) -> None:
    body = {"name": "x", "mail": "a@example.org"}

    assert User().load(body, existing={"id": "r1"})
    assert _conflict(User(), body, existing={"id": "r2"}) == ["/mail"]


def test_an_update_of_a_row_that_is_not_known_asks_nothing(rows: Rows) -> None:
    assert User(partial=True).load({"mail": "a@example.org"})
    assert rows.asked == []


def test_nothing_is_asked_of_a_faulty_body_and_of_null(rows: Rows) -> None:
    faults_of(User(), {"mail": "a@example.org"})
    User().load({"name": "x", "mail": None})
    User().load({"name": "x"})

    assert rows.asked == []


def test_a_conflict_beside_other_faults_is_one_of_them(rows: Rows) -> None:
    class Outer(GuardSchema):
        user = fields.Nested(User)
        size = fields.Integer()

    assert faults_of(Outer(), {"user": {"name": "x", "mail": "a@example.org"}, "size": "x"}) == {
        "user": {"mail": ["This value is already taken."]},
        "size": ["Not a valid integer."],
    }


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def is_taken(self, column: Any, value: Any, *, existing: Any, ignore_case: bool) -> bool:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [RuntimeError("select 'a@example.org'"), StoreUnavailable("away"), KeyError("x")],
    ids=lambda e: type(e).__name__,
)
def test_a_look_up_that_fails_is_500_and_never_free(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_find_lookup", lambda: Failing(error))

    with pytest.raises(UniqueCheckFailed) as caught:
        User().load({"name": "x", "mail": "a@example.org"})

    assert caught.value.status == 500
    assert "example.org" not in caught.value.detail


def test_a_refusal_of_the_look_up_is_the_answer() -> None:
    schema = GuardSchema.from_dict({"mail": fields.String(validate=Unique(EMAIL, lookup=Failing(TenantRequired())))})()

    with pytest.raises(TenantRequired):
        schema.load({"mail": "x"})


def test_without_a_database_it_is_500() -> None:
    with pytest.raises(UniqueCheckFailed, match="no database"):
        User().load({"name": "x", "mail": "y"})


def test_wiring_says_where_the_database_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_find_lookup", lambda: None)
    table = Rows()

    lookups.set_lookup_source(lambda: table)
    User().load({"name": "x", "mail": "y"})

    assert table.asked == ["y"]
