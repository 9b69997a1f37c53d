"""What a database lets those do who connect to it as the application does: facts, which `checks.database` judges.

Nothing is written and no table of anybody is read. A server that does not answer is a fact, not an error.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from ..errors import GuardError
from .engine import is_in_memory
from .tls import ENCRYPTED_MODES, find_tls_mode, is_remote

_ROLE = text("""
SELECT r.rolname, r.rolsuper, r.rolbypassrls,
       count(c.oid) FILTER (WHERE pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')),
       count(c.oid) FILTER (WHERE pg_catalog.has_table_privilege(r.oid, c.oid, 'TRUNCATE, REFERENCES, TRIGGER')),
       pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CREATE'),
       EXISTS (SELECT FROM pg_catalog.pg_namespace s
               WHERE s.nspname NOT LIKE 'pg\\_%' AND s.nspname <> 'information_schema'
               AND pg_catalog.has_schema_privilege(r.oid, s.oid, 'CREATE')),
       (SELECT setting::integer FROM pg_catalog.pg_settings WHERE name = 'statement_timeout')
FROM pg_catalog.pg_roles r
LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema') ON c.relkind IN ('r', 'p')
WHERE r.rolname = current_user
GROUP BY r.oid, r.rolname, r.rolsuper, r.rolbypassrls
""")


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """What the role may that a connection has on PostgreSQL. statement_timeout_ms: 0 for none.

    owned_tables: how many it can act for the owner of. altering_tables: how many it may TRUNCATE, refer to or put
    triggers on. may_create: schemas in the database, or anything in one of them.
    """

    name: str
    is_superuser: bool
    bypasses_row_security: bool
    owned_tables: int
    altering_tables: int
    may_create: bool
    statement_timeout_ms: int


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """One database as the application reaches it. address: without password, fit for a log.

    is_encrypted: whether the connection is by TLS, else whether its mode demands it. answers: False when no
    connection came about. file: of SQLite, None in memory; its mode as `chmod` has it. role: None elsewhere.
    is_echoing: statements are logged with their values.
    """

    address: str
    dialect: str
    answers: bool = True
    is_remote: bool = False
    is_encrypted: bool = False
    is_echoing: bool = False
    file: Path | None = None
    file_mode: int | None = None
    role: RoleFacts | None = None


def read_facts(engine: Engine) -> DatabaseFacts:
    """Return the facts of the database that an engine leads to."""
    url = engine.url
    # Nothing of the query: it may hold a password.
    address = url.set(query={}).render_as_string(hide_password=True)
    is_echoing = bool(engine.echo)
    if url.get_backend_name() == "sqlite":
        file = _find_file(engine)
        mode = None if file is None else stat.S_IMODE(file.stat().st_mode)
        return DatabaseFacts(address, "sqlite", is_echoing=is_echoing, file=file, file_mode=mode)
    is_far = is_remote(url, os.environ)
    demands_tls = find_tls_mode(url, os.environ) in ENCRYPTED_MODES
    if url.get_backend_name() != "postgresql":
        return DatabaseFacts(
            address, url.get_backend_name(), is_remote=is_far, is_encrypted=True, is_echoing=is_echoing
        )
    try:
        with engine.connect() as connection:
            role, uses_tls = _read_role(connection), _uses_tls(connection)
    except (SQLAlchemyError, GuardError, OSError):
        return DatabaseFacts(address, "postgresql", False, is_far, demands_tls, is_echoing)
    is_encrypted = demands_tls if uses_tls is None else uses_tls
    return DatabaseFacts(address, "postgresql", True, is_far, is_encrypted, is_echoing, role=role)


def _find_file(engine: Engine) -> Path | None:
    """Return the file of a SQLite database that is there; None in memory, and before it is made."""
    name = engine.url.database
    if not name or is_in_memory(engine.url):
        return None
    file = Path(name.removeprefix("file:").partition("?")[0]).absolute()
    return file if file.is_file() else None


def _read_role(connection: Connection) -> RoleFacts:
    name, is_super, bypasses, owned, altering, in_database, in_schema, timeout_ms = connection.execute(_ROLE).one()
    # Of a superuser, everything else is true as well and would say nothing.
    return RoleFacts(
        name=name,
        is_superuser=is_super,
        bypasses_row_security=bypasses,
        owned_tables=0 if is_super else owned,
        altering_tables=0 if is_super else altering - owned,
        may_create=not is_super and (in_database or in_schema),
        statement_timeout_ms=timeout_ms,
    )


def _uses_tls(connection: Connection) -> bool | None:
    """Return what libpq says of the connection (psycopg 3, psycopg2); None for another driver."""
    driver: Any = connection.connection.dbapi_connection
    for holder in (getattr(driver, "pgconn", None), getattr(driver, "info", None)):
        used = getattr(holder, "ssl_in_use", None)
        if used is not None:
            return bool(used)
    return None
