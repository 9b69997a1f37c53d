"""What a PostgreSQL database says of itself: tables, policies, partitions, views, grants, roles, functions.

Reads the system catalogue only, which every role may do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from .native import SOURCES, quote_table

MARK = "flask_guard"
# pg_policy.polcmd.
_COMMANDS = {"*": "all", "r": "select", "a": "insert", "w": "update", "d": "delete"}

_TABLE = text("""
SELECT c.oid, n.nspname, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relowner
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(:name)
""")
_POLICIES = text("""
SELECT polname, polcmd::text, polpermissive, polroles = '{0}' AS is_for_all,
    pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid), obj_description(oid, 'pg_policy') AS comment
FROM pg_policy WHERE polrelid = :oid ORDER BY polname
""")
_FINGERPRINT = text("SELECT guard.fingerprint(cast(:oid AS oid)::regclass, :name)")
_FUNCTIONS = text("""
SELECT concat('guard.', proname, '(', pg_get_function_identity_arguments(p.oid), ')'), prosrc, prosecdef
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'guard'
""")
_CHILDREN = text("""
WITH RECURSIVE below(oid) AS (
    SELECT inhrelid FROM pg_inherits WHERE inhparent = :oid
    UNION SELECT inhrelid FROM pg_inherits JOIN below ON inhparent = below.oid
)
SELECT n.nspname, c.relname FROM below JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1, 2
""")
_VIEWS = text("""
WITH RECURSIVE above(oid) AS (
    SELECT cast(:oid AS oid)
    UNION SELECT r.ev_class FROM pg_rewrite r
    JOIN pg_depend d ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    JOIN above ON d.refobjid = above.oid
)
SELECT n.nspname, c.relname, c.relkind = 'm' AS is_materialized,
    coalesce(lower(o.option_value) IN ('true', 'on', 'yes', '1'), false) AS is_invoker
FROM above JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL pg_options_to_table(c.reloptions) o ON o.option_name = 'security_invoker'
WHERE c.relkind IN ('v', 'm') ORDER BY 1, 2
""")
_TRUNCATERS = text("""
SELECT CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END
FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
WHERE pg_class.oid = :oid AND privilege_type = 'TRUNCATE' AND grantee <> relowner ORDER BY 1
""")
_ROLE = text("""
SELECT r.rolname, r.rolsuper, r.rolbypassrls,
    ARRAY(SELECT o.rolname::text FROM pg_roles o WHERE o.oid = ANY(:owners) AND pg_has_role(r.oid, o.oid, 'MEMBER')
        ORDER BY 1),
    ARRAY(SELECT o.rolname::text FROM pg_roles o WHERE (o.rolsuper OR o.rolbypassrls) AND o.oid <> r.oid
        AND pg_has_role(r.oid, o.oid, 'MEMBER') ORDER BY 1)
FROM pg_roles r WHERE r.rolname = coalesce(:name, session_user)
""")
_STORED_SETTINGS = text("""
SELECT coalesce(d.datname, 'every database'), coalesce(r.rolname, 'every role'), split_part(entry, '=', 1)
FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole,
    unnest(s.setconfig) entry
WHERE entry LIKE 'guard.%' AND (s.setdatabase = 0 OR d.datname = current_database()) ORDER BY 1, 2, 3
""")
_SEALED = text("""
SELECT DISTINCT n.nspname, c.relname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE obj_description(p.oid, 'pg_policy') LIKE 'flask\\_guard %'
ORDER BY 1, 2
""")
_OPEN_TABLES = text("""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relrowsecurity AND c.relpersistence <> 't'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast' ORDER BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class FoundPolicy:
    """One policy of pg_policy. comment: Guard's seal, or whatever somebody wrote, or None."""

    name: str
    command: str
    restrictive: bool
    is_for_all: bool
    using: str | None
    check: str | None
    comment: str | None

    @property
    def seal(self) -> tuple[str, str] | None:
        """The digest of its text and its fingerprint, as they were when Guard made it; None for another's policy."""
        words = (self.comment or "").split(" ")
        return (words[1], words[2]) if len(words) == 3 and words[0] == MARK else None


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table as it is. owner: the role's number."""

    oid: int
    schema: str
    name: str
    is_enabled: bool
    is_forced: bool
    owner: int
    policies: tuple[FoundPolicy, ...]

    @property
    def full_name(self) -> str:
        return quote_table(self.name, self.schema)


