"""Alembic's batches on SQLite: a table is copied, dropped, and the copy takes its name.

They lose rows in two ways that nobody would notice: a connection that sees one tenant copies the rows of one tenant,
and DROP TABLE deletes the rows of the old table first, and with them, while references are enforced, what refers to
them by ON DELETE CASCADE. Both are refused here.
Sources: alembic/operations/batch.py; sqlite.org/lang_droptable.html.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.ddl import DropTable

from .faults import TenancyFault
from .rules import list_protected

_COPY = "_alembic_tmp_"
_MOST_NAME = 50  # Alembic cuts the name of a copy off.
_REFERRING = """
SELECT there.name FROM sqlite_master AS there, pragma_foreign_key_list(there.name) AS key
WHERE key."table" = :name COLLATE NOCASE AND there.name <> :name AND there.name <> :copy
AND key.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
AND EXISTS (SELECT 1 FROM sqlite_master WHERE name = :copy)
AND EXISTS (SELECT 1 FROM pragma_foreign_keys WHERE foreign_keys = 1)
"""


def is_copy_of_protected(name: str) -> bool:
    """Say whether this is the name of the copy that a batch makes of a protected table."""
    return name.startswith(_COPY) and name in [_name_copy(table.name) for table in list_protected()]


def require_no_cascade(statement: Any, connection: Connection) -> None:
    """Refuse to drop the old table of a batch while other tables would lose what refers to it."""
    if not isinstance(statement, DropTable):
        return
    name = str(statement.element.name)
    cursor = connection.connection.cursor()
    try:
        cursor.execute(_REFERRING, {"name": name, "copy": _name_copy(name)})
        found = cursor.fetchone()
    finally:
        cursor.close()
    if found is not None:
        raise TenancyFault(
            f"To drop the table {name!r} would change the rows of {found[0]!r} that refer to it: "
            "run PRAGMA foreign_keys = OFF before the transaction of the migration begins."
        )


def _name_copy(name: str) -> str:
    return (_COPY + name)[:_MOST_NAME]
