"""Compares a database with the models, and its roles and settings with what row security needs. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, Table, text

from ...values import Finding, Level
from .apply import is_intact, require_postgresql, want_children
from .catalogue import (
    FoundRole,
    FoundTable,
    find_role,
    find_table,
    list_changed_functions,
    list_open_tables,
    list_stored_settings,
    list_truncaters,
    list_views,
)
from .context import Roles, get_roles
from .wanted import WantedTable, want_table

_APPLY = "Run `flask guard rls apply` as the owner of the tables."
_SETTINGS = ("guard.tenant", "guard.uid", "guard.roles", "guard.claims")
# The first minor release of each major one that has the fixes of CVE-2024-10976 (plans kept under another role) and
# CVE-2025-8713 (statistics show hidden rows): https://www.postgresql.org/support/security/
_FIRST_FIXED = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
_OLDEST_MAJOR = 13


def check(connection: Connection, tables: Sequence[Table], *, roles: Roles | None = None) -> list[Finding]:
    """Return what is wrong with the row security of a database, errors first, by id and name.

    roles: those that transactions take; by default those of the connection's engine. The settings of the session are
    looked at only when the connection has not begun a transaction yet.
    """
    require_postgresql(connection)
    roles = get_roles(connection.engine) if roles is None else roles
    findings = list(_check_session(connection))
    changed = list_changed_functions(connection)
    findings += _check_functions(changed)
    there: list[FoundTable] = []
    for table in tables:
        wanted = want_table(table)
        found = find_table(connection, wanted.full_name)
        if found is None:
            what = f"The table {wanted.full_name} is not in the database."
            findings.append(_error("FG-RLS-001", what, f"Make it first. {_APPLY}"))
            continue
        there.append(found)
        findings += _check_table(connection, found, wanted, can_compare=not changed)
        for child in want_children(connection, table):
            findings += _check_child(connection, child, can_compare=not changed)
    findings += _check_roles(connection, there, roles)
    findings += _check_server(connection)
    findings += _check_open_tables(connection, there)
    order = list(Level)
    return sorted(findings, key=lambda each: (order.index(each.level), each.id, each.message))


def is_in_use(connection: Connection, tables: Iterable[Table]) -> bool:
    """Say whether somebody has begun to put the tables of some models under row security."""
    found = [find_table(connection, want_table(table).full_name) for table in tables]
    return any(table is not None and table.is_enabled for table in found)


def describe_server(connection: Connection) -> str:
    """Return the version of the server and who is connected to which database."""
    query = "SELECT current_setting('server_version'), session_user, current_database()"
    version, role, database = connection.execute(text(query)).one()
    return f"PostgreSQL {version}, {database} as {role}"


def _error(check_id: str, message: str, remedy: str) -> Finding:
    return Finding(check_id, Level.ERROR, message, remedy)


def _warning(check_id: str, message: str, remedy: str) -> Finding:
    return Finding(check_id, Level.WARNING, message, remedy)


# -- tables


def _check_table(
    connection: Connection, found: FoundTable, wanted: WantedTable, *, can_compare: bool
) -> Iterator[Finding]:
    yield from _check_switches(found, "FG-RLS-001")
    if can_compare:
        yield from _check_policies(connection, found, wanted)
    yield from _check_strangers(found, wanted)
    yield from _check_views(connection, found)
    for role in list_truncaters(connection, found.oid):
        who = "Everybody" if role is None else f"The role {role}"
        yield _error("FG-RLS-005", f"{who} may TRUNCATE {found.full_name}, which no policy looks at.", _APPLY)


def _check_child(connection: Connection, wanted: WantedTable, *, can_compare: bool) -> Iterator[Finding]:
    found = find_table(connection, wanted.full_name)
    if found is None:
        return
    wrong = [*_check_switches(found, "FG-RLS-004")]
    if can_compare and not wrong:
        wrong = [*_check_policies(connection, found, wanted)]
    if wrong:
        yield _error(
            "FG-RLS-004",
            f"The partition {found.full_name} can be asked directly, past the policies of its table.",
            _APPLY,
        )


def _check_switches(found: FoundTable, check_id: str) -> Iterator[Finding]:
    if not found.is_enabled:
        yield _error(check_id, f"The table {found.full_name} has no row security.", _APPLY)
    elif not found.is_forced:
        yield _error(check_id, f"The owner of {found.full_name} is past its policies: FORCE is missing.", _APPLY)


def _check_policies(connection: Connection, found: FoundTable, wanted: WantedTable) -> Iterator[Finding]:
    there = {policy.name: policy for policy in found.policies}
    for policy in wanted.policies:
        name = f"The policy {policy.name} of {found.full_name}"
        known = there.get(policy.name)
        if known is None:
            yield _error("FG-RLS-007", f"{name} is missing.", _APPLY)
        elif not is_intact(connection, found, known, policy):
            is_older = known.seal is not None and known.seal[0] != policy.digest
            why = "is another one in the models" if is_older else "was changed in the database"
            yield _error("FG-RLS-007", f"{name} {why}.", _APPLY)


def _check_strangers(found: FoundTable, wanted: WantedTable) -> Iterator[Finding]:
    names = {policy.name for policy in wanted.policies}
    for policy in found.policies:
        if policy.name in names:
            continue
        if policy.seal is not None:
            yield _error(
                "FG-RLS-007", f"The policy {policy.name} of {found.full_name} is in no model any more.", _APPLY
            )
            continue
        kind = "restrictive" if policy.restrictive else "permissive"
        yield _warning(
            "FG-RLS-008",
            f"Somebody gave {found.full_name} the {kind} policy {policy.name}.",
            "Declare it in Python with policy(), or drop it.",
        )


def _check_views(connection: Connection, found: FoundTable) -> Iterator[Finding]:
    for view in list_views(connection, found.oid):
        if view.is_materialized:
            yield _error(
                "FG-RLS-003",
                f"The materialized view {view.full_name} keeps rows of {found.full_name}, of every tenant.",
                "Take away what the application may do with it, or drop it.",
            )
        elif not view.is_invoker:
            yield _error(
                "FG-RLS-003",
                f"The view {view.full_name} reads {found.full_name} with the rights of its owner.",
                f"{_APPLY} It sets security_invoker, which PostgreSQL has from version 15 on.",
            )


def _check_open_tables(connection: Connection, there: Sequence[FoundTable]) -> Iterator[Finding]:
    if not there:
        return
    known = {(found.schema, found.name) for found in there}
    for schema, name in list_open_tables(connection):
        if (schema, name) not in known and not name.startswith("guard_") and name != "alembic_version":
            yield Finding(
                "FG-RLS-011",
                Level.INFO,
                f"The table {schema}.{name} has no row security.",
                "That is right when its rows are everybody's.",
            )


# -- functions, roles, settings, server


def _check_functions(changed: Iterable[str]) -> Iterator[Finding]:
    for signature in changed:
        yield _error("FG-RLS-009", f"The function {signature} is missing or was changed.", _APPLY)


def _check_roles(connection: Connection, there: Sequence[FoundTable], roles: Roles) -> Iterator[Finding]:
    owners = {found.owner for found in there}
    login = find_role(connection, None, owners=owners)
    if roles.application is None:
        yield from _check_role(login, roles, Level.ERROR)
        return
    yield from _check_role(login, roles, Level.WARNING)
    application = find_role(connection, roles.application, owners=owners)
    if application is None:
        yield _error("FG-RLS-002", f"There is no role {roles.application}, which GUARD_RLS_ROLE names.", _ROLES)
    yield from _check_role(application, roles, Level.ERROR)


_ROLES = "`flask guard rls sql --roles` prints the roles that are needed."


def _check_role(role: FoundRole | None, roles: Roles, level: Level) -> Iterator[Finding]:
    if role is None:
        return
    if role.is_superuser or role.bypasses:
        what = "a superuser" if role.is_superuser else "let past it (BYPASSRLS)"
        yield Finding("FG-RLS-002", level, f"Row security does not hold for {role.name}, which is {what}.", _ROLES)
        return
    for owner in role.owners:
        what = "owns protected tables" if owner == role.name else f"may become {owner}, which owns protected tables"
        yield Finding("FG-RLS-002", level, f"The role {role.name} {what}, and could switch row security off.", _ROLES)
    for other in role.bypassing:
        if other != roles.system:
            yield Finding(
                "FG-RLS-002",
                level,
                f"The role {role.name} may become {other}, which is past row security.",
                f"Set GUARD_RLS_SYSTEM_ROLE={other} if it is the role of unscoped blocks, otherwise revoke it.",
            )


def _check_session(connection: Connection) -> Iterator[Finding]:
    """Look for settings that were made for more than a transaction; what they say, the next one might be told."""
    if not connection.in_transaction():
        for name in _list_session_settings(connection):
            yield _error(
                "FG-RLS-006",
                f"The setting {name} was made for the whole session, so it reaches whoever gets the connection next.",
                "Find what calls set_config(..., false) or SET without LOCAL.",
            )
    for database, role, name in list_stored_settings(connection):
        yield _error(
            "FG-RLS-006",
            f"The setting {name} is stored for {role} in {database}, so it is there when nobody sets it.",
            "ALTER ROLE or ALTER DATABASE ... RESET it.",
        )


def _list_session_settings(connection: Connection) -> list[str]:
    # Past SQLAlchemy, whose transactions would set them.
    driver = connection.connection
    cursor = driver.cursor()
    try:
        found = []
        for name in _SETTINGS:
            cursor.execute(f"SELECT current_setting('{name}', true)")
            if any(cursor.fetchone() or ()):
                found.append(name)
        return found
    finally:
        cursor.close()
        driver.rollback()


def _check_server(connection: Connection) -> Iterator[Finding]:
    number = int(connection.execute(text("SELECT current_setting('server_version_num')")).scalar_one())
    major, minor = divmod(number, 10000)
    if major < _OLDEST_MAJOR or minor < _FIRST_FIXED.get(major, 0):
        yield _warning(
            "FG-RLS-010",
            f"PostgreSQL {major}.{minor} has known faults in its row security.",
            "Update the server to the newest minor release of its line.",
        )
