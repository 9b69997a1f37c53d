"""What INSERT and UPDATE write into the columns that say whose a row is.

When a statement is compiled it is established which parameters hold those values; at each execution they are looked
at, those of all rows. Rule: a value that is no plain parameter is refused, for nobody could look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, Connection, FromClause, func, select
from sqlalchemy.sql import coercions, roles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import CompoundSelect, Label, SelectBase

from .faults import ForeignRow, ForeignWrite, TenancyFault
from .rules import ColumnCheck, TableRule, describe, find_protection, unwrap

# Fewer than the 999 parameters that SQLite before 3.32 takes in a statement (sqlite.org/limits.html).
_MOST_VALUES = 500
_ON_CONFLICT = frozenset({"sqlite_on_conflict", "sqlite_on_conflict_primary_key", "sqlite_on_conflict_unique"})


@dataclass(frozen=True, slots=True)
class Write:
    """Values that a statement writes into one column. parameters: their names, one for each row of VALUES."""

    parameters: tuple[str, ...]
    verify: Callable[[list[object], Connection], None]


def verify_writes(writes: tuple[Write, ...], rows: Sequence[Mapping[str, Any]], connection: Connection) -> None:
    """Raise what a check raises for one of the values of an execution. rows: the parameters of each."""
    for write in writes:
        write.verify([row[name] for row in rows for name in write.parameters], connection)


def plan_insert(compiler: SQLCompiler, rule: TableRule) -> tuple[Write, ...]:
    """Return what an INSERT, which has just been compiled, writes. Raises TenancyError if that cannot be told."""
    state: Any = compiler.dml_compile_state
    checks = _list_checks(rule, state.statement.table)
    _require_no_replacement(compiler, state.statement.table)
    return tuple(Write(tuple(_insert_names(compiler, state, check)), check.verify) for check in checks)


def plan_update(compiler: SQLCompiler, rule: TableRule) -> tuple[Write, ...]:
    """Return what an UPDATE, which has just been compiled, writes. Raises CrossTenantWrite if a row may move."""
    state: Any = compiler.dml_compile_state
    table = state.statement.table
    values = {key_of(column): value for column, value in (state._dict_parameters or {}).items()}
    checks = find_set_checks(rule, table, {*values, *(compiler.column_keys or ())})
    _require_no_replacement(compiler, table)
    names = [_name_of(compiler, table, check.column, values.get(check.column), check.column) for check in checks]
    return tuple(Write((name,), check.verify) for name, check in zip(names, checks, strict=True))


def _require_no_replacement(compiler: SQLCompiler, from_: FromClause) -> None:
    """Refuse to write a table that has SQLite delete the rows that are in the way, whose ever they are."""
    table: Any = unwrap(from_)[-1]
    if compiler.dialect.name != "sqlite":
        return
    for part in (*table.c, *getattr(table, "constraints", ())):
        for option, value in getattr(part, "dialect_kwargs", {}).items():
            if option in _ON_CONFLICT and str(value).casefold() == "replace":
                raise TenancyFault(f"{describe(table)} has {option}=REPLACE, which deletes rows of others.")


def find_set_checks(rule: TableRule, table: FromClause, columns: set[str]) -> list[ColumnCheck]:
    """Return the checks of the columns that an UPDATE sets. Raises CrossTenantWrite for one that may not be set."""
    checks = [check for check in _list_checks(rule, table) if check.column in columns]
    for check in checks:
        if check.is_fixed:
            raise ForeignWrite(detail=f"{describe(table)} was to have its column {check.column!r} set by UPDATE")
    return checks


def require_harmless_upsert(rule: TableRule, table: FromClause, values: Iterable[tuple[Any, Any]]) -> None:
    """Refuse what an upsert sets in a row that is there already, unless it is what INSERT was checked for.

    values: pairs of a column and what it is set to. Raises CrossTenantWrite or TenancyError.
    """
    for check in find_set_checks(rule, table, {key for key, value in map(_read_pair, values) if value != "excluded"}):
        raise TenancyFault(f"{describe(table)} takes only excluded.{check.column} for {check.column!r} in an upsert.")


def _read_pair(pair: tuple[Any, Any]) -> tuple[str, str]:
    key, value = key_of(pair[0]), pair[1]
    is_same = isinstance(value, Column) and value.key == key
    return key, str(getattr(value.table, "name", "")) if is_same else ""


def key_of(column: Any) -> str:
    """Return the key of a column that is named by itself, by an attribute of a model or by its key."""
    return str(coercions.expect(roles.DMLColumnRole, column, as_key=True))


def written_by(statement: Any) -> set[str]:
    """Return the keys of the columns that values() of an UPDATE sets."""
    return {key_of(column) for column, _value in _pairs_of(statement)}


def values_of(statement: Any) -> list[Any]:
    """Return what values() of an UPDATE sets its columns to."""
    return [value for _column, value in _pairs_of(statement)]


def _pairs_of(statement: Any) -> list[tuple[Any, Any]]:
    # SQLAlchemy 2.0 keeps those of ordered_values() apart.
    return [*(statement._values or {}).items(), *(getattr(statement, "_ordered_values", None) or ())]


# -- the parameters that hold a column's values


def _insert_names(compiler: SQLCompiler, state: Any, check: ColumnCheck) -> Iterator[str]:
    statement, key = state.statement, check.column
    if statement.select is not None and key in map(key_of, statement._select_names):
        _require_accepted(statement, check)
        return
    rows = state._multi_parameters if state._has_multi_parameters else [state._dict_parameters or {}]
    for number, row in enumerate(rows):
        # The names that sqlalchemy.sql.crud gives to parameters.
        name = f"{key}_m{number}" if state._has_multi_parameters else key
        values = {key_of(column): value for column, value in row.items()}
        if key in values or (name == key and key in (compiler.column_keys or ())):
            yield _name_of(compiler, statement.table, key, values.get(key), name)
        elif any(column.key == (default := name if number else key) for column in compiler.insert_prefetch):
            yield default
        elif not check.is_optional:
            raise TenancyFault(f"{describe(statement.table)} is inserted into without a value for {key!r}.")


def _name_of(compiler: SQLCompiler, table: FromClause, key: str, value: object, name: str) -> str:
    """Return the name of the parameter that a column's value is. name: the one it has unless the value is one."""
    if isinstance(value, BindParameter):
        name = next((known for bind, known in compiler.bind_names.items() if bind.key == value.key), "")
    elif isinstance(value, ColumnElement):
        name = ""
    if name not in compiler.binds:
        raise TenancyFault(f"{describe(table)} takes a plain value for {key!r}, which says whose a row is, and no SQL.")
    return name


