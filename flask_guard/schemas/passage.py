"""For whom a body is loaded or an object dumped, as far down as the nesting goes.

marshmallow hands nothing on to nested schemas but `partial`; this is what the others need to know. It lasts for
one call of `load` or `dump` and is found in a ContextVar, as marshmallow's own documentation advises.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..tenancy.scope import find_identity
from ..values import Principal


class Loading:
    """One call of `load`, from the schema that was called down to the last nested one.

    root: that schema. unknown: marshmallow's word for what becomes of unknown members.
    is_update: there is an object already. existing: that object, None when it is not known.
    removed: the fields of which a forbidden value was removed.
    """

    __slots__ = ("_principal", "existing", "is_update", "removed", "root", "unknown")

    def __init__(self, root: Any, *, unknown: str, is_update: bool, existing: Any) -> None:
        self.root = root
        self.unknown = unknown
        self.is_update = is_update
        self.existing = existing
        self.removed: set[Any] = set()
        self._principal: Principal | None = None

    @property
    def principal(self) -> Principal:
        """Who sent the body; found once, when something asks."""
        if self._principal is None:
            self._principal = find_identity().principal
        return self._principal

    def existing_for(self, schema: Any) -> Any:
        """Return the object that a schema's part of the body changes; None when that is not known."""
        return self.existing if schema is self.root else None

    @contextmanager
    def treating_unknown(self, unknown: str) -> Iterator[None]:
        """Have members that nobody knows treated otherwise further down."""
        outer, self.unknown = self.unknown, unknown
        try:
            yield
        finally:
            self.unknown = outer


class Dumping:
    """One call of `dump`. faulty: the fields whose predicate failed and was logged.

    principal: who will read it; None until something asks `find_principal`, because most dumps never do.
    """

    __slots__ = ("faulty", "principal")

    def __init__(self) -> None:
        self.principal: Principal | None = None
        self.faulty: set[str] = set()

    def find_principal(self) -> Principal:
        """Return who will read what is dumped."""
        self.principal = self.principal or find_identity().principal
        return self.principal


loading: ContextVar[Loading | None] = ContextVar("flask_guard_loading", default=None)
dumping: ContextVar[Dumping | None] = ContextVar("flask_guard_dumping", default=None)


def holds_role(roles: frozenset[str]) -> bool:
    """Tell whether who sent the body that is being loaded holds one of these roles."""
    passage = loading.get()
    principal = find_identity().principal if passage is None else passage.principal
    return not roles.isdisjoint(principal.roles)
