"""One member of a body, two fields: what is said of the one that loads it is kept, in whatever order they stand."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import fields

from flask_guard.errors import ConfigError, FieldForbidden
from flask_guard.schemas import GuardSchema, Immutable, Pattern, ReadOnly, Redacted, WritableBy, WriteOnly


def make(*pairs: tuple[str, Any], is_turned: bool) -> Any:
    return GuardSchema.from_dict(dict(reversed(pairs) if is_turned else pairs))()


turned = pytest.mark.parametrize("is_turned", [False, True])


@turned
def test_a_role_is_asked_for_though_another_field_shows_the_member(is_turned: bool) -> None:
    writes = WritableBy(fields.String(load_only=True, data_key="role"), "admin")
    schema = make(("role", fields.String(dump_only=True)), ("new_role", writes), is_turned=is_turned)

    with pytest.raises(FieldForbidden):
        schema.load({"role": "admin"})


@turned
def test_a_role_is_asked_for_though_another_field_loads_the_member_too(is_turned: bool) -> None:
    other = WriteOnly(fields.String(data_key="role"))
    schema = make(("role", WritableBy(fields.String(), "admin")), ("other", other), is_turned=is_turned)

    with pytest.raises(FieldForbidden):
        schema.load({"role": "admin"})


@turned
def test_what_is_immutable_is_dropped_though_another_field_shows_the_member(is_turned: bool) -> None:
    shown = fields.String(dump_only=True, data_key="code")
    schema = make(("code", Immutable(fields.String(load_only=True))), ("shown", shown), is_turned=is_turned)

    assert schema.load({"code": "new"}, partial=True) == {}


@turned
def test_a_member_is_loaded_though_another_field_that_is_read_only_shows_it(is_turned: bool) -> None:
    ids = WriteOnly(fields.List(fields.Integer(), data_key="tags"))
    schema = make(("tags", ReadOnly(fields.List(fields.String()))), ("tag_ids", ids), is_turned=is_turned)

    assert schema.load({"tags": [1]}) == {"tag_ids": [1]}


class Person(GuardSchema):
    email = Redacted(fields.String(), visible_to="admin")
    password = WriteOnly(fields.String())


class Letter(GuardSchema):
    one = fields.Pluck(Person, "email")
    many = fields.Pluck(Person, "email", many=True)
    each = fields.List(fields.Pluck(Person, "email"))
    secret = fields.Pluck(Person, "password")


def test_a_plucked_member_that_the_reader_does_not_see_is_nothing_and_no_error() -> None:
    person = {"email": "ann@example.org", "password": "correct horse"}

    shown = Letter().dump({"one": person, "many": [person], "each": [person], "secret": person})

    assert shown == {"many": [], "each": [None]}


@pytest.mark.parametrize("source", [r"(?:\w\w|[\u0d80-\u0dff])+", r"(?:\w\w|[\U00011000-\U00011fff])+"])
def test_a_range_whose_ends_are_no_characters_is_judged_by_those_between(source: str) -> None:
    with pytest.raises(ConfigError, match="could take for ever"):
        Pattern(source, full=True)
