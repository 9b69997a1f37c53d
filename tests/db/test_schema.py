"""How the tables come to be: on SQLite by themselves, elsewhere by an administrator, never twice."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, inspect, text
from sqlalchemy.pool import StaticPool

from flask_guard.db.engine import Database
from flask_guard.db.schema import (
    HEAD_REVISION,
    VERSION_TABLE,
    create_schema,
    ensure_schema,
    find_lacking,
    read_revision,
)
from flask_guard.db.tables import metadata
from flask_guard.errors import StoreUnavailable
from tests.db.races import run_processes, run_threads

EVERYTHING = {*metadata.tables, VERSION_TABLE}


def run(database: Database, *statements: str) -> None:
    with database.transaction() as connection:
        for statement in statements:
            connection.execute(text(statement))


def tables_of(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def revision_of(database: Database) -> str | None:
    with database.transaction() as connection:
        return read_revision(connection)


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    database = Database.from_file(tmp_path / "guard.sqlite3")
    yield database
    database.close()


def test_on_sqlite_the_tables_are_made_on_first_use(sqlite_database: Database) -> None:
    ensure_schema(sqlite_database)

    assert tables_of(sqlite_database) == EVERYTHING
    assert revision_of(sqlite_database) == HEAD_REVISION


def test_on_postgresql_a_missing_table_is_an_error_that_names_the_command(postgres_db: str) -> None:
    database = Database.from_url(postgres_db)

    with pytest.raises(StoreUnavailable, match=r"lacks the table guard_api_keys, .*; run `flask guard init-db`"):
        ensure_schema(database)

    assert tables_of(database) == set()
    database.close()


def test_tables_of_others_are_left_alone(database: Database) -> None:
    run(
        database,
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
        "INSERT INTO alembic_version VALUES ('theirs')",
        "CREATE TABLE guardians (id INTEGER)",
    )

    create_schema(database)

    assert tables_of(database) == {*EVERYTHING, "alembic_version", "guardians"}
    with database.transaction() as connection:
        assert connection.execute(text("SELECT * FROM alembic_version")).all() == [("theirs",)]


def test_making_the_schema_again_changes_nothing(database: Database) -> None:
    create_schema(database)
    run(database, "UPDATE guard_alembic_version SET version_num = 'later'")

    create_schema(database)
    ensure_schema(database)

    assert revision_of(database) == "later"


def test_a_database_that_had_tables_keeps_its_stamp(sqlite_database: Database) -> None:
    """Revisions between the stamp and the newest are still to come; stamping would lose them."""
    create_schema(sqlite_database)
    run(sqlite_database, "UPDATE guard_alembic_version SET version_num = '0000'", "DROP TABLE guard_api_keys")

    ensure_schema(sqlite_database)

    assert find_lacking(sqlite_database) == []
    assert revision_of(sqlite_database) == "0000"


def test_tables_without_a_stamp_are_not_stamped(sqlite_database: Database) -> None:
    metadata.create_all(sqlite_database.engine)

    create_schema(sqlite_database)

    assert revision_of(sqlite_database) is None


def test_a_database_whose_tables_were_taken_back_gets_them_anew(sqlite_database: Database) -> None:
    create_schema(sqlite_database)
    run(sqlite_database, *(f"DROP TABLE {name}" for name in metadata.tables), "DELETE FROM guard_alembic_version")

    ensure_schema(sqlite_database)

    assert revision_of(sqlite_database) == HEAD_REVISION


def test_a_missing_column_is_an_error_that_names_the_command(database: Database) -> None:
    """A database of an older version; only a revision can say how to go on."""
    create_schema(database)
    run(database, "ALTER TABLE guard_api_keys DROP COLUMN description")

    with pytest.raises(StoreUnavailable, match=r"the column guard_api_keys\.description; run `flask guard init"):
        ensure_schema(database)


def test_a_read_only_database_with_all_tables_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "guard.db"
    create_schema(writable := Database.from_file(file))
    writable.close()

    database = Database.from_url(f"sqlite:///file:{file}?mode=ro&uri=true")
    ensure_schema(database)

    assert find_lacking(database) == []
    database.close()


def test_all_tables_are_made_or_none(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_guard.db.schema.HEAD_REVISION", None)  # the stamp, written last, fails

    with pytest.raises(Exception, match="NOT NULL"):
        create_schema(sqlite_database)

    assert tables_of(sqlite_database) == set()


def begin_by_event(engine: object) -> None:
    """The set-up that SQLAlchemy's documentation recommends for SQLite: transactions of one's own."""
    event.listen(engine, "connect", lambda driver, _record: setattr(driver, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))


@pytest.mark.parametrize("style", ["plain", "AUTOCOMMIT", "begin event", "static pool"])
def test_an_applications_engine_may_begin_transactions_its_own_way(tmp_path: Path, style: str) -> None:
    url = f"sqlite:///{tmp_path / 'app.db'}"
    if style == "static pool":
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    elif style == "AUTOCOMMIT":
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
    else:
        engine = create_engine(url)
    if style == "begin event":
        begin_by_event(engine)

    ensure_schema(database := Database.from_engine(engine))

    assert tables_of(database) == EVERYTHING
    assert revision_of(database) == HEAD_REVISION
    engine.dispose()


FIRST_USE = """
import threading
from datetime import UTC, datetime
from flask_guard.db.engine import Database
from flask_guard.db.stores import SqlApiKeyStore
from flask_guard.auth.apikeys import ApiKeys
import time

