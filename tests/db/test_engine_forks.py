"""A child process never speaks on its parent's connections, nor waits for its threads."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

from flask_guard.db.engine import Database
from tests.db.races import run_processes


def ask(database: Database, statement: str) -> Any:
    with database.transaction() as connection:
        result = connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


FORKS = """
import os
from sqlalchemy import create_engine, text
from flask_guard.db.engine import Database, parse_database_url

url, kind = sys.argv[1:]
engine = create_engine(parse_database_url(url))
database = {
    "owned": lambda: Database.from_url(url),
    "engine": lambda: Database.from_engine(engine),
    "callable": lambda: Database.from_callable(lambda: engine),
    "told": lambda: Database.from_url(url),
}[kind]()
def ask(statement="SELECT pg_backend_pid()" if "postgres" in url else "SELECT 1"):
    with database.transaction() as connection:
        return connection.execute(text(statement)).scalar()
start()
busy = database.engine.connect()  # one connection in use, and one that waits in the pool
busy.execute(text("SELECT 1"))
first = ask()
children = []
for _ in range(2):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        if kind == "told":
            database.after_fork()
        answers = {ask() for _ in range(20)}
        os.write(writer, repr(answers).encode())
        sys.stdout.flush()
        os._exit(0 if len(answers) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    children.append(os.read(reader, 100).decode())
busy.execute(text("SELECT 2"))
busy.close()
assert ask() == first
if "postgres" in url:
    assert len({repr({first}), *children}) == 3, children
print("ok")
"""


@pytest.mark.parametrize("kind", ["owned", "engine", "callable", "told"])
def test_a_child_process_has_connections_of_its_own(database_url: str, kind: str) -> None:
    """And the parent's go on after the children are gone."""
    assert run_processes(FORKS, database_url, kind, count=1) == ["ok"]


FORKED_LOCK = """
import os, threading
from flask_guard.db.engine import Database

database = Database.from_url(sys.argv[1])
start()
database.ping()
with next(iter(database._processes.values())).lock:  # as if a thread of the parent were opening the engine
    child = os.fork()
    if not child:
        database.ping()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("ok")
"""


def test_a_lock_that_was_held_at_the_fork_does_not_stop_the_child(tmp_path: Path) -> None:
    assert run_processes(FORKED_LOCK, f"sqlite:///{tmp_path / 'x.db'}", count=1) == ["ok"]


def test_the_parents_connections_are_kept_so_that_no_driver_closes_them(tmp_path: Path) -> None:
    """A driver may say good-bye to the server when a connection is collected: on the parent's socket."""
    database = Database.from_file(tmp_path / "guard.db")
    ask(database, "SELECT 1")
    parents = weakref.ref(database.engine.pool)

    database.after_fork()
    gc.collect()

    assert parents() is not None
    assert database.engine.pool is not parents()
    parents().dispose()  # type: ignore[union-attr]
    database.close()


def test_a_database_in_memory_is_still_there_after_after_fork() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    for database in (Database.from_engine(engine), Database.from_url("sqlite://")):
        ask(database, "CREATE TABLE guard_x (id INTEGER)")

        database.after_fork()

        assert ask(database, "SELECT count(*) FROM guard_x") == 0
        database.engine.dispose()
