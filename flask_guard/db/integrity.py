"""What the caller is told when the database refuses a row: 409 or 422, never the statement or the values."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError

from ..errors import Conflict, Refusal, ValidationFailed

__all__ = ["IntegrityError", "as_refusal"]

# SQLSTATE class 23 (PostgreSQL, Appendix A) and SQLite's extended result codes.
_INVALID = frozenset(
    {"23502", "23514", "SQLITE_CONSTRAINT_NOTNULL", "SQLITE_CONSTRAINT_CHECK", "SQLITE_CONSTRAINT_DATATYPE"}
)


def as_refusal(error: IntegrityError) -> Refusal:
    """Return 422 for a missing or impossible value, 409 for a row that clashes with another or lacks its parent."""
    cause = error.orig
    kind = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    refusal = ValidationFailed if kind in _INVALID else Conflict
    return refusal(detail=f"integrity error {kind}: {type(cause).__name__}")
