"""The way to the database: opened late, one per process, closed to other users, silent about secrets."""

from __future__ import annotations

import logging
import secrets
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from flask_guard.config.secrets import Secret
from flask_guard.db.engine import Database, is_in_memory, parse_database_url
from flask_guard.errors import ConfigError, StoreUnavailable
from tests.db.races import run_threads


def ask(database: Database, statement: str) -> Any:
    with database.transaction() as connection:
        result = connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u@h/d",
        "postgresql://u@h/d",
        "postgresql+psycopg://u@h/d",
    ],
)
def test_a_postgresql_url_means_psycopg_3(url: str) -> None:
    assert parse_database_url(url).drivername == "postgresql+psycopg"
    assert Database.from_url(Secret(url)).dialect_name == "postgresql"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        pytest.param("{}", "not one that SQLAlchemy can read", id="no URL"),
        pytest.param("postgresql://u:{}@h:port/d", "not one that SQLAlchemy can read", id="bad port"),
        pytest.param("postgresql://u@h:{}/d", "not one that SQLAlchemy can read", id="password for port"),
        pytest.param("postgresql://u:p@{}@h/d", "write it as %40", id="@ in the password"),
        pytest.param("nosuch://u:{}@h/d", "not one that SQLAlchemy can read", id="unknown dialect"),
        pytest.param("mysql://u:{}@h/d", "SQLite or PostgreSQL, not mysql", id="mysql"),
        pytest.param("sqlite+aiosqlite:///{}", "asynchronous driver aiosqlite", id="asynchronous"),
        pytest.param("postgresql+psycopg2://u:{}@h/d", "psycopg2 is not installed", id="driver missing"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_being_quoted(template: str, words: str) -> None:
    password = secrets.token_urlsafe()

    with pytest.raises(ConfigError, match=words) as caught:
        Database.from_url(template.format(password))

    assert password not in "".join(traceback.format_exception(caught.value))


def test_a_missing_psycopg_is_refused_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(ConfigError, match=r"flask-guard-kit\[postgres\]"):
        Database.from_url("postgresql://h/d")


def test_a_foreign_engine_of_another_database_is_refused() -> None:
    engine = create_engine("sqlite://", poolclass=NullPool)
    engine.dialect.name = "mysql"

    with pytest.raises(ConfigError, match="not mysql"):
        Database.from_engine(engine)
    with pytest.raises(StoreUnavailable, match="not mysql"):
        ask(Database.from_callable(lambda: engine), "SELECT 1")


def test_an_owned_sqlite_waits_for_locks_and_enforces_foreign_keys(tmp_path: Path) -> None:
    database = Database.from_file(tmp_path / "guard.db")

    assert ask(database, "PRAGMA busy_timeout") == 5000
    assert database.engine.pool._timeout == 5  # type: ignore[attr-defined]
    assert ask(database, "PRAGMA foreign_keys") == 1
    database.close()


def test_options_in_the_url_win(tmp_path: Path) -> None:
    database = Database.from_url(f"sqlite:///{tmp_path / 'guard.db'}?timeout=2")

    assert ask(database, "PRAGMA busy_timeout") == 2000
    database.close()


def test_the_applications_engine_is_used_as_it_is(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    database = Database.from_engine(engine)

    assert database.engine.pool is engine.pool
    assert not database.is_owned

    before = engine.pool
    database.close()
    assert engine.pool is before
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"])
def test_threads_share_one_database_in_memory(url: str) -> None:
    database = Database.from_url(url)
    ask(database, "CREATE TABLE guard_x (id INTEGER)")

    def insert_many() -> None:
        for _ in range(50):
            ask(database, "INSERT INTO guard_x VALUES (1)")

    assert run_threads([insert_many] * 4) == [None] * 4

    assert is_in_memory(database.engine.url)
    assert database.engine.pool._timeout == 5  # type: ignore[attr-defined]
    assert ask(database, "SELECT count(*) FROM guard_x") == 200
    database.close()


def test_threads_that_come_first_together_get_one_engine(database_url: str) -> None:
    made: list[Engine] = []

    def make() -> Engine:
        made.append(create_engine(database_url, poolclass=NullPool))
        return made[-1]

    database = Database.from_callable(make)
    engines: list[Engine] = []

    run_threads([lambda: engines.append(database.engine)] * 8)

    assert len(made) == 1
    assert len({id(engine) for engine in engines}) == 1


def test_an_engine_that_could_not_be_had_is_asked_for_again() -> None:
    answers: Iterator[Engine] = iter([create_engine("sqlite://", poolclass=NullPool)])
    refusals = iter([RuntimeError("outside of an application context")])

    def get_engine() -> Engine:
        for refusal in refusals:
            raise refusal
        return next(answers)

    database = Database.from_callable(get_engine)

    with pytest.raises(RuntimeError):
        ask(database, "SELECT 1")
    assert ask(database, "SELECT 1") == 1


def test_a_transaction_is_undone_when_its_block_raises(database: Database) -> None:
    ask(database, "CREATE TABLE guard_x (id INTEGER)")

    def insert_then_fail() -> None:
        with database.transaction() as connection:
            connection.execute(text("INSERT INTO guard_x VALUES (1)"))
            raise LookupError

    with pytest.raises(LookupError):
        insert_then_fail()

    assert ask(database, "SELECT count(*) FROM guard_x") == 0


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("SELECT * FROM guard_nowhere", id="missing table"),
        pytest.param("SELECT FROM WHERE", id="syntax"),
    ],
)
def test_a_database_that_does_not_serve_is_unavailable(database: Database, statement: str) -> None:
    with pytest.raises(StoreUnavailable, match="does not answer") as caught:
        ask(database, statement)

    assert caught.value.__cause__ is not None


