"""Writes a condition of SQLAlchemy's as PostgreSQL keeps it in a policy, and the functions that it calls.

Every fact (`tenancy.facts`) becomes a call wrapped in a subselect, so that it is evaluated once a statement and not
once a row; values become literals.
Rule: a text is never cast to the column's length, which would cut it: `'acme-2'::varchar(4)` is another tenant.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Enum,
    FromClause,
    Integer,
    Select,
    String,
    Table,
    column,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.types import TypeEngine, Uuid

from ...errors import ConfigError
from ..facts import Fact, plain_type

SCHEMA = "guard"

# name and arguments, result, how often it is evaluated, body. SQL functions of one expression are inlined.
_FUNCTIONS = (
    ("tenant()", "text", "STABLE", "SELECT nullif(pg_catalog.current_setting('guard.tenant', true), '')"),
    ("uid()", "text", "STABLE", "SELECT nullif(pg_catalog.current_setting('guard.uid', true), '')"),
    ("claims()", "json", "STABLE", "SELECT nullif(pg_catalog.current_setting('guard.claims', true), '')::json"),
    ("roles()", "jsonb", "STABLE", "SELECT nullif(pg_catalog.current_setting('guard.roles', true), '')::jsonb"),
    ("has_role(role text)", "boolean", "STABLE", "SELECT guard.roles() ? role"),
    (
        "as_bigint(value text)",
        "bigint",
        "IMMUTABLE",
        "SELECT CASE WHEN value ~ '^-?[0-9]{1,18}$' THEN value::bigint END",
    ),
    (
        "as_uuid(value text)",
        "uuid",
        "IMMUTABLE",
        "SELECT CASE WHEN value ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN value::uuid END",
    ),
    (
        "as_boolean(value text)",
        "boolean",
        "IMMUTABLE",
        "SELECT CASE value WHEN 'true' THEN true WHEN 'false' THEN false END",
    ),
)
# With a search path of its own, because what pg_get_expr prints depends on it.
_FINGERPRINT = """
SELECT encode(sha256(convert_to(concat(
    pg_get_expr(polqual, polrelid), E'\\n', pg_get_expr(polwithcheck, polrelid)), 'UTF8')), 'hex')
FROM pg_policy WHERE polrelid = policy_table AND polname = policy_name
"""
_SEAL = """
BEGIN
    EXECUTE format('COMMENT ON POLICY %I ON %s IS %L', policy_name, policy_table,
        concat_ws(' ', 'flask_guard', digest, guard.fingerprint(policy_table, policy_name)));
END
"""
SOURCES = {
    **{f"guard.{signature}": body for signature, _result, _volatility, body in _FUNCTIONS},
    "guard.fingerprint(policy_table regclass, policy_name text)": _FINGERPRINT,
    "guard.seal(policy_table regclass, policy_name text, digest text)": _SEAL,
}


def list_functions() -> list[str]:
    """Return the statements that make the schema `guard` and its functions, or bring them up to date."""
    made = [f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}", f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC"]
    for signature, result, volatility, body in _FUNCTIONS:
        made.append(
            f"CREATE OR REPLACE FUNCTION guard.{signature} RETURNS {result}\n"
            f"LANGUAGE sql {volatility} PARALLEL SAFE AS $guard${body}$guard$"
        )
    fingerprint, seal = list(SOURCES)[-2:]
    made.append(
        f"CREATE OR REPLACE FUNCTION {fingerprint} RETURNS text\n"
        f"LANGUAGE sql STABLE SET search_path = pg_catalog AS $guard${_FINGERPRINT}$guard$"
    )
    made.append(
        f"CREATE OR REPLACE FUNCTION {seal} RETURNS void\n"
        f"LANGUAGE plpgsql SET search_path = pg_catalog AS $guard${_SEAL}$guard$"
    )
    return made


class _Compiler(PGCompiler):
    """Renders values as literals and facts as calls."""

    def visit_bindparam(self, bindparam: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(bindparam, Fact):
            return f"(SELECT {_render_fact(bindparam)})"
        return super().visit_bindparam(bindparam, *arguments, **options)  # type: ignore[no-untyped-call]

    def render_literal_value(self, value: Any, type_: TypeEngine[Any]) -> str:
        return _escape(super().render_literal_value(value, type_))  # type: ignore[no-untyped-call]


class _Dialect(PGDialect):
    """PostgreSQL with no driver. It leaves backslashes to `_escape`."""

    statement_compiler = _Compiler
    supports_statement_cache = True
    _backslash_escapes: ClassVar[bool] = False  # type: ignore[misc]


# "named", because the other styles double the percent signs of literals and names.
_DIALECT = _Dialect(paramstyle="named")  # type: ignore[no-untyped-call]
_HOLE = "guard_condition"
_QUOTED = re.compile(r"""\"(?:[^"]|"")*"|'(?:[^']|'')*'""")


def render(condition: ColumnElement[bool], row: FromClause) -> str:
    """Return a condition on the rows of a table as SQL text.

    Raises ConfigError for one that draws on another table outside of a subselect.
    """
    # As part of a select, so that its own subselects are correlated to the row.
    begin = _compile(select(1).select_from(row).where(literal_column(_HOLE))).removesuffix(_HOLE)
    text = _compile(select(1).select_from(row).where(condition))
    if not text.startswith(begin):
        raise ConfigError("A policy draws on another table outside of a subselect: use exists() or in_(select(...)).")
    return text.removeprefix(begin)


def _compile(statement: Select[Any]) -> str:
    return str(statement.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def quote(name: str) -> str:
    """Return an identifier, quoted if it needs to be."""
    return _DIALECT.identifier_preparer.quote(name)


def quote_table(name: str, schema: str | None) -> str:
    return quote(name) if schema is None else f"{quote(schema)}.{quote(name)}"


def quote_text(text: str) -> str:
    """Return text as a literal."""
    return _escape("'" + text.replace("'", "''") + "'")


def escape_literals(printed: str) -> str:
    """Return an expression as PostgreSQL printed it with its literals as we write them."""
    return _QUOTED.sub(lambda found: found[0] if found[0][0] == '"' else _escape(found[0]), printed)


def _escape(literal: str) -> str:
    """Return a literal that means the same whatever standard_conforming_strings is: with E if it has a backslash."""
    return "E" + literal.replace("\\", "\\\\") if "\\" in literal else literal


def stand_in(original: Table, name: str, schema: str | None) -> TableClause:
    """Return what stands for a table in a condition, under its own name or that of one of its partitions."""
    columns = []
    for each in original.c:
        copy: Any = column(each.name, each.type)
        copy.key = each.key
        columns.append(copy)
    return table(name, *columns, schema=schema)


def _render_fact(fact: Fact) -> str:
    if fact.source == "role":
        return f"guard.has_role({quote_text(fact.name)})"
    called = f"guard.claims() ->> {quote_text(fact.name)}" if fact.source == "claim" else f"guard.{fact.source}()"
    return _convert(called, plain_type(fact.type))


def _convert(text: str, type_: TypeEngine[Any]) -> str:
    if isinstance(type_, Integer):
        return f"guard.as_bigint({text})"
    if isinstance(type_, Uuid):
        return f"guard.as_uuid({text})"
    if isinstance(type_, Boolean):
        return f"guard.as_boolean({text})"
    if isinstance(type_, String) and not isinstance(type_, Enum):
        return text
    return f"CAST({text} AS {type_.compile(dialect=_DIALECT)})"
