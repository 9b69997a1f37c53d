"""`flask guard init-db`: the tables are made, brought forward and taken back, with Alembic or without."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import inspect, text

from flask_guard.cli.data import init_db
from flask_guard.db.engine import Database
from flask_guard.db.schema import HEAD_REVISION, create_schema
from flask_guard.db.stores import SqlApiKeyStore


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database.from_url(database_url)
    yield database
    database.close()


def run(database: Database | None, *arguments: str, answer: str | None = None) -> Result:
    app = Flask(__name__)
    app.extensions["guard.runtime"] = SimpleNamespace(database=database)
    app.cli.add_command(init_db)
    return app.test_cli_runner().invoke(args=["init-db", *arguments], input=answer)


@pytest.fixture
def _no_alembic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "flask_guard.extras.migrations", raising=False)
    monkeypatch.setitem(sys.modules, "alembic", None)


def tables_of(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def execute(database: Database, statement: str) -> None:
    with database.transaction() as connection:
        connection.execute(text(statement))


def test_the_tables_are_made_and_may_be_made_again(database: Database) -> None:
    first, second = run(database), run(database, "--format", "json")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout == f"Guard's tables in {database.describe()} are at revision {HEAD_REVISION}.\n"
    assert json.loads(second.stdout) == {"database": database.describe(), "revision": HEAD_REVISION}
    assert SqlApiKeyStore(database).list_keys() == []


@pytest.mark.usefixtures("_no_alembic")
def test_without_alembic_a_new_database_is_made_too(database: Database) -> None:
    result = run(database)

    assert result.exit_code == 0
    assert f"are at revision {HEAD_REVISION}" in result.stdout
    assert SqlApiKeyStore(database).list_keys() == []


@pytest.mark.usefixtures("_no_alembic")
@pytest.mark.parametrize("arguments", [["--revision", "0001"], ["--downgrade", "base"]], ids=lambda a: a[0])
def test_without_alembic_revisions_are_refused(database: Database, arguments: list[str]) -> None:
    result = run(database, *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: Alembic is not installed. Install flask-guard-kit[migrations].\n"
    assert tables_of(database) == set()


@pytest.mark.usefixtures("_no_alembic")
def test_without_alembic_an_old_database_is_refused(database: Database) -> None:
    create_schema(database)
    execute(database, "ALTER TABLE guard_api_keys DROP COLUMN description")

    result = run(database)

    assert result.exit_code == 2
    assert result.stderr == (
        "Error: Alembic is needed to add the column guard_api_keys.description. Install flask-guard-kit[migrations].\n"
    )


def test_the_tables_are_taken_back_and_those_of_others_stay(database: Database) -> None:
    execute(database, "CREATE TABLE note (id INTEGER)")
    run(database)

    result = run(database, "--downgrade", "base", "--yes")

    assert (result.exit_code, result.stdout) == (0, f"Guard's tables in {database.describe()} are gone.\n")
    assert tables_of(database) == {"note", "guard_alembic_version"}
    assert run(database, "--revision", "0001").exit_code == 0


def test_keys_are_dropped_only_by_somebody_who_is_sure(database: Database) -> None:
    run(database)
    before = tables_of(database)

    said_no, nobody = run(database, "--downgrade", "base", answer="n\n"), run(database, "--downgrade", "base")

    for result in (said_no, nobody):
        assert (result.exit_code, result.stdout.replace("n\n", "")) == (2, "")
        assert f"This drops what Guard's tables in {database.describe()} hold, such as API keys." in result.stderr
        assert result.stderr.endswith("\nError: nothing was changed; --yes goes on without asking.\n")
    assert tables_of(database) == before
    assert run(database, "--downgrade", "base", answer="y\n").exit_code == 0
    assert "guard_api_keys" not in tables_of(database)


def test_going_back_to_where_the_tables_are_asks_nothing(database: Database) -> None:
    run(database)

    assert run(database, "--downgrade", HEAD_REVISION).exit_code == 0


@pytest.mark.parametrize(
    ("option", "there"),
    [("--revision", f"0001, {HEAD_REVISION}, head"), ("--downgrade", f"base, 0001, {HEAD_REVISION}")],
)
@pytest.mark.parametrize("revision", ["nope", "9999", "", "+1"])
def test_an_unknown_revision_is_exit_code_2(database: Database, option: str, there: str, revision: str) -> None:
    result = run(database, option, revision)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: the revision {revision!r} is unknown; there are {there}.\n"
    assert tables_of(database) == set()


@pytest.mark.parametrize(
    ("database", "arguments", "sentence"),
    [
        pytest.param(None, [], "no database is known; set GUARD_DATABASE_URL", id="no database"),
        pytest.param("postgresql://u@127.0.0.1:1/d", [], "does not answer (OperationalError)", id="no server"),
        pytest.param("sqlite://", ["--revision", "a", "--downgrade", "b"], "exclude each other", id="both"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    database: Any, arguments: list[str], sentence: str
) -> None:
    result = run(database and Database.from_url(database), *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
