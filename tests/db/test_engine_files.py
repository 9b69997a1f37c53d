"""The file of a SQLite database: made on first use, closed to other users."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from flask_guard.db.engine import Database
from flask_guard.errors import StoreUnavailable


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def ask(database: Database, statement: str) -> Any:
    with database.transaction() as connection:
        result = connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_nothing_is_opened_before_it_is_used(tmp_path: Path) -> None:
    calls = []
    file = tmp_path / "instance" / "guard.sqlite3"

    Database.from_callable(lambda: calls.append(1))  # type: ignore[arg-type, return-value]
    Database.from_url(f"sqlite:///{file}").describe()
    Database.from_file(file).describe()

    assert calls == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("usual_umask")
def test_the_file_and_its_siblings_are_closed_to_other_users(tmp_path: Path) -> None:
    file = tmp_path / "instance" / "guard.sqlite3"
    database = Database.from_file(file)
    ask(database, "PRAGMA journal_mode = WAL")
    ask(database, "CREATE TABLE guard_x (id INTEGER)")

    modes = {path.name: mode_of(path) for path in file.parent.iterdir()}
    database.close()

    assert mode_of(file.parent) == 0o700
    assert modes == dict.fromkeys(("guard.sqlite3", "guard.sqlite3-wal", "guard.sqlite3-shm"), 0o600)


@pytest.mark.usefixtures("usual_umask")
def test_the_rollback_journal_is_closed_to_other_users(tmp_path: Path) -> None:
    database = Database.from_url(f"sqlite:///{tmp_path / 'guard.db'}")
    ask(database, "CREATE TABLE guard_x (id INTEGER)")

    with database.transaction() as connection:
        connection.execute(text("INSERT INTO guard_x VALUES (1)"))
        modes = {path.name: mode_of(path) for path in tmp_path.iterdir()}
    database.close()

    assert modes == {"guard.db": 0o600, "guard.db-journal": 0o600}


@pytest.mark.usefixtures("usual_umask")
def test_a_file_that_was_removed_comes_back_closed(tmp_path: Path) -> None:
    file = tmp_path / "guard.db"
    database = Database.from_file(file)
    ask(database, "SELECT 1")
    database.close()
    file.unlink()

    ask(database, "SELECT 1")
    database.close()

    assert mode_of(file) == 0o600


def test_a_file_that_another_process_made_a_moment_ago_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not there when we looked."""
    (tmp_path / "guard.db").touch(mode=0o600)
    database = Database.from_file(tmp_path / "guard.db")
    monkeypatch.setattr(Path, "exists", lambda _path: False)

    assert ask(database, "SELECT 1") == 1
    database.close()


def test_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "guard.db"
    file.touch()
    file.chmod(0o640)
    database = Database.from_file(file)

    ask(database, "CREATE TABLE guard_x (id INTEGER)")
    database.close()

    assert mode_of(file) == 0o640


@pytest.mark.parametrize("folder", ["a file is in the way", "a folder is in the way"])
def test_a_file_that_cannot_be_made_is_an_unavailable_store(tmp_path: Path, folder: str) -> None:
    obstacle = tmp_path / "instance"
    if folder.startswith("a file"):
        obstacle.touch()
    else:
        (obstacle / "guard.db").mkdir(parents=True)

    with pytest.raises(StoreUnavailable, match=r"guard\.db does not answer") as caught:
        ask(Database.from_file(obstacle / "guard.db"), "SELECT 1")

    assert caught.value.__cause__ is not None
