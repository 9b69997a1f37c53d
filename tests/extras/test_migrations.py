"""Revisions of Guard's tables: they make what `create_all` makes, touch nothing else, and may race."""

from __future__ import annotations

import importlib
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.ddl.impl import DefaultImpl
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.schema import CreateTable

from flask_guard.db import schema, tables
from flask_guard.db.engine import Database
from flask_guard.errors import ConfigError, StoreUnavailable
from flask_guard.extras import migrations
from tests.db.races import run_processes

GUARDS = {"guard_api_keys", "guard_csp_reports", "guard_alembic_version"}
APPLICATION = (
    "CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT)",
    "CREATE TABLE guardian (id INTEGER)",
    "CREATE TABLE alembic_version (version_num VARCHAR(32))",
    "INSERT INTO note VALUES (1, 'mine')",
    "INSERT INTO alembic_version VALUES ('0001')",
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database.from_url(database_url)
    yield database
    database.close()


def run(database: Database, *statements: str) -> None:
    with database.transaction() as connection:
        for statement in statements:
            connection.execute(text(statement))


def tables_of(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def describe_schema(connection: Connection) -> list[str]:
    """Return what the database itself says of Guard's tables: DDL, or columns, indexes and constraints."""
    if connection.dialect.name == "sqlite":
        query = "SELECT sql FROM sqlite_master WHERE tbl_name LIKE 'guard%' AND sql IS NOT NULL"
    else:
        query = """
            SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'guard%'
            UNION ALL SELECT table_name || '.' || column_name || ' ' || data_type || ' '
                || coalesce(character_maximum_length, 0) || ' ' || is_nullable || ' ' || ordinal_position
                FROM information_schema.columns WHERE table_name LIKE 'guard%'
            UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid)
                FROM pg_constraint WHERE conname LIKE 'guard%'"""
    return sorted(" ".join(str(line).split()) for line in connection.execute(text(query)).scalars())


def test_the_newest_revision_is_what_new_databases_are_stamped_with() -> None:
    assert migrations.history()[-1].id == schema.HEAD_REVISION


def test_history_is_one_line_from_the_first_revision() -> None:
    history = migrations.history()

    assert history[0] == migrations.Revision("0001", None, "Keep API keys.")
    assert [step.down for step in history] == [None, *(step.id for step in history[:-1])]


def test_a_revision_makes_what_create_all_makes(database: Database) -> None:
    migrations.upgrade(database)
    with database.transaction() as connection:
        by_revision = describe_schema(connection)
    migrations.downgrade(database, "base")
    run(database, "DROP TABLE guard_alembic_version")
    schema.create_schema(database)
    with database.transaction() as connection:
        by_create_all = describe_schema(connection)

    assert len(by_revision) >= 4
    assert by_revision == by_create_all


@pytest.mark.parametrize("way", ["revision", "create_all"])
def test_alembic_finds_no_difference_to_the_tables(database: Database, way: str) -> None:
    """An index on an expression is skipped on SQLite with a warning; its SQL is compared above."""
    migrations.upgrade(database) if way == "revision" else schema.create_schema(database)

    with database.engine.connect() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*expression-based index", category=Warning)
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, tables.metadata)

    if database.dialect_name == "sqlite":
        skipped = {"guard_api_keys_live_name"}
        differences = [found for found in differences if getattr(found[1], "name", "") not in skipped]
    assert differences == []


def test_the_version_table_has_alembics_form() -> None:
    alembics = DefaultImpl.version_table_impl(
        None,  # type: ignore[arg-type]
        version_table=schema.VERSION_TABLE,
        version_table_schema=None,
        version_table_pk=True,
    )

    assert str(CreateTable(schema.version_table)) == str(CreateTable(alembics))


def test_up_down_and_up_again_leaves_the_applications_tables_alone(database: Database) -> None:
    run(database, *APPLICATION)
    others = tables_of(database)
    steps = [
        (migrations.upgrade, "head"),
        (migrations.downgrade, "0001"),
        (migrations.downgrade, "base"),
        (migrations.upgrade, "0001"),
    ]
    seen = []

    for step, revision in [*steps, (migrations.upgrade, "head")]:
        stamp = step(database, revision)
        there = tables_of(database)
        seen.append((stamp, "guard_api_keys" in there, "guard_csp_reports" in there))
        assert migrations.current(database) == stamp
        assert tables_of(database) - GUARDS == others
        with database.transaction() as connection:
            assert connection.execute(text("SELECT * FROM note")).all() == [(1, "mine")]
            assert connection.execute(text("SELECT * FROM alembic_version")).all() == [("0001",)]

    assert seen == [
        ("0002", True, True),
        ("0001", True, False),
        (None, False, False),
        ("0001", True, False),
        ("0002", True, True),
    ]


def test_a_database_made_without_alembic_is_at_the_newest_revision(database: Database) -> None:
    schema.create_schema(database)

    assert migrations.current(database) == schema.HEAD_REVISION
    assert migrations.upgrade(database) == schema.HEAD_REVISION


def test_revisions_pass_over_what_is_there_already(database: Database) -> None:
    """On SQLite a newer version makes missing tables by itself, before anybody runs the revisions."""
    tables.metadata.create_all(database.engine)

    assert migrations.upgrade(database) == schema.HEAD_REVISION
    assert schema.find_lacking(database) == []


def test_autogenerate_proposes_nothing_for_tables_of_others(database: Database, tmp_path: Path) -> None:
    """Guard's environment, run on a shared database, must not propose to drop the application's tables."""
    run(database, *APPLICATION)
    migrations.upgrade(database)
    scripts = tmp_path / "scripts 100%"
    shutil.copytree(migrations.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))

    with database.engine.begin() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*expression-based index", category=Warning)
        config.attributes["connection"] = connection
        script = command.revision(config, "nothing", autogenerate=True, rev_id="9999")

    assert script is not None
    assert not isinstance(script, list)
    source = Path(script.path).read_text()
    compile(source, script.path, "exec")
    assert "drop_table" not in source
    assert "guardian" not in source
    assert f'down_revision = "{schema.HEAD_REVISION}"' in source.replace("'", '"')


