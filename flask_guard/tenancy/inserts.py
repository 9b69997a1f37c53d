"""What INSERT and UPDATE write into the columns that say whose a row is.

When a statement is compiled it is established which parameters hold those values; at each execution they are looked
at, those of all rows. Rule: a value that is no plain parameter is refused, for nobody could look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, Connection, FromClause
from sqlalchemy.sql import coercions, roles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import CompoundSelect, Label, SelectBase

from .faults import ForeignWrite, TenancyFault
from .parameters import TenantParameter
from .placement import unwrap
from .rules import ColumnCheck, TableRule, describe, rule_of


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
    return tuple(Write(tuple(_insert_names(compiler, state, check)), check.verify) for check in rule.checks)


def plan_update(compiler: SQLCompiler, rule: TableRule) -> tuple[Write, ...]:
    """Return what an UPDATE, which has just been compiled, writes. Raises CrossTenantWrite if a row may move."""
    state: Any = compiler.dml_compile_state
    table = state.statement.table
    written = {key_of(column): value for column, value in (state._dict_parameters or {}).items()}
    columns = {*written, *(compiler.column_keys or ())}
    return tuple(
        Write((_name_of(compiler, table, check.column, written.get(check.column), check.column),), check.verify)
        for check in find_set_checks(rule, table, columns)
    )


def find_set_checks(rule: TableRule, table: FromClause, columns: set[str]) -> list[ColumnCheck]:
    """Return the checks of the columns that an UPDATE sets. Raises CrossTenantWrite for one that may not be set."""
    checks = [check for check in rule.checks if check.column in columns]
    for check in checks:
        if check.is_fixed:
            raise ForeignWrite(detail=f"{describe(table)} was to have its column {check.column!r} set by UPDATE")
    return checks


def _insert_names(compiler: SQLCompiler, state: Any, check: ColumnCheck) -> Iterator[str]:
    statement, key = state.statement, check.column
    if statement.select is not None and key in map(key_of, statement._select_names):
        _require_own_tenant(statement, key)
        return
    rows = state._multi_parameters if state._has_multi_parameters else [state._dict_parameters or {}]
    for number, row in enumerate(rows):
        # The names that sqlalchemy.sql.crud gives to parameters.
        name = f"{key}_m{number}" if state._has_multi_parameters else key
        values = {key_of(column): value for column, value in row.items()}
        if key in values or (name == key and key in (compiler.column_keys or ())):
            yield _name_of(compiler, statement.table, key, values.get(key), name)
        else:
            yield _name_of_default(compiler, statement.table, key, name if number else key)


def _name_of(compiler: SQLCompiler, table: FromClause, key: str, value: object, name: str) -> str:
    """Return the name of the parameter that a column's value is. name: the one it has unless the value is one."""
    if isinstance(value, BindParameter):
        name = next((known for bind, known in compiler.bind_names.items() if bind.key == value.key), "")
    elif isinstance(value, ColumnElement):
        name = ""
    if name not in compiler.binds:
        raise TenancyFault(f"{describe(table)} takes a plain value for {key!r}, which says whose a row is, and no SQL.")
    return name


def _name_of_default(compiler: SQLCompiler, table: FromClause, key: str, name: str) -> str:
    if not any(column.key == name for column in compiler.insert_prefetch):
        raise TenancyFault(f"{describe(table)} is inserted into without {key!r}, which says whose a row is.")
    return name


def _require_own_tenant(statement: Any, key: str) -> None:
    """Raise TenancyError unless every SELECT of an INSERT .. SELECT gives the bound tenant for a column."""
    position = list(map(key_of, statement._select_names)).index(key)
    if not all(_is_own_tenant(list(select.selected_columns)[position]) for select in _selects_of(statement.select)):
        raise TenancyFault(
            f"{describe(statement.table)} takes {key!r} from a SELECT, which has to give the tenant column of a "
            "protected table for it, or to leave it out."
        )


def _selects_of(select: Any) -> Iterator[Any]:
    if isinstance(select, CompoundSelect):
        for part in select.selects:
            yield from _selects_of(part)
    elif isinstance(element := getattr(select, "element", None), SelectBase):
        yield from _selects_of(element)
    else:
        yield select


def _is_own_tenant(expression: Any) -> bool:
    if isinstance(expression, Label):
        expression = expression.element
    if isinstance(expression, TenantParameter):
        return True
    if not isinstance(expression, Column) or expression.table is None:
        return False
    rule = rule_of(unwrap(expression.table)[-1])
    return rule is not None and rule.tenant == expression.key


def key_of(column: Any) -> str:
    """Return the key of a column that is named by itself, by an attribute of a model or by its key."""
    return str(coercions.expect(roles.DMLColumnRole, column, as_key=True))
