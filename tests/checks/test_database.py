"""What a deployment is told of its databases: each check has a case that it finds and one that it passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Blueprint, Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy_lite import SQLAlchemy as SQLAlchemyLite
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from flask_guard import Guard
from flask_guard.checks import database
from flask_guard.checks.registry import run_checks
from flask_guard.db import hardening
from flask_guard.db.hardening import DatabaseFacts, RoleFacts, read_facts
from flask_guard.pipeline.runtime import EXTENSION_KEY
from flask_guard.values import Finding, Level

# A role as `flask guard deploy postgres` makes it.
PLAIN = RoleFacts("app", False, False, 0, 0, False, 30_000)
REMOTE = DatabaseFacts("postgresql://app@db.example/app", "postgresql", is_remote=True, is_encrypted=True, role=PLAIN)
FILE = DatabaseFacts("sqlite:///app.db", "sqlite", file=Path("/srv/app.db"), file_mode=0o600)


def run(app: Flask, **options: Any) -> list[Finding]:
    Guard(app, **options)
    return [finding for finding in run_checks(app.extensions[EXTENSION_KEY]) if finding.id.startswith("FG-DB-")]


def judge(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, facts: DatabaseFacts, **options: Any
) -> list[tuple[str, Level]]:
    """Return what is found where the one database of the application has these facts."""
    monkeypatch.setattr(database, "_list_facts", lambda _runtime, is_first: [facts])
    found = run(Flask("app", instance_path=str(tmp_path)), **options)
    return [(finding.id, finding.level) for finding in found]


def with_role(**changes: Any) -> DatabaseFacts:
    return dataclasses.replace(REMOTE, role=dataclasses.replace(PLAIN, **changes))


CASES = [
    pytest.param(dataclasses.replace(REMOTE, answers=False, role=None), "FG-DB-001", Level.WARNING, id="silent"),
    pytest.param(dataclasses.replace(REMOTE, is_encrypted=False), "FG-DB-002", Level.ERROR, id="plain-text"),
    pytest.param(with_role(is_superuser=True), "FG-DB-003", Level.ERROR, id="superuser"),
    pytest.param(with_role(bypasses_row_security=True), "FG-DB-003", Level.ERROR, id="bypass"),
    pytest.param(with_role(owned_tables=3), "FG-DB-004", Level.WARNING, id="owner"),
    pytest.param(dataclasses.replace(FILE, file_mode=0o640), "FG-DB-005", Level.ERROR, id="group-reads"),
    pytest.param(dataclasses.replace(FILE, file_mode=0o602), "FG-DB-005", Level.ERROR, id="others-write"),
    pytest.param(with_role(may_create=True), "FG-DB-008", Level.WARNING, id="creates"),
    pytest.param(with_role(altering_tables=1), "FG-DB-008", Level.WARNING, id="truncates"),
    pytest.param(dataclasses.replace(REMOTE, is_echoing=True), "FG-DB-009", Level.ERROR, id="echo"),
]


@pytest.mark.parametrize(("facts", "check_id", "level"), CASES)
def test_a_check_finds_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, facts: DatabaseFacts, check_id: str, level: Level
) -> None:
    assert judge(monkeypatch, tmp_path, facts, query_timeout="10s") == [(check_id, level)]


@pytest.mark.parametrize(
    "facts",
    [REMOTE, FILE, dataclasses.replace(REMOTE, is_remote=False, is_encrypted=False)],
    ids=["remote", "file", "near"],
)
def test_what_is_right_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, facts: DatabaseFacts) -> None:
    assert judge(monkeypatch, tmp_path, facts, query_timeout="10s") == []


@pytest.mark.parametrize(("facts", "check_id", "level"), CASES[1:])
def test_development_is_not_told_how_to_deploy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, facts: DatabaseFacts, check_id: str, level: Level
) -> None:
    assert judge(monkeypatch, tmp_path, facts, env="development") == []


@pytest.mark.parametrize(
    ("facts", "is_found"),
    [
        (FILE, True),
        (dataclasses.replace(FILE, file=None, file_mode=None), False),
        (REMOTE, False),
        (with_role(statement_timeout_ms=0), True),
        (DatabaseFacts("mysql://app@db.example/app", "mysql"), True),
    ],
    ids=["file", "memory", "limit-of-the-role", "no-limit", "other"],
)
def test_statements_without_a_limit_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, facts: DatabaseFacts, is_found: bool
) -> None:
    found = judge(monkeypatch, tmp_path, facts)

    assert found == ([("FG-DB-007", Level.WARNING)] if is_found else [])


# Facts of real databases ----------------------------------------------------------------------------------


@pytest.fixture
def app_role(postgres_db: str) -> Iterator[Engine]:
    """An engine whose role may log in, owns nothing and was granted nothing."""
    name = f"checked_{uuid4().hex}"
    root = create_engine(postgres_db, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with root.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
        connection.exec_driver_sql("CREATE TABLE notes (id integer)")
    yield create_engine(make_url(postgres_db).set(username=name), poolclass=NullPool)
    with root.connect() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {name} CASCADE")
        connection.exec_driver_sql(f"DROP ROLE {name}")


def get_role(engine: Engine) -> RoleFacts:
    role = read_facts(engine).role
    assert role is not None
    return role


def test_a_superuser_is_known(postgres_db: str) -> None:
    facts = read_facts(create_engine(postgres_db, poolclass=NullPool))

    assert facts.role == RoleFacts("postgres", True, True, 0, 0, False, 0)
    assert (facts.answers, facts.is_remote, facts.is_encrypted) == (True, False, False)


@pytest.mark.parametrize(
    ("grant", "changed"),
    [
        ("SELECT 1", {}),
        ("ALTER TABLE notes OWNER TO {role}", {"owned_tables": 1}),
        ("GRANT TRUNCATE ON notes TO {role}", {"altering_tables": 1}),
        ("GRANT TRIGGER ON notes TO {role}", {"altering_tables": 1}),
        ("GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO {role}", {}),
        ("GRANT CREATE ON SCHEMA public TO {role}", {"may_create": True}),
        ("ALTER ROLE {role} BYPASSRLS", {"bypasses_row_security": True}),
        ("ALTER ROLE {role} SET statement_timeout = '3s'", {"statement_timeout_ms": 3000}),
    ],
    ids=["nothing", "owner", "truncate", "trigger", "rows", "create", "bypass", "timeout"],
)
def test_what_a_role_may_is_read_from_the_server(
    app_role: Engine, postgres_db: str, grant: str, changed: dict[str, Any]
) -> None:
    name = str(app_role.url.username)
    with create_engine(postgres_db, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(grant.format(role=name))

    assert get_role(app_role) == dataclasses.replace(PLAIN, **{"name": name, "statement_timeout_ms": 0, **changed})


def test_a_server_that_is_down_is_a_fact() -> None:
    facts = read_facts(
        create_engine("postgresql+psycopg://app:hidden@127.0.0.1:1/app?sslmode=require", poolclass=NullPool)
    )

    assert (facts.answers, facts.role, facts.is_encrypted) == (False, None, True)
    assert "hidden" not in facts.address


# Where the databases are found ----------------------------------------------------------------------------


def make_file(file: Path, mode: int) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    file.chmod(mode)
    return f"sqlite:///{file}"


@pytest.mark.parametrize("extension", [SQLAlchemy, SQLAlchemyLite], ids=["flask-sqlalchemy", "lite"])
def test_the_databases_of_the_application_and_of_guard_are_looked_at(tmp_path: Path, extension: Any) -> None:
    first, second, own = (make_file(tmp_path / name, 0o644) for name in ("a.db", "b.db", "own.db"))
    app = Flask("app", instance_path=str(tmp_path))
    if extension is SQLAlchemy:
        app.config["SQLALCHEMY_DATABASE_URI"], app.config["SQLALCHEMY_BINDS"] = first, {"more": second}
    else:
        app.config["SQLALCHEMY_ENGINES"] = {"default": first, "more": second}
    extension(app)

    found = run(app, database_url=own, query_timeout="10s")

    assert [finding.id for finding in found] == ["FG-DB-005"] * 3
    assert {name for name in ("a.db", "b.db", "own.db") if any(name in one.message for one in found)} == {
        "a.db",
        "b.db",
        "own.db",
    }


@pytest.mark.parametrize("place", ["app", "blueprint"])
def test_a_database_that_is_served_is_found_in_development_too(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "static"
    url = make_file(folder / "data" / "app.db", 0o600)
    app = Flask("app", instance_path=str(tmp_path), static_folder=str(folder) if place == "app" else None)
    if place == "blueprint":
        app.register_blueprint(Blueprint("part", "part", static_folder=str(folder)))

    assert [finding.id for finding in run(app, database_url=url, env="development")] == ["FG-DB-006"]
    elsewhere = make_file(tmp_path / "elsewhere.db", 0o600)
    assert run(Flask("app", static_folder=str(folder)), database_url=elsewhere, env="development") == []


def test_an_application_without_a_database_is_told_nothing_and_gets_none(tmp_path: Path) -> None:
    assert run(Flask("app", instance_path=str(tmp_path / "instance"))) == []
    assert not (tmp_path / "instance").exists()


def test_a_silent_server_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(hardening, "read_facts", lambda engine: asked.append(engine) or read_facts(engine))

    found = run(Flask("app", instance_path=str(tmp_path)), database_url="postgresql://app@127.0.0.1:1/app")

    assert [finding.id for finding in found] == ["FG-DB-001"]
    assert len(asked) == 1