keys = ApiKeys(SqlApiKeyStore(Database.from_file(sys.argv[1])), clock=time.time)
names = []
failures = []
def use(number):
    try:
        names.append(keys.create(f"{start_number}-{number}")[0].id)
    except Exception as exc:
        failures.append(repr(exc.__cause__ or exc))
import os
start_number = os.getpid()
start()
threads = [threading.Thread(target=use, args=(number,)) for number in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(names), *failures)
"""


def test_eight_processes_that_use_one_file_first_at_once_all_work(tmp_path: Path) -> None:
    file = tmp_path / "instance" / "guard.sqlite3"

    outputs = run_processes(FIRST_USE, str(file), count=8)

    assert outputs == ["3"] * 8
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM guard_api_keys").fetchone() == (24,)
        assert connection.execute("SELECT * FROM guard_alembic_version").fetchall() == [(HEAD_REVISION,)]
    connection.close()


TRY_TO_LOCK = """
import sqlite3
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
start()
try:
    connection.execute("BEGIN IMMEDIATE")
    print("no other lock")
except sqlite3.OperationalError as exc:
    print(exc)
connection.close()
"""


def test_making_the_file_leaves_the_locks_of_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a descriptor of a file drops all the locks that the process has on it."""
    file = tmp_path / "guard.sqlite3"
    database = Database.from_file(file)
    connections = []
    close = os.close

    def close_late(descriptor: int) -> None:
        time.sleep(0.2)
        close(descriptor)

    def lock_when_there() -> None:
        deadline = time.monotonic() + 10
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        connections.append(sqlite3.connect(file, isolation_level=None, check_same_thread=False))
        connections[0].execute("BEGIN IMMEDIATE")

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", close_late)
        assert run_threads([database.ping, lock_when_there]) == [None, None]

    assert run_processes(TRY_TO_LOCK, str(file), count=1) == ["database is locked"]
    connections[0].close()
    database.close()


CREATE = """
from flask_guard.db.engine import Database
from flask_guard.db.schema import create_schema
database = Database.from_url(sys.argv[1])
start()
create_schema(database)
print("ok")
"""


@pytest.mark.parametrize("level", ["", "?options=-cdefault_transaction_isolation%3Dserializable"])
def test_several_administrators_may_make_the_tables_at_once(postgres_db: str, level: str) -> None:
    assert run_processes(CREATE, postgres_db + level, count=3) == ["ok"] * 3

    database = Database.from_url(postgres_db)
    assert tables_of(database) == EVERYTHING
    assert revision_of(database) == HEAD_REVISION
    database.close()


def test_the_password_of_the_database_is_not_in_the_error(postgres_db: str) -> None:
    database = Database.from_url(re.sub(r"//\w+@", "//postgres:hushhush@", postgres_db))

    with pytest.raises(StoreUnavailable) as caught:
        ensure_schema(database)

    assert "hushhush" not in str(caught.value)
    assert "postgres@" in str(caught.value)
    database.close()
