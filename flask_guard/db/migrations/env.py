"""Alembic runs this file; `extras/migrations` hands over the connection, which is in a locked transaction.

Rule: nothing but Guard's own tables is compared, made or dropped, because the database may be shared.
"""

from __future__ import annotations

from typing import Any

from alembic import context

from flask_guard.db.schema import VERSION_TABLE
from flask_guard.db.tables import PREFIX, metadata


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Pass over the tables of others, before they are even read."""
    return kind != "table" or (name or "").startswith(PREFIX)


def include_object(item: Any, name: str | None, kind: str, _is_reflected: bool, _counterpart: Any) -> bool:
    """Pass over whatever belongs to a table of others."""
    table = name if kind == "table" else item.table.name
    return (table or "").startswith(PREFIX)


connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("run these revisions with `flask guard init-db`: they need its lock")

context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=include_name,
    include_object=include_object,
)
with context.begin_transaction():
    context.run_migrations()
