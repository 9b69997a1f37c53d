"""`flask guard init-db`: Guard's own tables, made or brought to a revision.

Uses Alembic when it is installed; without it, it makes the tables of a new database and stamps them, so that
Alembic can go on from there.
"""

from __future__ import annotations

import importlib
from typing import Any

import click
from flask.cli import with_appcontext

from ..errors import ConfigError
from .support import could_not_run, echo_json, find_runtime, format_option, tells_errors


@click.command("init-db")
@click.option("--revision", help="Bring the tables to this revision; without it, to the newest.")
@click.option("--downgrade", "down", metavar="REV", help="Take them back to this one; `base` drops them.")
@click.option("--yes", is_flag=True, help="Go back without being asked.")
@format_option("text", "json")
@with_appcontext
@tells_errors
def init_db(output: str, revision: str | None, down: str | None, yes: bool) -> None:
    """Make or migrate Guard's own tables; those of the application are not touched.

    Going back drops what the tables hold.
    """
    if revision is not None and down is not None:
        raise click.UsageError("--revision and --downgrade exclude each other.")
    database = find_runtime().database
    if database is None:
        could_not_run("no database is known; set GUARD_DATABASE_URL")
    stamp = _migrate(database, revision=revision, down=down, is_sure=yes)
    address = database.describe()
    if output == "json":
        echo_json({"database": address, "revision": stamp})
    else:
        state = f"are at revision {stamp}" if stamp else "are gone"
        click.echo(f"Guard's tables in {address} {state}.")


def _migrate(database: Any, *, revision: str | None, down: str | None, is_sure: bool) -> str | None:
    """Return the revision that the database is at afterwards, None for none."""
    try:
        migrations = importlib.import_module("flask_guard.extras.migrations")
    except ConfigError:
        if revision is not None or down is not None:
            raise
        return _create(database)
    known = [step.id for step in migrations.history()]
    if down is None:
        revision = "head" if revision is None else revision
        _require_known(revision, [*known, "head"])
        stamp = migrations.upgrade(database, revision)
    else:
        _require_known(down, ["base", *known])
        if not is_sure and migrations.current(database) != down:
            _ask(f"This drops what Guard's tables in {database.describe()} hold, such as API keys. Go on?")
        stamp = migrations.downgrade(database, down)
    return None if stamp is None else str(stamp)


def _require_known(revision: str, known: list[str]) -> None:
    if revision not in known:
        could_not_run(f"the revision {revision!r} is unknown; there are {', '.join(known)}.")


def _ask(question: str) -> None:
    try:
        is_sure = click.confirm(question, err=True)
    except click.Abort:  # nobody is there to answer
        click.echo(err=True)
        is_sure = False
    if not is_sure:
        could_not_run("nothing was changed; --yes goes on without asking.")


def _create(database: Any) -> str:
    """Make the tables without Alembic, and be sure that they are as this version needs them."""
    schema = importlib.import_module("flask_guard.db.schema")
    schema.create_schema(database)
    lacking = schema.find_lacking(database)
    if lacking:
        raise ConfigError(f"Alembic is needed to add {', '.join(lacking)}. Install flask-guard-kit[migrations].")
    return str(schema.HEAD_REVISION)
