"""`flask guard deploy`: what a deployment needs beside the application, printed for somebody to read and run.

Rule: deterministic, so that the output can be kept and compared; nothing is connected to, and no secret is made.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from ipaddress import ip_network

import click

from ..config.kinds import positive_duration_s
from ..errors import ConfigError
from .support import Checked, echo_json, format_option, tells_errors

Quote = Callable[[str], str]
_PLAIN = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
# Of pg_hba.conf: the networks of the server's own addresses.
_NETWORK_WORDS = frozenset({"samehost", "samenet"})


@click.group("deploy")
def deploy() -> None:
    """Print what a deployment needs beside the application."""


@deploy.command("postgres")
@click.option("--database", default="app", show_default=True, help="The database.")
@click.option("--schema", default="public", show_default=True, help="The schema that the tables are in.")
@click.option("--owner", default="app_owner", show_default=True, help="Role that owns the tables and migrates them.")
@click.option("--application", default="app", show_default=True, help="Role that serves requests.")
@click.option("--system", default="app_system", show_default=True, help="Role of work on all tenants.")
@click.option("--network", multiple=True, default=("samenet",), help="Where clients are: a CIDR, samenet or samehost.")
@click.option(
    "--statement-timeout",
    type=Checked(positive_duration_s),
    default="30s",
    show_default=True,
    help="Longest statement of the application.",
)
@format_option("text", "json")
@tells_errors
def postgres(
    output: str,
    database: str,
    schema: str,
    owner: str,
    application: str,
    system: str,
    network: tuple[str, ...],
    statement_timeout: str,
) -> None:
    """Print the roles, the grants and the lines of pg_hba.conf that the application needs, and no more.

    Run the SQL as a superuser, in that database. It may be run again.
    """
    quote = make_quote()
    if len({owner, application, system}) < 3:
        raise ConfigError("The owner, the application and the system must be three roles.")
    timeout_ms = max(1, round(positive_duration_s(statement_timeout) * 1000))
    statements = [
        *make_roles(quote, owner=owner, application=application, system=system, timeout_ms=timeout_ms),
        *make_grants(quote, database=database, schema=schema, owner=owner, application=application, system=system),
    ]
    lines = list(_make_hba_lines(quote, database=database, roles=(owner, application), networks=network))
    if output == "json":
        echo_json({"sql": statements, "pg_hba": lines})
        return
    click.echo("-- As a superuser, in the database; may be run again. Passwords: \\password, never in a file of SQL.")
    for statement in statements:
        click.echo(f"{statement};")
    click.echo("\n-- pg_hba.conf, above every line that lets the same roles in otherwise:")
    for line in lines:
        click.echo(f"-- {line}")


def make_quote() -> Quote:
    identifiers = importlib.import_module("flask_guard.db.identifiers")

    def quote(name: str) -> str:
        try:
            if not name.isprintable():
                raise ValueError("an identifier must not hold control characters, which begin new lines")
            return str(identifiers.quote_identifier(name))
        except ValueError as exc:
            raise ConfigError(f"{name!r:.100} cannot be a name in PostgreSQL: {exc}.") from exc

    return quote


def make_roles(quote: Quote, *, owner: str, application: str, system: str, timeout_ms: int) -> Iterator[str]:
    """Yield the roles. The application logs in, and takes the system's role where it works on all tenants."""
    yield "SET password_encryption = 'scram-sha-256'"
    kinds = {owner: "LOGIN NOBYPASSRLS", application: "LOGIN NOINHERIT NOBYPASSRLS", system: "NOLOGIN BYPASSRLS"}
    for name, kind in kinds.items():
        text = name.replace("'", "''")
        # A name may hold any dollar quote, so the block is in plain ones, with those of its text doubled.
        create = f"CREATE ROLE {quote(name)}"
        block = (
            f"BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{text}') THEN {create}; END IF; END"
        )
        yield "DO '{}'".format(block.replace("'", "''"))
        yield f"ALTER ROLE {quote(name)} {kind} {_PLAIN}"
    yield f"GRANT {quote(system)} TO {quote(application)}"
    yield f"ALTER ROLE {quote(application)} SET statement_timeout = {timeout_ms}"
    yield f"ALTER ROLE {quote(application)} SET idle_in_transaction_session_timeout = {2 * timeout_ms}"


def make_grants(
    quote: Quote, *, database: str, schema: str, owner: str, application: str, system: str
) -> Iterator[str]:
    """Yield what the roles may: the owner everything in its schema, the two others rows, and nobody else anything."""
    place, inside, own = quote(database), quote(schema), quote(owner)
    serving = f"{quote(application)}, {quote(system)}"
    yield f"REVOKE ALL ON DATABASE {place} FROM PUBLIC"
    yield f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {place} TO {own}"
    yield f"GRANT CONNECT ON DATABASE {place} TO {serving}"
    yield f"CREATE SCHEMA IF NOT EXISTS {inside}"
    yield f"ALTER SCHEMA {inside} OWNER TO {own}"
    yield f"REVOKE ALL ON SCHEMA {inside} FROM PUBLIC"
    yield f"GRANT USAGE ON SCHEMA {inside} TO {serving}"
    rows, numbers = "SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT"
    yield f"GRANT {rows} ON ALL TABLES IN SCHEMA {inside} TO {serving}"
    yield f"GRANT {numbers} ON ALL SEQUENCES IN SCHEMA {inside} TO {serving}"
    to_come = f"ALTER DEFAULT PRIVILEGES FOR ROLE {own} IN SCHEMA {inside} GRANT"
    yield f"{to_come} {rows} ON TABLES TO {serving}"
    yield f"{to_come} {numbers} ON SEQUENCES TO {serving}"


def _make_hba_lines(quote: Quote, *, database: str, roles: tuple[str, ...], networks: tuple[str, ...]) -> Iterator[str]:
    """Yield lines of pg_hba.conf: by TLS and with SCRAM from the networks, and in no other way over any network.

    Source: PostgreSQL documentation, "The pg_hba.conf File": names are quoted as in SQL.
    """
    for network in networks:
        for role in roles:
            yield f"hostssl {quote(database)} {quote(role)} {_read_network(network)} scram-sha-256"
    for role in roles:
        yield f"host {quote(database)} {quote(role)} all reject"


def _read_network(text: str) -> str:
    if text in _NETWORK_WORDS:
        return text
    try:
        return str(ip_network(text))
    except ValueError as exc:
        raise ConfigError(f"{text!r:.100} is no network: a CIDR such as 10.0.0.0/8, samenet or samehost.") from exc
