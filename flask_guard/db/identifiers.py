"""Names in SQL that come from outside: quoted, or better, looked up in what is mapped.

    column = safe_column(Note, "title")     # a column of the model, or 400
    quote_identifier('a"b')                 # '"a""b"'

Relies on SQLAlchemy. Rule: a value is a parameter, always; only names come by here, and what the caller is told is
the same for a name that is not there and for one that may not be asked about.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, MetaData, Table, inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import InstrumentedAttribute, Mapper
from sqlalchemy.orm.util import AliasedInsp
from sqlalchemy.sql.visitors import iterate

from ..errors import ConfigError, InvalidQuery

# PostgreSQL cuts a longer name off without an error (NAMEDATALEN - 1); what fits there fits everywhere.
MAX_IDENTIFIER_BYTES: Final = 63
# Of Column.info: a column whose content must not be found out, not by a filter and not by an order either.
WRITE_ONLY: Final = "guard_write_only"
_QUOTES: Final = {"postgresql": '"', "sqlite": '"', "mysql": "`", "mariadb": "`"}


def quote_identifier(name: str, *, dialect: str = "postgresql") -> str:
    """Return a name as SQL has it in quotes, the quotes inside doubled.

    dialect: `postgresql`, `sqlite`, `mysql` or `mariadb`.
    Raises ValueError for what is no name: not text, empty, above 63 bytes in UTF-8, with a NUL; and for a dialect
    whose quotes are not known here. SQLite reads a quoted name that no column has as text: use `safe_column`
    where there is a model.
    """
    if not isinstance(name, str):
        raise ValueError(f"an identifier must be text, not {type(name).__name__}")
    if not name or "\x00" in name:
        raise ValueError("an identifier must not be empty, nor hold a NUL")
    if len(name.encode("utf-8", "replace")) > MAX_IDENTIFIER_BYTES:
        raise ValueError(f"an identifier must have {MAX_IDENTIFIER_BYTES} bytes at most")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise ValueError("an identifier must be text that UTF-8 can hold")
    quote = _QUOTES.get(dialect)
    if quote is None:
        raise ValueError(f"the dialect must be one of {', '.join(_QUOTES)}, not {dialect!r}")
    return quote + name.replace(quote, quote * 2) + quote


def safe_column(model: Any, name: str) -> InstrumentedAttribute[Any] | Column[Any]:
    """Return the column of a mapped class, an alias of one, or a Table, by its name in Python.

    Raises InvalidQuery (400) for a name that no column has, and for one that is write-only: its `info` says
    `guard_write_only`. Relationships and properties are no columns. Raises ConfigError for what is no model.
    """
    found = _find_columns(model).get(name) if isinstance(name, str) else None
    if found is None:
        raise InvalidQuery(detail=f"{name!r:.100} is no column to ask for")
    return found


def safe_table(known: Any, name: str) -> Table:
    """Return a table by its name, with its schema if it has one (`app.notes`).

    known: a MetaData, or what has one, such as the declarative base. Raises InvalidQuery (400) for another name.
    """
    metadata = known if isinstance(known, MetaData) else getattr(known, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise ConfigError(f"safe_table() takes a MetaData or a declarative base, not {known!r}.")
    found = metadata.tables.get(name) if isinstance(name, str) else None
    if found is None:
        raise InvalidQuery(detail=f"{name!r:.100} is no table to ask for")
    return found


def _find_columns(model: Any) -> dict[str, InstrumentedAttribute[Any] | Column[Any]]:
    """Return the columns that may be asked for, by name."""
    try:
        seen = inspect(model)
    except NoInspectionAvailable as exc:
        raise ConfigError(f"safe_column() takes a mapped class or a Table, not {model!r}.") from exc
    if isinstance(seen, Table):
        return {column.key: column for column in seen.columns if not column.info.get(WRITE_ONLY)}
    if not isinstance(seen, (Mapper, AliasedInsp)):
        raise ConfigError(f"safe_column() takes a mapped class or a Table, not {model!r}.")
    return {
        attribute.key: getattr(model, attribute.key)
        for attribute in seen.mapper.column_attrs
        if not any(_is_write_only(column) for column in attribute.columns)
    }


def _is_write_only(column: Any) -> bool:
    """Say whether a column, or one that a mapped expression is made of, may not be asked about."""
    return any(part.info.get(WRITE_ONLY) for part in iterate(column) if isinstance(part, Column))
