"""`flask guard rls`: row security in PostgreSQL, printed, applied and checked.

Connecting as the owner of the tables or as a superuser is a finding of `check`, and what `apply` needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from flask.cli import with_appcontext

from ..checks.rls import find_targets
from ..values import Level
from .deploy import make_grants, make_quote, make_roles
from .support import EXIT_FINDINGS, could_not_run, echo_json, find_runtime, format_option, make_table, tells_errors

_COLUMNS = ("table", "name", "kind", "command", "using", "check")


@click.group("rls")
def rls() -> None:
    """Print, apply and check row security in PostgreSQL."""


@rls.command("sql")
@click.option("--roles", is_flag=True, help="Also the three roles and their grants, for a superuser.")
@click.option("--database", default="app", show_default=True, help="With --roles, the database.")
@format_option("text", "json")
@with_appcontext
@tells_errors
def sql(output: str, roles: bool, database: str) -> None:
    """Print the SQL that `apply` runs for tables without any row security. Connects to nothing."""
    made = {**({"roles": _list_roles(database)} if roles else {}), "sql": _list_statements()}
    if output == "json":
        echo_json(made)
        return
    if roles:
        click.echo("-- As a superuser, in the database; may be run again.")
        for statement in made["roles"]:
            click.echo(f"{statement};")
        click.echo("\n-- As the owner of the tables.")
    click.echo("BEGIN;")
    for statement in made["sql"]:
        click.echo(f"{statement};")
    click.echo("COMMIT;")


@rls.command("list")
@format_option("text", "json")
@with_appcontext
@tells_errors
def list_policies(output: str) -> None:
    """List the policies that the models want, as pg_policies would show them."""
    wanted = importlib.import_module("flask_guard.tenancy.rls.wanted")
    rows = [
        (table.full_name, policy.name, "restrictive" if policy.restrictive else "permissive", policy.command,
         policy.using, policy.check)
        for table in map(wanted.want_table, _list_tables())
        for policy in table.policies
    ]  # fmt: skip
    if output == "json":
        echo_json([dict(zip(_COLUMNS, row, strict=True)) for row in rows])
    else:
        click.echo(make_table(_COLUMNS, [[" ".join((cell or "-").split()) for cell in row] for row in rows]))


@rls.command("apply")
@format_option("text", "json")
@with_appcontext
@tells_errors
def apply(output: str) -> None:
    """Put the tables of the models under row security; may be run again. Needs the owner of the tables."""
    module = importlib.import_module("flask_guard.tenancy.rls.apply")
    done: list[str] = []
    for engine, tables in _require_targets():
        with _connected(engine) as connection:
            done += module.apply(connection, tables)
    if output == "json":
        echo_json({"statements": done})
    elif done:
        click.echo(f"{len(done)} statements were run.")
    else:
        click.echo("Nothing was to be done.")


@rls.command("check")
@format_option("text", "json")
@with_appcontext
@tells_errors
def check(output: str) -> None:
    """Compare the databases with the models, and look at roles and settings. Exit 1 when something is wrong."""
    module = importlib.import_module("flask_guard.tenancy.rls.check")
    servers, findings = [], []
    for engine, tables in _require_targets():
        with _connected(engine) as connection:
            findings += module.check(connection, tables)
            servers.append(module.describe_server(connection))
    if output == "json":
        echo_json({"servers": servers, "findings": [asdict(finding) for finding in findings]})
    else:
        for line in servers:
            click.echo(line)
        for finding in findings:
            click.echo(f"{finding.level:<8} {finding.id}  {finding.message}\n         {finding.remedy}")
        if not findings:
            click.echo("Nothing found.")
    if any(finding.level is not Level.INFO for finding in findings):
        raise SystemExit(EXIT_FINDINGS)


def _list_tables() -> list[Any]:
    tables: list[Any] = importlib.import_module("flask_guard.tenancy.rules").list_protected()
    if not tables:
        could_not_run("no table belongs to a tenant or has policies: is the module with the models imported?")
    return tables


def _list_statements() -> list[str]:
    native = importlib.import_module("flask_guard.tenancy.rls.native")
    statements = importlib.import_module("flask_guard.tenancy.rls.statements")
    want = importlib.import_module("flask_guard.tenancy.rls.wanted").want_table
    return [*native.list_functions(), *(line for table in _list_tables() for line in statements.protect(want(table)))]


def _list_roles(database: str) -> list[str]:
    quote = make_quote()
    names = {"owner": "app_owner", "application": "app", "system": "app_system"}
    return [
        *make_roles(quote, **names, timeout_ms=30_000),
        *make_grants(quote, database=database, schema="public", **names),
    ]


def _require_targets() -> list[tuple[Any, list[Any]]]:
    _list_tables()
    targets = find_targets(find_runtime())
    if not targets:
        could_not_run("no table of a tenant is in a PostgreSQL database; row security is a matter of PostgreSQL")
    return targets


@contextmanager
def _connected(engine: Any) -> Iterator[Any]:
    database = importlib.import_module("flask_guard.db.engine").Database.from_engine(engine)
    with database.faults_as_unavailable(), engine.connect() as connection:
        yield connection
