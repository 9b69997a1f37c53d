"""Whether a value is taken: the question of `Unique`, and who answers it.

Schemas know no database. Wiring says where the one of an application is found; a validator may bring its own.
Rule: marshmallow is not imported here, because wiring loads this in every application.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, GuardError, UniqueCheckFailed
from ..protocols import UniqueLookup

if TYPE_CHECKING:
    from marshmallow import fields

_find_lookup: Callable[[], UniqueLookup | None] = lambda: None  # noqa: E731  # replaced where databases are known


def set_lookup_source(find: Callable[[], UniqueLookup | None]) -> None:
    """Say where the look-up of the current application is found; None when it has no database."""
    global _find_lookup
    _find_lookup = find


class Unique:
    """Validator: no other row of the tenant has the value, else 409.

    A look-up before the write, so that the caller is told; two writes at once can both pass it, and the constraint
    of the database, which is answered with the same 409, is what guarantees. Asked once the rest of the body is
    right; not for null. On an update the object that is changed does not count; when `load` was not told which
    that is, nothing is asked.

    column: what the look-up knows, such as `User.email`. ignore_case: "A" and "a" are the same.
    Raises UniqueCheckFailed (500) when the look-up fails or there is none: not knowing is not "free".
    """

    def __init__(self, column: Any, *, ignore_case: bool = False, lookup: UniqueLookup | None = None) -> None:
        if column is None or isinstance(column, str):
            raise ConfigError("Unique() takes a column, such as User.email.")
        self.column = column
        self.ignore_case = ignore_case
        self._lookup = lookup

    def __call__(self, value: Any) -> None:
        """Refuse to be asked of a value alone: it takes the schema to know which row is being changed."""
        raise ConfigError("Unique() belongs to a field of a GuardSchema.")

    def is_taken(self, value: Any, *, existing: Any) -> bool:
        """Tell whether another row than the existing one has the value."""
        lookup = self._lookup or _find_lookup()
        if lookup is None:
            raise UniqueCheckFailed(detail=f"no database is known for Unique({self.column})")
        try:
            return lookup.is_taken(self.column, value, existing=existing, ignore_case=self.ignore_case)
        except GuardError as exc:
            if hasattr(exc, "status"):  # no tenant, no time left: said already
                raise
            raise UniqueCheckFailed(detail=f"{self.column}: {exc}") from exc
        except Exception as exc:  # whatever a driver raises
            # Its text quotes the statement with the value.
            raise UniqueCheckFailed(detail=f"{self.column}: {type(exc).__name__}") from None

    def fold(self, value: Any) -> Any:
        """Return what two values of one body are compared by."""
        return value.casefold() if self.ignore_case and isinstance(value, str) else value


def set_unique_apart(field: Any) -> None:
    """Take the Unique of a field out of the validators, which see a value alone. field: is changed."""
    for one in field.validators:
        if isinstance(one, Unique):
            field.guard_unique = one
            field.validators = [other for other in field.validators if other is not one]
            return


def find_unique(field: fields.Field[Any]) -> Unique | None:
    """Return the Unique of a field of a GuardSchema."""
    unique: Unique | None = getattr(field, "guard_unique", None)
    return unique