def _require_accepted(statement: Any, check: ColumnCheck) -> None:
    position = list(map(key_of, statement._select_names)).index(check.column)
    for part in _selects_of(statement.select):
        columns = list(part.selected_columns)
        # Text is none of them, and may be several columns to the database: what follows it stands elsewhere.
        if len(columns) != len(statement._select_names):
            raise TenancyFault(f"{describe(statement.table)} is filled by a SELECT with text among its columns.")
        expression = columns[position]
        if not check.accepts(expression.element if isinstance(expression, Label) else expression):
            raise TenancyFault(
                f"{describe(statement.table)} takes {check.column!r} from a SELECT. That has to give the column of a "
                "protected table that it comes from; or leave it out, if there is a default."
            )


def _selects_of(query: Any) -> Iterator[Any]:
    if isinstance(query, CompoundSelect):
        for part in query.selects:
            yield from _selects_of(part)
    elif isinstance(element := getattr(query, "element", None), SelectBase):
        yield from _selects_of(element)
    else:
        yield query


# -- references of tables that no key with a tenant in it watches over


def _list_checks(rule: TableRule, table: FromClause) -> list[ColumnCheck]:
    references = [] if rule.parent is None else _reference_checks(unwrap(table)[-1])
    return [*rule.checks, *references]


def _reference_checks(table: FromClause) -> list[ColumnCheck]:
    """Return a check for each foreign key column of a table: the row it refers to must be there for the tenant."""
    targets = [(column.key, foreign_key.column) for column in table.c for foreign_key in column.foreign_keys]
    return [
        ColumnCheck(key, _looks_up(target), is_optional=True, accepts=_is_column(target))
        for key, target in targets
        if find_protection(target.table) is not None
    ]


def _looks_up(target: Column[Any]) -> Callable[[list[object], Connection], None]:
    def verify(values: list[object], connection: Connection) -> None:
        wanted = list({value for value in values if value is not None})
        for start in range(0, len(wanted), _MOST_VALUES):
            batch = wanted[start : start + _MOST_VALUES]
            # The connection is a guarded one, so this counts rows of the tenant.
            found = connection.execute(select(func.count(target.distinct())).where(target.in_(batch))).scalar_one()
            if found != len(batch):
                raise ForeignRow(detail=f"a row of {target.table.name!r} that was to be referred to is not there")

    return verify


def _is_column(target: Column[Any]) -> Callable[[object], bool]:
    def accepts(expression: object) -> bool:
        if not isinstance(expression, Column) or expression.table is None:
            return False
        return unwrap(expression.table)[-1] == target.table and expression.key == target.key

    return accepts