def test_the_package_may_lie_in_a_folder_with_a_percent_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alembic's configuration would take it for an interpolation."""
    scripts = tmp_path / "100% %(here)s"
    shutil.copytree(migrations.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrations, "SCRIPTS", scripts)

    assert migrations.history()[0].id == "0001"


@pytest.mark.parametrize("began", [True, False], ids=["in the caller's transaction", "in one of its own"])
def test_a_connection_may_be_given(database: Database, began: bool) -> None:
    with database.engine.connect() as connection:
        if began:
            connection.begin()

        assert migrations.upgrade(connection) == schema.HEAD_REVISION
        assert migrations.current(connection) == schema.HEAD_REVISION

        connection.rollback()
    assert ("guard_api_keys" in tables_of(database)) is not began


@pytest.mark.parametrize("call", [migrations.upgrade, migrations.downgrade], ids=["upgrade", "downgrade"])
def test_a_revision_that_nobody_knows_is_refused_and_nothing_is_done(database: Database, call: object) -> None:
    with pytest.raises(migrations.MigrationRefused, match="'nope'; a database that is stamped with it was made"):
        call(database, "nope")  # type: ignore[operator]

    assert tables_of(database) == set()


def test_a_database_of_a_newer_version_is_not_changed(database: Database) -> None:
    migrations.upgrade(database)
    run(database, "UPDATE guard_alembic_version SET version_num = '9999'")

    with pytest.raises(migrations.MigrationRefused, match="made by a newer flask-guard-kit"):
        migrations.upgrade(database)

    assert migrations.current(database) == "9999"


def test_a_revision_that_fails_halfway_leaves_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_connection: Connection) -> str:
        raise LookupError("after the revisions, before the commit")

    monkeypatch.setattr(migrations, "read_revision", fail)

    with pytest.raises(LookupError):
        migrations.upgrade(database)

    assert tables_of(database) == set()


def test_a_database_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        migrations.upgrade(Database.from_url("postgresql://u@127.0.0.1:1/d"))


UPGRADE = """
from flask_guard.db.engine import Database
from flask_guard.extras import migrations
database = Database.from_url(sys.argv[1])
start()
print(migrations.upgrade(database))
"""


@pytest.mark.parametrize("options", ["", "?options=-cdefault_transaction_isolation%3Dserializable"])
def test_concurrent_upgrades_of_postgresql_are_safe(postgres_db: str, options: str) -> None:
    assert run_processes(UPGRADE, postgres_db + options, count=3) == [schema.HEAD_REVISION] * 3


def test_concurrent_upgrades_of_sqlite_are_safe(tmp_path: Path) -> None:
    assert run_processes(UPGRADE, f"sqlite:///{tmp_path / 'x.db'}", count=3) == [schema.HEAD_REVISION] * 3


def test_without_alembic_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "flask_guard.extras.migrations")
    monkeypatch.setitem(sys.modules, "alembic", None)

    with pytest.raises(ConfigError, match=r"Install flask-guard-kit\[migrations\]"):
        importlib.import_module("flask_guard.extras.migrations")


def test_the_revisions_cannot_be_run_past_the_lock(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.SCRIPTS))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{tmp_path / 'x.db'}")

    with pytest.raises(RuntimeError, match="flask guard init-db"):
        command.upgrade(config, "head")


def test_an_applications_engine_that_commits_by_itself_is_held_to_one_transaction(
    postgres_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(postgres_db, isolation_level="AUTOCOMMIT")

    def fail(_connection: Connection) -> str:
        raise LookupError

    monkeypatch.setattr(migrations, "read_revision", fail)

    with pytest.raises(LookupError):
        migrations.upgrade(Database.from_engine(engine))

    assert inspect(engine).get_table_names() == []
    engine.dispose()
