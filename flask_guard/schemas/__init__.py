"""What may come in and what may go out: schemas, the markers of their fields, validators and rules.

from flask_guard.schemas import GuardSchema, WriteOnly

The names are resolved on first use (PEP 562): marshmallow is loaded by who uses it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .forbidden import ForbiddenValues
    from .lookups import Unique
    from .markers import Hashed, Hidden, Immutable, ReadOnly, Redacted, WritableBy, WriteOnly
    from .patterns import Pattern
    from .redaction import redact
    from .rules import DateRange, RequireAtLeastOne, RequireWhen, cross_field
    from .sanitize import sanitize_input
    from .schema import GuardSchema
    from .unknown import strip_unknown_fields

__all__ = [
    "DateRange",
    "ForbiddenValues",
    "GuardSchema",
    "Hashed",
    "Hidden",
    "Immutable",
    "Pattern",
    "ReadOnly",
    "Redacted",
    "RequireAtLeastOne",
    "RequireWhen",
    "Unique",
    "WritableBy",
    "WriteOnly",
    "cross_field",
    "redact",
    "sanitize_input",
    "strip_unknown_fields",
]

_HOMES = {
    "DateRange": "rules",
    "ForbiddenValues": "forbidden",
    "GuardSchema": "schema",
    "Hashed": "markers",
    "Hidden": "markers",
    "Immutable": "markers",
    "Pattern": "patterns",
    "ReadOnly": "markers",
    "Redacted": "markers",
    "RequireAtLeastOne": "rules",
    "RequireWhen": "rules",
    "Unique": "lookups",
    "WritableBy": "markers",
    "WriteOnly": "markers",
    "cross_field": "rules",
    "redact": "redaction",
    "sanitize_input": "sanitize",
    "strip_unknown_fields": "unknown",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
