"""What holds for every schema and every body that Hypothesis can think of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import EXCLUDE, ValidationError, fields

from flask_guard.errors import FieldForbidden
from flask_guard.schemas import ForbiddenValues, GuardSchema, Hidden, ReadOnly, Redacted, WritableBy, WriteOnly
from flask_guard.schemas.pointers import flatten_messages

from .support import acting_as, texts_in

MARKER = "q7Xz-write-only-value"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
NAMES = st.sampled_from(["name", "pass", "sealed_note", "own", "count", "child", "rows", "map", "other", "id"])
MARKERS = st.sampled_from(["plain", "WriteOnly", "Hidden", "Redacted"])


class Leaf(GuardSchema):
    id = ReadOnly(fields.Integer())
    name = fields.String(validate=ForbiddenValues(["admin"]))
    sealed_note = WriteOnly(fields.Raw())
    own = WritableBy(fields.String(), "owner")
    count = fields.Integer()
    child = fields.Nested(lambda: Leaf())
    rows = fields.List(fields.Nested(lambda: Leaf(unknown=EXCLUDE)))
    map = fields.Dict(values=fields.Nested(lambda: Leaf()))


BODIES = st.recursive(
    st.dictionaries(NAMES, JSON, max_size=4),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "child": inner,
            "rows": st.lists(inner, max_size=3),
            "map": st.dictionaries(st.text(max_size=4), inner, max_size=3),
        },
    ),
    max_leaves=6,
)


@given(body=BODIES | JSON, roles=st.sampled_from([(), ("owner",)]), partial=st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_body_is_loaded_or_refused_and_nothing_else(body: Any, roles: tuple[str, ...], partial: bool) -> None:
    faults: Sequence[Any] = ()
    loaded = None
    with acting_as(*roles):
        try:
            loaded = Leaf(partial=partial).load(body)
        except ValidationError as error:
            faults = flatten_messages(error.messages)
        except FieldForbidden as refusal:
            faults = refusal.errors

        assert (loaded is None) is bool(faults)
        if loaded is not None:
            _assert_declared(loaded, may_own="owner" in roles)
            assert Leaf().load(loaded) == loaded


def _assert_declared(loaded: Any, *, may_own: bool) -> None:
    assert loaded.keys() <= {"name", "sealed_note", "own", "count", "child", "rows", "map"}
    assert may_own or "own" not in loaded
    for inner in [loaded.get("child"), *loaded.get("rows", ()), *loaded.get("map", {}).values()]:
        if inner is not None:
            _assert_declared(inner, may_own=may_own)


@given(body=BODIES)
@settings(max_examples=200, deadline=None)
def test_what_is_loaded_can_be_stored(body: Any) -> None:
    with acting_as("owner"):
        try:
            loaded = Leaf().load(body)
        except ValidationError:
            return

    for text in texts_in({name: value for name, value in loaded.items() if name in ("name", "own", "sealed_note")}):
        assert "\0" not in text
        text.encode()


def _field(marker: str, inner: Any) -> Any:
    match marker:
        case "WriteOnly":
            return WriteOnly(inner)
        case "Hidden":
            return Hidden(inner)
        case "Redacted":
            return Redacted(inner, visible_to="nobody-has-it")
    return inner


@st.composite
def schemas_and_rows(draw: st.DrawFn, depth: int = 0) -> tuple[Any, Any]:
    """Return a schema and an object for it, in which every value that is kept in is the MARKER."""
    members: dict[str, Any] = {}
    row: dict[str, Any] = {}
    for number in range(draw(st.integers(1, 4))):
        name, marker = f"m{number}", draw(MARKERS)
        members[name] = _field(marker, fields.String(data_key=draw(st.sampled_from([None, f"key{number}"]))))
        row[name] = "shown" if marker == "plain" else MARKER
    if depth < 3 and draw(st.booleans()):
        inner, value = draw(schemas_and_rows(depth=depth + 1))
        shape = draw(st.sampled_from(["one", "list", "dict", "many", "lambda"]))
        members["deep"], row["deep"] = {
            "one": (fields.Nested(inner), value),
            "list": (fields.List(fields.Nested(inner)), [value, value]),
            "dict": (fields.Dict(values=fields.Nested(inner)), {"k": value}),
            "many": (fields.Nested(inner, many=True), [value]),
            "lambda": (fields.Nested(lambda: inner()), value),
        }[shape]
    return GuardSchema.from_dict(members), row


@given(made=schemas_and_rows(), roles=st.sampled_from([(), ("hr", "boss")]))
@settings(max_examples=200, deadline=None)
def test_what_is_kept_in_is_in_no_output(made: tuple[Any, Any], roles: tuple[str, ...]) -> None:
    schema, row = made
    with acting_as(*roles):
        outputs = [
            schema().dump(row),
            schema(many=True).dump([row, row]),
            json.loads(schema().dumps(row)),
            repr(schema()),
        ]

    assert not [text for text in texts_in(outputs) if MARKER in text]


@given(made=schemas_and_rows())
@settings(max_examples=100, deadline=None)
def test_what_is_kept_in_is_in_no_error(made: tuple[Any, Any]) -> None:
    schema, row = made
    body = {**row, "evil": 1, "m0": [MARKER]}

    with pytest.raises(ValidationError) as caught:
        schema().load(body)

    error = caught.value
    write_only = {field.data_key or name for name, field in schema().load_fields.items() if field.load_only}
    assert error.data is None
    assert not [text for text in texts_in(error.messages) if MARKER in text]
    assert not write_only & set(error.valid_data)
