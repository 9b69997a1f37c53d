"""What SQL stores do beyond their contract: their tables, their faults, and what these say."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from flask_guard.auth.apikeys import ApiKeys
from flask_guard.db.engine import Database
from flask_guard.db.schema import create_schema
from flask_guard.db.stores import SqlApiKeyStore
from flask_guard.errors import Conflict, StoreUnavailable
from tests.db.races import run_processes


@pytest.fixture
def store(database: Database) -> SqlApiKeyStore:
    create_schema(database)
    return SqlApiKeyStore(database)


def run(database: Database, statement: str, **parameters: Any) -> None:
    with database.transaction() as connection:
        connection.execute(text(statement), parameters)


def test_on_postgresql_the_store_works_as_soon_as_the_tables_are_there(postgres_db: str) -> None:
    database = Database.from_url(postgres_db)
    store = SqlApiKeyStore(database)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="flask guard init-db"):
            store.list_keys()

    create_schema(database)

    assert store.list_keys() == []
    database.close()


def test_tables_that_vanish_are_made_again_on_sqlite(tmp_path: Path) -> None:
    database = Database.from_file(tmp_path / "guard.db")
    store = SqlApiKeyStore(database)
    store.list_keys()
    run(database, "DROP TABLE guard_api_keys")

    with pytest.raises(StoreUnavailable):
        store.list_keys()
    assert store.list_keys() == []
    database.close()


def test_once_the_tables_are_there_a_look_up_is_one_statement(store: SqlApiKeyStore, database: Database) -> None:
    store.find_by_digest("0" * 64)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    store.find_by_digest("1" * 64)

    assert len(statements) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param("scopes", '"admin"', id="text, which is no list of letters"),
        pytest.param("scopes", '{"admin": 1}', id="object"),
        pytest.param("scopes", "admin", id="no JSON"),
        pytest.param("scopes", "", id="empty"),
        pytest.param("scopes", "[1]", id="list of numbers"),
        pytest.param("scopes", '["notes:read", null]', id="list with null"),
        pytest.param("roles", '[["admin"]]', id="nested list"),
        pytest.param("roles", '[""]', id="empty role"),
        pytest.param("kind", "admin", id="unknown kind"),
    ],
)
def test_a_row_that_was_tampered_with_is_refused_not_interpreted(
    store: SqlApiKeyStore, database: Database, column: str, value: str
) -> None:
    record, _key = ApiKeys(store, clock=time.time).create("ci", scopes=["notes:read"])
    run(database, f"UPDATE guard_api_keys SET {column} = :value", value=value)  # noqa: S608

    with pytest.raises(StoreUnavailable, match=f"'{record.id}' is damaged") as caught:
        store.find_by_digest(record.digest)

    assert record.digest not in repr(caught.value)


def test_a_digest_is_in_no_error_and_no_log_line(
    database_url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor is the key. With the application's engine echoing its statements, which Guard's are among."""
    caplog.set_level(logging.INFO)
    engine = create_engine(Database.from_url(database_url).engine.url, echo=True)
    database = Database.from_engine(engine)
    create_schema(database)
    store = SqlApiKeyStore(database)
    keys = ApiKeys(store, clock=time.time)
    record, key = keys.create("ci", scopes=["notes:read"])
    errors: list[BaseException] = []

    for take_name in (lambda: store.add(record), lambda: keys.create("ci")):
        with pytest.raises(Conflict) as conflict:
            take_name()
        errors.append(conflict.value)
    store.find_by_digest(record.digest)
    store.touch(record.id, datetime.now(UTC), not_after=datetime.now(UTC))
    keys.revoke(record.id)
    run(database, "DROP TABLE guard_api_keys")
    for call in (lambda: store.find_by_digest(record.digest), lambda: store.add(record)):
        run(database, "CREATE TABLE IF NOT EXISTS guard_api_keys (id INTEGER)")
        with pytest.raises(StoreUnavailable) as unavailable:
            call()
        errors.append(unavailable.value)

    said = caplog.text + "".join(capfd.readouterr()) + repr(record)
    said += "".join(line for error in errors for line in traceback.format_exception(error))
    assert "SELECT guard_api_keys.id" in said
    assert record.digest not in said
    assert key not in said
    assert key.split("_")[2] not in said
    engine.dispose()


def test_what_the_driver_says_of_a_taken_name_is_not_passed_on(store: SqlApiKeyStore) -> None:
    """PostgreSQL quotes the row."""
    keys = ApiKeys(store, clock=time.time)
    keys.create("ci", tenant="acme")

    with pytest.raises(Conflict) as caught:
        keys.create("ci", tenant="acme")

    assert caught.value.text == "A live key of this name exists."
    assert caught.value.detail == "tenant 'acme' has a live key named 'ci' already"
    assert caught.value.__cause__ is caught.value.__context__ is None


TAKE_NAME = """
import time
from flask_guard.auth.apikeys import ApiKeys
from flask_guard.db.engine import Database
from flask_guard.db.stores import SqlApiKeyStore
from flask_guard.errors import Conflict

keys = ApiKeys(SqlApiKeyStore(Database.from_url(sys.argv[1])), clock=time.time)
keys.list_keys()
start()
outcome = ""
for number in range(20):
    try:
        keys.create(f"key {number}")
        outcome += "1"
    except Conflict:
        outcome += "0"
print(outcome)
"""


def test_of_processes_that_take_a_name_at_once_one_wins(store: SqlApiKeyStore, database_url: str) -> None:
    outcomes = run_processes(TAKE_NAME, database_url, count=3)

    winners = [sum(int(outcome[number]) for outcome in outcomes) for number in range(20)]
    assert winners == [1] * 20
    assert len(store.list_keys()) == 20


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Database]:
    """A SQLite file that another connection has locked for writing, waiting 0.1 s at most."""
    url = f"sqlite:///{tmp_path / 'guard.db'}?timeout=0.1"
    create_schema(database := Database.from_url(url))
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield database
    engine.dispose()
    database.close()


def test_a_locked_sqlite_answers_reads_and_is_unavailable_for_writes(locked: Database) -> None:
    store = SqlApiKeyStore(locked)

    assert store.find_by_digest("0" * 64) is None
    with pytest.raises(StoreUnavailable):
        ApiKeys(store, clock=time.time).create("ci")
