"""How Guard's own tables come to be where Alembic is not installed, and whether they are all there.

On SQLite they are made on first use; elsewhere an administrator makes them with `flask guard init-db`.
`extras/migrations` does the same with Alembic, under the same lock.
Rule: only tables named in `tables.metadata` and the version table are ever made or written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    inspect,
    select,
    text,
)

from ..errors import StoreUnavailable
from .engine import Database
from .tables import metadata

# The newest revision in `migrations/versions`: what a new database is stamped with, so that later
# revisions apply to it. Written here because Alembic, which could tell, is optional.
HEAD_REVISION = "0002"

VERSION_TABLE = "guard_alembic_version"

# The form that Alembic gives its version table (ddl/impl.py, version_table_impl); a test compares.
version_table = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)

# Any number that other users of the database are unlikely to take; it must never change.
_LOCK_ID = int.from_bytes(hashlib.sha256(b"flask_guard schema").digest()[:8], "big", signed=True)


def ensure_schema(database: Database) -> None:
    """Make sure that Guard's tables are there; on SQLite, make those that are missing.

    Safe with any number of threads and processes at once. Raises StoreUnavailable that names
    `flask guard init-db` when only an administrator can help.
    """
    lacking = find_lacking(database)
    if lacking and database.dialect_name == "sqlite":
        create_schema(database)
        lacking = find_lacking(database)
    if lacking:
        raise StoreUnavailable(f"{database.describe()} lacks {', '.join(lacking)}; run `flask guard init-db`")


def find_lacking(database: Database) -> list[str]:
    """Return what should be there and is not, in words: `the table x`, `the column x.y`."""
    with database.transaction() as connection:
        return _find_lacking(connection)


def create_schema(database: Database) -> None:
    """Make the tables that are missing, all or none; stamp a database that had none with HEAD_REVISION.

    One that had some keeps its stamp: revisions, which are written to pass over what is there, do the rest.
    """
    with schema_transaction(database) as connection:
        is_new = not _guard_tables(connection) and read_revision(connection) is None
        metadata.create_all(connection)
        if is_new:
            version_table.create(connection, checkfirst=True)
            connection.execute(version_table.insert().values(version_num=HEAD_REVISION))


class PreparedDatabase:
    """A database as stores use it: Guard's tables are there when a transaction begins.

    They are looked for before the first transaction, and again after a fault: it may be they that are gone.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_ready = False

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection as `Database.transaction` does. Raises StoreUnavailable, also as `ensure_schema`."""
        try:
            if not self._is_ready:
                ensure_schema(self._database)
                self._is_ready = True
            with self._database.transaction() as connection:
                yield connection
        except StoreUnavailable:
            self._is_ready = False
            raise


@contextmanager
def schema_transaction(database: Database) -> Iterator[Connection]:
    """Yield a connection whose transaction alone may change the schema. Raises StoreUnavailable."""
    engine = database.engine
    if database.dialect_name == "postgresql":
        # What another process did while this one waited must be seen, whatever the engine's own level.
        engine = engine.execution_options(isolation_level="READ COMMITTED")
    with database.faults_as_unavailable(), engine.begin() as connection:
        lock_schema(connection)
        yield connection


def lock_schema(connection: Connection) -> None:
    """Let one process at a time change the schema, until the end of the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
        return
    # An application may have its own "begin" event; then the transaction is there and its first write locks.
    if not getattr(connection.connection.dbapi_connection, "in_transaction", False):
        connection.execute(text("BEGIN IMMEDIATE"))


def read_revision(connection: Connection) -> str | None:
    """Return the revision that the database is stamped with, None without one."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(version_table.c.version_num)).scalar()


def _guard_tables(connection: Connection) -> set[str]:
    return metadata.tables.keys() & set(inspect(connection).get_table_names())


def _find_lacking(connection: Connection) -> list[str]:
    there = _guard_tables(connection)
    inspector = inspect(connection)
    lacking = []
    for name, table in metadata.tables.items():
        if name not in there:
            lacking.append(f"the table {name}")
            continue
        columns = {column["name"] for column in inspector.get_columns(name)}
        lacking += [f"the column {name}.{column.name}" for column in table.columns if column.name not in columns]
    return lacking