def test_a_violated_constraint_is_no_unavailable_store(database: Database) -> None:
    ask(database, "CREATE TABLE guard_x (id INTEGER PRIMARY KEY)")
    ask(database, "INSERT INTO guard_x VALUES (1)")

    with pytest.raises(IntegrityError):
        ask(database, "INSERT INTO guard_x VALUES (1)")


def test_a_server_that_is_not_there_is_unavailable_and_its_password_unsaid() -> None:
    password = secrets.token_hex()
    database = Database.from_url(f"postgresql://guard:{password}@127.0.0.1:1/app?application_name={password}")

    with pytest.raises(StoreUnavailable) as caught:
        database.ping()

    said = "".join(traceback.format_exception(caught.value)) + database.describe() + repr(database)
    assert str(caught.value) == ("postgresql+psycopg://guard@127.0.0.1:1/app does not answer (OperationalError)")
    assert password not in said


def test_a_damaged_file_is_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "guard.db"
    file.write_bytes(b"This is no database, it only has the name of one. " * 100)

    with pytest.raises(StoreUnavailable, match="DatabaseError"):
        ask(Database.from_file(file), "SELECT * FROM guard_api_keys")


def test_an_exhausted_pool_is_unavailable(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", pool_size=1, max_overflow=0, pool_timeout=0.05)
    database = Database.from_engine(engine)

    with engine.connect(), pytest.raises(StoreUnavailable, match="TimeoutError"):
        database.ping()
    engine.dispose()


@pytest.mark.parametrize("is_owned", [True, False], ids=["owned", "the application's"])
def test_parameters_are_neither_in_errors_nor_in_the_log(
    database_url: str, is_owned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A digest is a parameter; SQLAlchemy prints parameters in errors and, with `echo`, in the log."""
    caplog.set_level(logging.DEBUG, logger="sqlalchemy.engine")
    secret = secrets.token_hex()
    engine = create_engine(parse_database_url(database_url), echo=True)
    database = Database.from_url(database_url) if is_owned else Database.from_engine(engine)

    with database.transaction() as connection:
        connection.execute(text("SELECT CAST(:secret AS VARCHAR(64))"), {"secret": secret})
    with pytest.raises(StoreUnavailable) as caught, database.transaction() as connection:
        connection.execute(text("SELECT :secret FROM guard_nowhere"), {"secret": secret})

    said = caplog.text + "".join(traceback.format_exception(caught.value))
    assert "SELECT CAST" in caplog.text
    assert "guard_nowhere" in said
    assert secret not in said.replace(repr((secret,)), "the row itself")
    database.close()
    engine.dispose()


def test_before_it_is_opened_the_applications_database_has_no_address() -> None:
    engine = create_engine("sqlite:////srv/app.db", poolclass=NullPool)
    database = Database.from_callable(lambda: engine)
    before = database.describe()

    assert database.engine.url == engine.url
    assert (before, database.describe()) == ("the application's database", "sqlite:////srv/app.db")


def test_the_applications_events_see_guards_statements(tmp_path: Path) -> None:
    """Whoever counts or checks statements on the application's engine misses none."""
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}", poolclass=NullPool)
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: seen.append(args[2]))

    Database.from_engine(engine).ping()

    assert seen == ["SELECT 1"]