@dataclass(frozen=True, slots=True)
class FoundView:
    full_name: str
    is_materialized: bool
    is_invoker: bool


@dataclass(frozen=True, slots=True)
class FoundRole:
    """owners: the owners of the tables that it is, or may become; bypassing: others past row security, likewise."""

    name: str
    is_superuser: bool
    bypasses: bool
    owners: tuple[str, ...]
    bypassing: tuple[str, ...]


def find_table(connection: Connection, full_name: str) -> FoundTable | None:
    """Return a table with its policies. full_name: quoted as SQL has it."""
    row = connection.execute(_TABLE, {"name": full_name}).one_or_none()
    if row is None:
        return None
    oid, schema, name, is_enabled, is_forced, owner = row
    rows = connection.execute(_POLICIES, {"oid": oid})
    policies = tuple(_read_policy(row) for row in rows)
    return FoundTable(oid, schema, name, is_enabled, is_forced, owner, policies)


def _read_policy(row: Any) -> FoundPolicy:
    name, command, permissive, is_for_all, using, check, comment = row
    return FoundPolicy(name, _COMMANDS[command], not permissive, is_for_all, using, check, comment)


def read_fingerprint(connection: Connection, oid: int, policy: str) -> str:
    """Return what the function guard.fingerprint makes of a policy as it is now."""
    return str(connection.execute(_FINGERPRINT, {"oid": oid, "name": policy}).scalar_one())


def list_changed_functions(connection: Connection) -> list[str]:
    """Return the functions of the schema `guard` that are missing or are not as Guard made them."""
    found = {signature: (body, definer) for signature, body, definer in connection.execute(_FUNCTIONS)}
    return [signature for signature, body in SOURCES.items() if found.get(signature) != (body, False)]


def list_children(connection: Connection, oid: int) -> list[tuple[str | None, str]]:
    """Return (schema, name) of the partitions of a table and of the tables that inherit from it, at any depth."""
    return [(_plain(connection, schema), name) for schema, name in connection.execute(_CHILDREN, {"oid": oid})]


def list_sealed(connection: Connection) -> list[tuple[str | None, str]]:
    """Return (schema, name) of every table that has a policy of Guard's."""
    return [(_plain(connection, schema), name) for schema, name in connection.execute(_SEALED)]


def _plain(connection: Connection, schema: str) -> str | None:
    """Return the schema as models give it: None for the one where tables without one are."""
    return None if schema == connection.dialect.default_schema_name else schema


def list_views(connection: Connection, oid: int) -> list[FoundView]:
    """Return the views that read a table, also through other views."""
    rows = connection.execute(_VIEWS, {"oid": oid})
    return [FoundView(quote_table(name, schema), *kinds) for schema, name, *kinds in rows]


def list_truncaters(connection: Connection, oid: int) -> list[str | None]:
    """Return the roles beside its owner that may empty a table; None among them is PUBLIC."""
    return list(connection.execute(_TRUNCATERS, {"oid": oid}).scalars())


def find_role(connection: Connection, name: str | None, *, owners: Iterable[int]) -> FoundRole | None:
    """Return what a role may do; None for name is the role that the connection logged in with."""
    statement = _ROLE.bindparams(bindparam("owners"))
    row = connection.execute(statement, {"name": name, "owners": list(owners)}).one_or_none()
    return None if row is None else FoundRole(row[0], row[1], row[2], tuple(row[3]), tuple(row[4]))


def list_stored_settings(connection: Connection) -> list[tuple[str, str, str]]:
    """Return (database, role, name) of the settings of ours that are stored for whole databases or roles."""
    return [(database, role, name) for database, role, name in connection.execute(_STORED_SETTINGS)]


def list_open_tables(connection: Connection) -> list[tuple[str, str]]:
    """Return (schema, name) of the tables without row security."""
    return [(schema, name) for schema, name in connection.execute(_OPEN_TABLES)]
