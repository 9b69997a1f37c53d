"""What the tests of schemas share: principals, bodies and what comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from marshmallow import ValidationError

from flask_guard import Principal, tenant_scope


@contextmanager
def acting_as(*roles: str, id: str = "u1") -> Iterator[Principal]:
    """Be a principal of the tenant acme with these roles."""
    principal = Principal(id, roles=frozenset(roles))
    with tenant_scope("acme", principal=principal):
        yield principal


def faults_of(schema: Any, body: Any, **options: Any) -> Any:
    """Return the messages of a body that is refused."""
    with pytest.raises(ValidationError) as caught:
        schema.load(body, **options)
    return caught.value.messages


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text and name in a value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from texts_in(inner)
    elif isinstance(value, (list, tuple, set)):
        for inner in value:
            yield from texts_in(inner)
    else:
        yield str(value)
