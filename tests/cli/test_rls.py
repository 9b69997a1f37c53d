"""`flask guard rls`, run as an operator runs it: in a process of its own, on an application with models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from tests.tenancy.rls.world import World, make_world, remove_roles

APPLICATION = """
import os
from flask import Flask
from sqlalchemy import String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from flask_guard import Guard
from flask_guard.db import TenantMixin, current_uid, policy

class Base(DeclarativeBase): pass
class Note(TenantMixin, Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(20))
policy(Note, "own", using=lambda n: n.owner_id == current_uid())

app = Flask(__name__)
engine = create_engine(os.environ["NOTES_URL"])
Guard(app, engine=engine, env="development")
"""
MAKE = "\nwith app.app_context():\n    Base.metadata.create_all(engine)\n"


@pytest.fixture
def world(postgres_db: str) -> Iterator[World]:
    world = make_world(postgres_db)
    yield world
    remove_roles(world)


class Operator:
    """Runs commands in a folder with the application."""

    def __init__(self, folder: Path, url: URL | str) -> None:
        self.folder = folder
        text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
        self.environment = {**os.environ, "NOTES_URL": text, "PYTHONPATH": str(Path(__file__).parents[2])}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flask", "guard", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def read(self, *arguments: str) -> tuple[int, Any]:
        done = self.run(*arguments, "--format", "json")
        return done.returncode, json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APPLICATION)
    return tmp_path


@pytest.fixture
def owner(folder: Path, world: World) -> Operator:
    """The owner of the tables, which are there."""
    operator = Operator(folder, world.url_of(world.owner))
    subprocess.run(
        [sys.executable, "-c", APPLICATION + MAKE],
        cwd=folder,
        env=operator.environment,
        check=True,
        capture_output=True,
    )
    world.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO {world.application}")
    return operator


def test_what_is_applied_is_found_to_be_right_and_done_once(owner: Operator, folder: Path, world: World) -> None:
    status, applied = owner.read("rls", "apply")
    assert status == 0
    assert any(line.startswith("CREATE POLICY own ON notes") for line in applied["statements"])
    assert owner.read("rls", "apply") == (0, {"statements": []})

    application = Operator(folder, world.url_of(world.application))
    clean = application.run("rls", "check")
    assert (clean.returncode, clean.stdout.splitlines()[1:]) == (0, ["Nothing found."])
    assert clean.stdout.startswith("PostgreSQL ")


def test_the_owner_is_a_finding_and_no_refusal(owner: Operator) -> None:
    owner.run("rls", "apply")

    status, checked = owner.read("rls", "check")
    assert status == 1
    assert [finding["id"] for finding in checked["findings"]] == ["FG-RLS-002"]


def test_a_database_that_nothing_was_applied_to_is_found(owner: Operator, folder: Path, world: World) -> None:
    status, checked = Operator(folder, world.url_of(world.application)).read("rls", "check")
    assert status == 1
    assert {"FG-RLS-001", "FG-RLS-007", "FG-RLS-009"} & {finding["id"] for finding in checked["findings"]}

    assert "FG-RLS-001" in owner.run("check").stdout


def test_whoever_does_not_own_the_tables_is_told_and_changes_nothing(
    owner: Operator, folder: Path, world: World
) -> None:
    refused = Operator(folder, world.url_of(world.application)).run("rls", "apply")

    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "Error: The owner of the tables has to do this; PostgreSQL says: permission denied"
    )
    assert "Traceback" not in refused.stderr
    with world.connect() as connection:
        assert connection.execute("SELECT count(*) FROM pg_policy").fetchone() == (0,)


def test_the_printed_sql_does_what_apply_does(owner: Operator, world: World) -> None:
    printed = owner.run("rls", "sql")
    assert printed.returncode == 0
    with world.connect(world.owner) as connection:
        connection.execute(printed.stdout)

    assert owner.read("rls", "apply") == (0, {"statements": []})


def test_the_policies_are_listed_as_the_models_want_them(folder: Path) -> None:
    status, listed = Operator(folder, "postgresql+psycopg://nobody@127.0.0.1:1/none").read("rls", "list")

    assert status == 0
    assert [(row["table"], row["name"], row["kind"], row["command"]) for row in listed] == [
        ("notes", "guard_tenant", "restrictive", "all"),
        ("notes", "own", "permissive", "all"),
    ]
    assert listed[1]["using"] == "notes.owner_id = (SELECT guard.uid())"


def test_the_roles_are_printed_with_the_rest(folder: Path) -> None:
    printed = Operator(folder, "postgresql+psycopg://nobody@127.0.0.1:1/none").run("rls", "sql", "--roles")

    assert printed.returncode == 0
    assert (
        printed.stdout.index("BYPASSRLS")
        < printed.stdout.index("BEGIN;\nCREATE SCHEMA")
        < printed.stdout.index("COMMIT;")
    )


@pytest.mark.parametrize("command", ["apply", "check"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "row security is a matter of PostgreSQL"),
        ("postgresql+psycopg://nobody@127.0.0.1:1/none", "does not answer (OperationalError)"),
    ],
    ids=["sqlite", "no server"],
)
def test_what_cannot_be_run_says_why_in_one_line(folder: Path, command: str, url: str, said: str) -> None:
    failed = Operator(folder, url).run("rls", command)

    assert (failed.returncode, failed.stdout) == (2, "")
    assert said in failed.stderr
    assert failed.stderr.count("\n") == 1
