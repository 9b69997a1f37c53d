"""Brings a database to what the models want, and leaves alone what is right already.

Rule: policies that somebody else made stay; the restrictive ones of Guard hold beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext

from sqlalchemy import DDL, Connection, Table, text
from sqlalchemy.exc import ProgrammingError

from ...errors import ConfigError
from .catalogue import (
    FoundPolicy,
    FoundTable,
    find_table,
    list_changed_functions,
    list_children,
    list_truncaters,
    list_views,
    read_fingerprint,
)
from .native import list_functions, quote
from .statements import protect, replace_policy
from .wanted import NativePolicy, WantedTable, want_table

# Any number that no other lock of an application has: the first eight letters of "guardrls" in ASCII.
_LOCK_ID = 0x6775617264726C73
# The first version whose views can be read with the rights of whoever reads them.
_WITH_INVOKER_VIEWS = (15,)
_INSUFFICIENT_PRIVILEGE = "42501"


def apply(connection: Connection, tables: Iterable[Table]) -> list[str]:
    """Put tables under row security and return the statements that were run; none for what is right already.

    Runs in the transaction of the connection if it has begun one, else in one of its own. The tables must be there.
    The connection's role must own them. Raises ConfigError for a table that is not there.
    """
    require_postgresql(connection)
    done: list[str] = []
    with nullcontext() if connection.in_transaction() else connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
        if list_changed_functions(connection):
            done += run(connection, list_functions())
        for table in tables:
            for wanted in (want_table(table), *want_children(connection, table)):
                done += run(connection, _list_missing(connection, wanted))
    return done


def run(connection: Connection, statements: Iterable[str]) -> list[str]:
    """Run statements that change the schema, and return them. Raises ConfigError for a role that may not do so."""
    done = []
    for statement in statements:
        try:
            # DDL takes % for a place to put something in.
            connection.execute(DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
        except ProgrammingError as exc:
            if getattr(exc.orig, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE:
                raise ConfigError(f"The owner of the tables has to do this; PostgreSQL says: {exc.orig}.") from exc
            raise
        done.append(statement)
    return done


def require_postgresql(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        raise ConfigError(f"Row security is a matter of PostgreSQL; this database is {connection.dialect.name}.")


def want_children(connection: Connection, table: Table) -> list[WantedTable]:
    """Return what the partitions of a table are to have: asked directly, they ignore the policies of their parent."""
    found = find_table(connection, want_table(table).full_name)
    children = [] if found is None else list_children(connection, found.oid)
    return [want_table(table, partition=name, schema=schema) for schema, name in children]


def is_as_wanted(connection: Connection, found: FoundTable, policy: NativePolicy) -> bool:
    """Say whether a policy is there, made from this text and not changed since."""
    return any(is_intact(connection, found, each, policy) for each in found.policies if each.name == policy.name)


def is_intact(connection: Connection, found: FoundTable, there: FoundPolicy, policy: NativePolicy) -> bool:
    """Say whether what is there was made from a policy and not changed since."""
    same = (there.command, there.restrictive, there.is_for_all) == (policy.command, policy.restrictive, True)
    if not same or there.seal is None:
        return False
    digest, fingerprint = there.seal
    return digest == policy.digest and fingerprint == read_fingerprint(connection, found.oid, policy.name)


def _list_missing(connection: Connection, wanted: WantedTable) -> Iterator[str]:
    found = find_table(connection, wanted.full_name)
    if found is None:
        raise ConfigError(f"The table {wanted.full_name} is not in this database; make the tables first.")
    name = wanted.full_name
    if not found.is_enabled:
        yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    if not found.is_forced:
        yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
    names = {policy.name for policy in wanted.policies}
    for there in found.policies:
        if there.seal is not None and there.name not in names:
            yield f"DROP POLICY {quote(there.name)} ON {name}"
    for policy in wanted.policies:
        if not is_as_wanted(connection, found, policy):
            yield from replace_policy(name, policy)
    for role in list_truncaters(connection, found.oid):
        yield f"REVOKE TRUNCATE ON TABLE {name} FROM {'PUBLIC' if role is None else quote(role)}"
    for view in list_views(connection, found.oid):
        if not view.is_materialized and not view.is_invoker and _has_invoker_views(connection):
            yield f"ALTER VIEW {view.full_name} SET (security_invoker = true)"
    yield from _missing_index(connection, wanted)


def _missing_index(connection: Connection, wanted: WantedTable) -> Iterator[str]:
    statement = [line for line in protect(wanted) if line.startswith("CREATE INDEX")]
    if statement and not _has_index(connection, wanted):
        yield from statement


def _has_index(connection: Connection, wanted: WantedTable) -> bool:
    query = text("""
        SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = to_regclass(:name) AND a.attname = :column AND i.indpred IS NULL AND i.indisvalid
    """)
    return bool(connection.execute(query, {"name": wanted.full_name, "column": wanted.index[0]}).scalar_one())


def _has_invoker_views(connection: Connection) -> bool:
    return (connection.dialect.server_version_info or ()) >= _WITH_INVOKER_VIEWS
