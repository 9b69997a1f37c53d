"""Guards the process: one call, made by whatever declares the first table of tenants."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, event
from sqlalchemy.orm import Mapper
from sqlalchemy.pool import Pool

from ..errors import ConfigError
from . import engines
from .flush import install_flush
from .references import install_references
from .rls import context as rls_context
from .rules import list_protected
from .sessions import install_sessions


def guard_process() -> None:
    """Guard every Engine, Connection and Session of this process from now on. May be called again."""
    engines.install()
    install_references()
    install_sessions()
    install_flush()
    rls_context.install()
    if not event.contains(Pool, "connect", _enforce_foreign_keys):
        event.listen(Pool, "connect", _enforce_foreign_keys)
        event.listen(Pool, "checkin", _end_transaction)
        event.listen(Mapper, "instrument_class", _on_class)


def _enforce_foreign_keys(connection: Any, _record: object) -> None:
    """Have SQLite enforce references, which it does for a connection that asks for it (sqlite.org/foreignkeys.html)."""
    if "sqlite" in type(connection).__module__ and list_protected():
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()


def _end_transaction(connection: Any, _record: object) -> None:
    """End a transaction whose COMMIT SQLite has refused: a key that is checked at its end refers to nothing.

    SQLite leaves it open, SQLAlchemy takes it for over, and whoever gets the connection next would commit it.
    """
    if connection is not None and getattr(connection, "in_transaction", False) is True:
        connection.rollback()


def _on_class(mapper: Mapper[Any], class_: type) -> None:
    roles = getattr(class_, "__owner_bypass_roles__", None)
    if roles is None or not isinstance(mapper.local_table, Table):
        return
    if isinstance(roles, str) or not all(isinstance(role, str) and role for role in roles):
        raise ConfigError(f"{class_.__name__}.__owner_bypass_roles__ takes several names of roles.")
    mapper.local_table.info["guard_bypass_roles"] = frozenset(roles)
