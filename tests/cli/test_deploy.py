"""`flask guard deploy postgres`: what it prints makes three roles that may do their work and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from flask_guard.cli.deploy import deploy
from flask_guard.tenancy.scope import unscoped_block
from tests.services import postgres


def run(*arguments: str) -> Result:
    return CliRunner().invoke(deploy, ["postgres", *arguments])


def read(*arguments: str) -> dict[str, list[str]]:
    result = run("--format", "json", *arguments)
    assert result.exit_code == 0, result.stderr
    document: dict[str, list[str]] = json.loads(result.stdout)
    return document


class Deployed:
    """A database that the SQL was run in. roles: owner, application and system, of names that no other test has."""

    def __init__(self, url: str, *, schema: str) -> None:
        mark = uuid4().hex[:12]
        self.url = make_url(url)
        # Quotes of every kind: names are never pasted.
        self.roles = {kind: f"{kind} \"'$$; {mark}" for kind in ("owner", "application", "system")}
        self.schema = schema
        self.root = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        arguments = [part for kind, name in self.roles.items() for part in (f"--{kind}", name)]
        database = str(self.url.database)
        self.document = read("--database", database, "--schema", schema, "--statement-timeout", "7s", *arguments)

    def apply(self) -> None:
        # An administrator's own connection, where programs in text (DO) are taken.
        with unscoped_block("test"), self.root.connect() as connection:
            for statement in self.document["sql"]:
                connection.exec_driver_sql(statement)

    def engine(self, kind: str) -> Engine:
        return create_engine(self.url.set(username=self.roles[kind]), poolclass=NullPool)

    def run(self, kind: str, *statements: str) -> Any:
        """Run statements in one transaction. NOTES and SYSTEM stand for the table and the role."""
        system = self.roles["system"].replace('"', '""')
        names = {"NOTES": f'"{self.schema}".deployed_notes', "SYSTEM": f'"{system}"'}
        with self.engine(kind).begin() as connection:
            for statement in statements:
                for word, name in names.items():
                    statement = statement.replace(word, name)
                result = connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None

    def clean(self) -> None:
        with self.root.connect() as connection:
            for name in self.roles.values():
                quoted = name.replace('"', '""')
                connection.exec_driver_sql(f'DROP OWNED BY "{quoted}" CASCADE')
                connection.exec_driver_sql(f'DROP ROLE "{quoted}"')


@pytest.fixture(params=["public", "the app"])
def deployed(postgres_db: str, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    deployed = Deployed(postgres_db, schema=request.param)
    deployed.apply()
    yield deployed
    deployed.clean()


def test_the_owner_migrates_and_the_application_serves(deployed: Deployed) -> None:
    deployed.apply()  # it may be run again

    deployed.run("owner", "CREATE TABLE NOTES (id serial PRIMARY KEY, title text)")
    deployed.run("application", "INSERT INTO NOTES (title) VALUES ('a')", "UPDATE NOTES SET title = 'b'")

    assert deployed.run("application", "SELECT title FROM NOTES") == "b"
    assert deployed.run("application", "SHOW statement_timeout") == "7s"
    assert deployed.run("owner", "SHOW statement_timeout") == "0"
    deployed.run("application", "DELETE FROM NOTES")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE {table}",
        "TRUNCATE {table}",
        "ALTER TABLE {table} ADD COLUMN more text",
        "CREATE TABLE {schema}.mine (id integer REFERENCES {table})",
        "CREATE TABLE {schema}.mine (id integer)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (id integer)",
        "CREATE ROLE mine",
        "ALTER ROLE {application} BYPASSRLS",
    ],
)
def test_the_application_may_do_nothing_else(deployed: Deployed, statement: str) -> None:
    schema = f'"{deployed.schema}"'
    application = '"' + deployed.roles["application"].replace('"', '""') + '"'
    deployed.run("owner", f"CREATE TABLE {schema}.deployed_notes (id integer PRIMARY KEY)")

    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner|must have|may|Only roles"):
        deployed.run(
            "application", statement.format(schema=schema, table=f"{schema}.deployed_notes", application=application)
        )


def test_row_security_holds_for_the_application_until_it_takes_the_role_of_the_system(deployed: Deployed) -> None:
    deployed.run(
        "owner",
        "CREATE TABLE NOTES (id integer)",
        "INSERT INTO NOTES VALUES (1)",
        "ALTER TABLE NOTES ENABLE ROW LEVEL SECURITY",
    )

    assert deployed.run("application", "SELECT count(*) FROM NOTES") == 0
    assert deployed.run("application", "SET LOCAL ROLE SYSTEM", "SELECT count(*) FROM NOTES") == 1


def test_nobody_else_may_connect(deployed: Deployed) -> None:
    stranger = f"stranger_{uuid4().hex}"
    with deployed.root.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {stranger} LOGIN")
        try:
            allowed = connection.execute(
                text("SELECT has_database_privilege(:role, current_database(), 'CONNECT')"), {"role": stranger}
            ).scalar()
        finally:
            connection.exec_driver_sql(f"DROP ROLE {stranger}")

    assert allowed is False


@pytest.mark.skipif(postgres.ADDRESS_VARIABLE in os.environ, reason="the server is not one that we started")
def test_the_server_understands_the_lines_of_pg_hba(deployed: Deployed) -> None:
    """The view shows what the file says, whether it was loaded or not; it is never loaded here."""
    with deployed.root.connect() as connection:
        file = Path(str(connection.execute(text("SHOW hba_file")).scalar()))
        before = file.read_text()
        try:
            file.write_text("\n".join((*deployed.document["pg_hba"], before)))
            rows = connection.execute(
                text("SELECT type, database[1], user_name[1], address, auth_method FROM pg_hba_file_rules")
            ).all()
        finally:
            file.write_text(before)

    database, owner, application = deployed.url.database, deployed.roles["owner"], deployed.roles["application"]
    assert [tuple(row) for row in rows[:4]] == [
        ("hostssl", database, owner, "samenet", "scram-sha-256"),
        ("hostssl", database, application, "samenet", "scram-sha-256"),
        ("host", database, owner, "all", "reject"),
        ("host", database, application, "all", "reject"),
    ]


def test_the_text_is_what_the_json_is_and_the_same_each_time() -> None:
    document, first, second = read(), run(), run()

    assert first.stdout == second.stdout
    for statement in document["sql"]:
        assert f"\n{statement};\n" in first.stdout
    for line in document["pg_hba"]:
        assert f"\n-- {line}\n" in first.stdout


def test_every_network_gets_its_lines() -> None:
    lines = read("--network", "10.0.0.0/8", "--network", "fd00::/8")["pg_hba"]

    assert lines[:2] == [
        'hostssl "app" "app_owner" 10.0.0.0/8 scram-sha-256',
        'hostssl "app" "app" 10.0.0.0/8 scram-sha-256',
    ]
    assert [line for line in lines if "fd00::/8" in line]
    assert lines[-2:] == ['host "app" "app_owner" all reject', 'host "app" "app" all reject']


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--owner", "x" * 64], "cannot be a name in PostgreSQL"),
        (["--owner", 'x"\nhost all all all trust'], "cannot be a name in PostgreSQL"),
        (["--schema", ""], "cannot be a name in PostgreSQL"),
        (["--network", "10.0.0.1/8"], "is no network"),
        (["--network", "all\nhost all all all trust"], "is no network"),
        (["--owner", "app"], "must be three roles"),
        (["--statement-timeout", "0"], "must be a duration above zero"),
        (["--statement-timeout", "soon"], "must be a duration"),
    ],
    ids=["long", "line", "empty", "host-bits", "lines", "same", "zero", "word"],
)
def test_what_cannot_be_is_refused_in_a_sentence(arguments: list[str], said: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in result.stderr
