"""What a policy reads of an object: whose it is, and which tenant it belongs to.

Pure; relies on `compile_sql` for the names of mapped columns, and only for objects that are mapped.
Rule: what an object lacks is a mistake of the program and never an answer.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from ..errors import ConfigError

NOT_GIVEN: Final = object()


def is_named_by(value: object, text: str) -> bool:
    """Say whether a value of a row, text, a number or a UUID, is what a credential spells so. None is nobody."""
    return value is not None and as_storable(text) is not None and str(value) == text


def as_storable(text: str) -> str | None:
    """Return the text if every database can hold it, else None: no row is named so."""
    if not text or "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        return None
    return text


def read_attribute(subject: object, name: str) -> Any:
    """Return an attribute of the object. Raises ConfigError when there is none."""
    value = getattr(subject, name, NOT_GIVEN)
    if value is NOT_GIVEN:
        raise ConfigError(f"A policy asks a {type(subject).__name__} for {name!r}, which it does not have.")
    return value


def is_of_tenants(subject: object) -> bool:
    """Say whether the object says to which tenant it belongs, or that it is there for all of them."""
    if not hasattr(type(subject), "__mapper__"):
        return hasattr(subject, "tenant_id")
    return bool(importlib.import_module("flask_guard.authz.compile_sql").says_tenant(type(subject)))


def find_tenant_id(subject: object) -> object:
    """Return the id of the tenant that the object belongs to, NOT_GIVEN for one that is there for all of them.

    A mapped object has it in its tenant column, any other in `tenant_id`. Raises ConfigError for one without.
    """
    if not hasattr(type(subject), "__mapper__"):
        return read_attribute(subject, "tenant_id")
    key = importlib.import_module("flask_guard.authz.compile_sql").get_tenant_key(type(subject))
    return NOT_GIVEN if key is None else read_attribute(subject, key)
