"""Revisions of Guard's own tables: the only place that runs Alembic.

The revisions are in `db/migrations`, their stamp in the table `guard_alembic_version`, so an application's
own Alembic set-up in the same database is not disturbed.
Rule: each call is one transaction under the lock of `db.schema`, so several deployments may call at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlalchemy import Connection

from ..db.engine import Database
from ..db.schema import lock_schema, read_revision, schema_transaction
from ..errors import ConfigError, GuardError

try:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
except ModuleNotFoundError as exc:
    raise ConfigError("Alembic is not installed. Install flask-guard-kit[migrations].") from exc

SCRIPTS = Path(__file__).parent.parent / "db" / "migrations"


class MigrationRefused(GuardError):
    """There is no way from the database's revision to the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema. down: the revision before it, None for the first."""

    id: str
    down: str | None
    message: str


def upgrade(target: Database | Connection, revision: str = "head") -> str | None:
    """Bring Guard's tables to a revision and return what the database is stamped with then.

    target: a Database, or a Connection, whose transaction is the caller's if it has begun one.
    Raises StoreUnavailable, or MigrationRefused for a revision that is unknown here.
    """
    with _locked_connection(target) as connection, _command_faults():
        command.upgrade(_make_config(connection), revision)
        return read_revision(connection)


def downgrade(target: Database | Connection, revision: str) -> str | None:
    """Take Guard's tables back to a revision; `base` drops them all. What they held is lost.

    As `upgrade` otherwise.
    """
    with _locked_connection(target) as connection, _command_faults():
        command.downgrade(_make_config(connection), revision)
        return read_revision(connection)


def current(target: Database | Connection) -> str | None:
    """Return the revision that the database is stamped with, None without one."""
    if isinstance(target, Connection):
        return read_revision(target)
    with target.transaction() as connection:
        return read_revision(connection)


def history() -> list[Revision]:
    """Return every revision, oldest first."""
    scripts = ScriptDirectory.from_config(_make_config()).walk_revisions()
    # One line without merges, so that `down_revision` is never a list.
    steps = [Revision(script.revision, cast("str | None", script.down_revision), script.doc) for script in scripts]
    return steps[::-1]


@contextmanager
def _locked_connection(target: Database | Connection) -> Iterator[Connection]:
    if not isinstance(target, Connection):
        with schema_transaction(target) as connection:
            yield connection
    elif target.in_transaction():
        lock_schema(target)
        yield target
    else:
        with target.begin():
            lock_schema(target)
            yield target


@contextmanager
def _command_faults() -> Iterator[None]:
    try:
        yield
    except CommandError as exc:
        text = str(exc).rstrip(".")
        hint = "a database that is stamped with it was made by a newer flask-guard-kit"
        raise MigrationRefused(f"{text}; {hint}") from exc


def _make_config(connection: Connection | None = None) -> Config:
    config = Config()
    # The configuration interpolates %, which a path may hold.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
