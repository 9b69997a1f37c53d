"""Removes from a body what a schema does not know, for a body that is handed on as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields


def strip_unknown_fields(schema: Schema, data: Any) -> Any:
    """Return a copy of a body with the members that the schema would load, nested ones likewise; nothing is judged."""
    if isinstance(data, (list, tuple)):
        return [strip_unknown_fields(schema, item) for item in data]
    if not isinstance(data, Mapping):
        return data
    known = {field.data_key or name: field for name, field in schema.load_fields.items()}
    return {key: _strip(known[key], value) for key, value in data.items() if key in known}


def _strip(field: Any, value: Any) -> Any:
    if isinstance(field, fields.Pluck):
        return value
    if isinstance(field, fields.Nested):
        return strip_unknown_fields(field.schema, value)
    if isinstance(field, fields.List) and isinstance(value, (list, tuple)):
        return [_strip(field.inner, item) for item in value]
    if isinstance(field, fields.Mapping) and field.value_field is not None and isinstance(value, Mapping):
        return {key: _strip(field.value_field, item) for key, item in value.items()}
    return value
