"""A statement that takes too long ends, its caller gets 504, and the connection serves the next one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from flask_guard import ConfigError, Guard
from flask_guard.db.engine import Database
from flask_guard.db.timeouts import mysql_limit, query_timeout
from flask_guard.errors import QueryTimeout, StoreUnavailable
from flask_guard.tenancy.time_limits import find_time_limit_s, note_timeout, timeout_settings

# Endless in SQLite; PostgreSQL counts to a number that it does not reach in time.
SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n",
    "postgresql": "SELECT sum(i) FROM generate_series(1, 10000000000) AS i",
}
LIMIT_S = 0.2
SOON_S = 5.0  # for a busy machine; without a limit none of the statements ends in that time


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine with one connection, which everybody gets in turn."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=2)
    yield engine
    engine.dispose()


def take_long(connection: Connection | Session, engine: Engine) -> Any:
    return connection.execute(text(SLOW[engine.dialect.name])).all()


def assert_usable(engine: Engine) -> None:
    with engine.begin() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_a_statement_that_takes_too_long_ends_and_the_connection_serves_again(engine: Engine) -> None:
    started = time.monotonic()

    with query_timeout(LIMIT_S), engine.connect() as connection, pytest.raises(QueryTimeout):
        take_long(connection, engine)

    assert time.monotonic() - started < SOON_S
    assert_usable(engine)


def test_a_session_raises_the_same_error_and_goes_on_after_its_rollback(engine: Engine) -> None:
    with query_timeout(LIMIT_S), Session(engine) as session:
        with pytest.raises(QueryTimeout):
            take_long(session, engine)
        session.rollback()

        assert session.scalar(text("SELECT 1")) == 1


def test_what_was_written_before_is_rolled_back(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE note (id integer PRIMARY KEY)"))

    def write_slowly() -> None:
        with query_timeout(LIMIT_S), engine.begin() as connection:
            connection.execute(text("INSERT INTO note VALUES (1)"))
            take_long(connection, engine)

    with pytest.raises(QueryTimeout):
        write_slowly()

    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM note")).scalar() == 0


def test_a_limit_that_begins_in_the_middle_of_a_transaction_counts(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))

        with query_timeout(LIMIT_S), pytest.raises(QueryTimeout):
            take_long(connection, engine)


def test_the_limit_ends_with_its_block_also_inside_a_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        with query_timeout(LIMIT_S):
            connection.execute(text("SELECT 1"))
        longer = {
            "sqlite": SLOW["sqlite"].replace("FROM n)", "FROM n WHERE i < 3000000)"),
            "postgresql": "SELECT pg_sleep(0.4)",
        }

        assert len(connection.execute(text(longer[engine.dialect.name])).all()) == 1


def test_the_limit_of_postgresql_is_local_to_the_transaction(postgres_db: str) -> None:
    engine = create_engine(postgres_db, poolclass=QueuePool, pool_size=1, max_overflow=0)

    with engine.connect() as connection:
        with query_timeout("2s"):
            inside = connection.execute(text("SHOW statement_timeout")).scalar()
            with query_timeout(0):
                lifted = connection.execute(text("SHOW statement_timeout")).scalar()
            again = connection.execute(text("SHOW statement_timeout")).scalar()
        connection.commit()
        after_commit = connection.execute(text("SHOW statement_timeout")).scalar()
    raw = engine.raw_connection()
    after_return = raw.cursor().execute("SHOW statement_timeout").fetchone()  # type: ignore[attr-defined]
    raw.close()
    engine.dispose()

    assert (inside, lifted, again, after_commit, after_return) == ("2s", "0", "2s", "0", ("0",))


def test_a_savepoint_that_is_rolled_back_does_not_take_the_limit_with_it(postgres_db: str) -> None:
    engine = create_engine(postgres_db)

    with engine.connect() as connection, query_timeout("4s"):
        connection.execute(text("SELECT 1"))
        savepoint = connection.begin_nested()
        with query_timeout("2s"):
            connection.execute(text("SELECT 1"))
            savepoint.rollback()
            inner = connection.execute(text("SHOW statement_timeout")).scalar()
        outer = connection.execute(text("SHOW statement_timeout")).scalar()
    engine.dispose()

    assert (inner, outer) == ("2s", "4s")


def test_a_savepoint_is_rolled_back_after_an_error_whatever_the_limit_is_by_then(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        savepoint = connection.begin_nested()
        with pytest.raises(SQLAlchemyError):
            connection.execute(text("SELECT * FROM nothing_of_this_name"))
        with query_timeout("2s"):
            savepoint.rollback()

        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_whoever_sends_the_settings_himself_is_not_sent_them_again(postgres_db: str) -> None:
    engine = create_engine(postgres_db)

    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        with query_timeout("2s"):
            settings = timeout_settings()
            note_timeout(connection.info)
            shown = connection.execute(text("SHOW statement_timeout")).scalar()
    engine.dispose()

    assert (settings, shown) == ({"statement_timeout": "2000"}, "0")
    assert timeout_settings() == {}


def test_a_statement_that_ends_in_time_is_not_disturbed(engine: Engine) -> None:
    with query_timeout("5s"), engine.begin() as connection:
        rows = connection.execute(
            text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99) SELECT i FROM n")
        ).all()

    assert len(rows) == 99


def test_other_errors_stay_what_they_are(engine: Engine) -> None:
    with query_timeout("5s"), engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(text("SELECT * FROM nothing_of_this_name"))

    assert not isinstance(caught.value, QueryTimeout)


def test_guards_own_database_does_not_serve_when_it_takes_too_long(database_url: str) -> None:
    database = Database.from_url(database_url)

    with query_timeout(LIMIT_S), pytest.raises(StoreUnavailable), database.transaction() as connection:
        take_long(connection, database.engine)
    database.ping()
    database.close()


@pytest.mark.parametrize("limit", ["soon", -1, True, None, "2 parsecs"], ids=repr)
def test_what_is_no_duration_is_refused(limit: Any) -> None:
    with pytest.raises(ConfigError, match="query_timeout"):
        query_timeout(limit)


def test_blocks_nest_and_threads_may_share_one() -> None:
    shared = query_timeout("3s")
    seen: list[float] = []

    def use() -> None:
        with shared:
            seen.append(find_time_limit_s())
        seen.append(find_time_limit_s())

    with shared, query_timeout(1), shared:
        threads = [threading.Thread(target=use) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert find_time_limit_s() == 3.0
    assert sorted(seen) == [0.0, 0.0, 3.0, 3.0]
    assert find_time_limit_s() == 0.0


def test_a_decorated_function_has_the_limit_and_so_has_an_asynchronous_one() -> None:
    @query_timeout("2s")
    def view() -> float:
        return find_time_limit_s()

    @query_timeout("2s")
    async def later() -> float:
        return find_time_limit_s()

    assert (view(), asyncio.run(later())) == (2.0, 2.0)
    assert view.__name__ == "view"


def _yield() -> Iterator[str]:
    yield ""


@pytest.mark.parametrize("target", [_yield, Flask, "view"], ids=["generator", "class", "text"])
def test_what_is_no_view_function_cannot_be_decorated(target: Any) -> None:
    with pytest.raises(ConfigError, match="decorates a function"):
        query_timeout("2s")(target)


@pytest.mark.parametrize(
    ("limit_s", "is_mariadb", "statement"),
    [
        (2.0, False, "SET SESSION max_execution_time = 2000"),
        (0.0, False, "SET SESSION max_execution_time = DEFAULT"),
        (0.0001, False, "SET SESSION max_execution_time = 1"),
        (2.0, True, "SET SESSION max_statement_time = 2.000"),
        (0.0, True, "SET SESSION max_statement_time = DEFAULT"),
    ],
)
def test_the_statement_that_mysql_is_sent(limit_s: float, is_mariadb: bool, statement: str) -> None:
    assert mysql_limit(limit_s, is_mariadb=is_mariadb) == statement


# In requests ----------------------------------------------------------------------------------------------


def serve(engine: Engine, *, limit: str, decorate: Callable[[Any], Any] = lambda view: view) -> Flask:
    app = Flask("app")
    guard = Guard(app, query_timeout=limit, engine=engine)

    @app.get("/slow")
    @guard.public(reason="a test")
    @decorate
    def slow() -> str:
        with Session(engine) as session:
            take_long(session, engine)
        return "never"

    @app.get("/quick")
    @guard.public(reason="a test")
    def quick() -> str:
        with Session(engine) as session:
            return str(session.scalar(text("SELECT 1")))

    return app


@pytest.mark.parametrize("way", ["setting", "decorator"])
def test_the_caller_gets_504_and_the_next_request_is_served(engine: Engine, way: str) -> None:
    by_setting = way == "setting"
    app = serve(
        engine,
        limit="200ms" if by_setting else "1h",
        decorate=(lambda view: view) if by_setting else query_timeout(LIMIT_S),
    )
    client = app.test_client()

    for _ in range(2):
        refused = client.get("/slow")
        assert refused.status_code == 504
        assert refused.json is not None
        assert refused.json["code"] == "timeout"
        assert refused.json["detail"] == "This took too long."
        assert "SELECT" not in refused.text.upper()
    assert client.get("/quick").text == "1"


def test_the_setting_is_for_requests_and_not_for_jobs(engine: Engine) -> None:
    app = serve(engine, limit="2s")

    with app.app_context():
        in_job = find_time_limit_s()
    with app.test_request_context("/quick"):
        app.preprocess_request()
        in_request = find_time_limit_s()

    assert (in_job, in_request) == (0.0, 2.0)


def test_a_timeout_of_the_server_is_504_too(postgres_db: str) -> None:
    engine = create_engine(postgres_db, connect_args={"options": "-c statement_timeout=100"})
    app = serve(engine, limit="0")

    assert app.test_client().get("/slow").status_code == 504
    engine.dispose()


def test_flask_sqlalchemy_gives_its_session_back(database_url: str) -> None:
    app = Flask("app")
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
    db = SQLAlchemy(app)
    guard = Guard(app, db=db, query_timeout="200ms")

    @app.get("/slow")
    @guard.public(reason="a test")
    def slow() -> str:
        take_long(db.session, db.engine)  # type: ignore[arg-type]
        return "never"

    client = app.test_client()
    assert [client.get("/slow").status_code for _ in range(2)] == [504, 504]
    with app.app_context():
        assert_usable(db.engine)
        db.engine.dispose()
