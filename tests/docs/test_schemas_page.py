"""The page of schemas has what the code has: names, markers, validators, rules, kinds, each with its parameters."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from marshmallow import fields

from flask_guard import schemas
from flask_guard.schemas import definition, markers, sanitize
from flask_guard.schemas.rules import RULES, cross_field

from .pages import DOCS, table_under, unquote

PAGE = (DOCS / "reference" / "schemas.md").read_text("utf-8")


def _rows(heading: str) -> list[list[str]]:
    return table_under(PAGE, heading)


def _spell(thing: Any) -> str:
    signature = inspect.signature(thing)
    shown = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    bare = signature.replace(parameters=shown, return_annotation=inspect.Signature.empty)
    return f"{thing.__name__}{bare}".replace("'", '"').replace("<marshmallow.missing>", "missing")


@pytest.mark.parametrize(
    ("heading", "things"),
    [
        ("Markers", list(markers.MARKERS.values())),
        ("Validators", [schemas.ForbiddenValues, schemas.Pattern, schemas.Unique]),
        ("Rules", [*RULES, cross_field]),
    ],
)
def test_what_is_listed_is_what_there_is(heading: str, things: list[Any]) -> None:
    assert sorted(unquote(row[0]) for row in _rows(heading)) == sorted(map(_spell, things))


def test_the_names_are_those_of_the_package() -> None:
    assert sorted(unquote(row[0]) for row in _rows("Names")) == sorted(schemas.__all__)
    assert all(getattr(schemas, name) for name in schemas.__all__)


def test_every_marker_and_rule_is_a_name_of_the_package() -> None:
    assert {*markers.MARKERS, *(rule.__name__ for rule in RULES)} <= set(schemas.__all__)


def test_the_kinds_say_what_they_take() -> None:
    listed = {unquote(row[0]): row[1] for row in _rows("Kinds of sanitize_input")}

    assert listed.keys() == sanitize.KINDS.keys()
    for name, kind in sanitize.KINDS.items():
        assert listed[name].startswith(kind.told)
        assert ("no words of SQL" in listed[name]) is kind.refuses_keywords
        assert ("escaped" in listed[name]) is kind.escapes


def test_every_option_of_meta_is_told() -> None:
    assert all(f"`{option}`" in PAGE for option in definition.META_OPTIONS)


@pytest.mark.parametrize("name", ["String", "Integer", "Float", "Decimal", "Boolean", "TimeDelta", "Url", "Raw"])
def test_every_field_that_is_stricter_is_told(name: str) -> None:
    assert getattr(fields, name)
    assert any(name in row[0] for row in _rows("Values"))
