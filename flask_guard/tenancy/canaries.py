"""Statements that are compiled at start, to see that the compiler still filters.

It relies on methods of SQLAlchemy that are not promised to anybody. Whatever an upgrade does to them, and whatever an
application has put in their place, comes out here and not as a leak: for each protected table one statement of each
form is compiled, and each must ask as often for whom it is as it reads the table.
Rule: nothing is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Column, Dialect, Engine, Table, delete, exists, func, insert, select, text, union_all, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.expression import Executable

from ..errors import ConfigError, GuardError, TenancyError
from .compiler import GuardedCompiler
from .engines import guarded_dialect, is_installed
from .rules import TableRule, find_protection, list_protected

_passed: WeakKeyDictionary[Table, set[tuple[Any, int, int]]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Canary:
    """A statement, and how often it touches rows that a condition must keep apart."""

    form: str
    statement: Executable
    touches: int


def run_canaries(engine: Engine) -> None:
    """Raise ConfigError unless every form of statement is filtered, for every protected table, on this engine.

    A table that passed is asked again when its rule has changed: an application of many tables has many statements.
    """
    dialect = guarded_dialect(engine.dialect)
    faults = [] if is_installed() else ["The connections of this process are not guarded."]
    for table in list_protected():
        rule = cast(TableRule, find_protection(table))
        state = (dialect.statement_compiler, len(rule.predicates), len(rule.checks))
        passed = _passed.setdefault(table, set())
        found = [] if state in passed else list(_find_faults(table, rule, dialect))
        if not found:
            passed.add(state)
        faults += found
    if faults:
        raise ConfigError(*faults)


def _find_faults(table: Table, rule: TableRule, dialect: Dialect) -> Iterator[str]:
    for canary in _list_canaries(table, rule, dialect):
        try:
            compiled = cast(GuardedCompiler, canary.statement.compile(dialect=dialect))  # type: ignore[attr-defined]
        except (GuardError, SQLAlchemyError, NotImplementedError) as exc:
            yield f"A statement of the form {canary.form} on {table.fullname!r} cannot be compiled: {exc}"
            continue
        if not _is_filtered(compiled, canary, rule):
            yield (
                f"A statement of the form {canary.form} on {table.fullname!r} comes out of SQLAlchemy without the "
                "conditions of its rows. Use a version of SQLAlchemy that this version of the kit knows."
            )
    if not _refuses_text(table, dialect):
        yield f"SQL text that names {table.fullname!r} is not refused."


def _is_filtered(compiled: GuardedCompiler, canary: Canary, rule: TableRule) -> bool:
    if canary.form == "INSERT":
        return len(getattr(compiled, "guard_writes", ())) >= len(rule.checks)
    # Other conditions than these may hold without a parameter.
    is_counted = rule.tenant is not None or rule.owner is not None or rule.parent is not None
    return not is_counted or _count_questions(compiled) >= canary.touches


def _count_questions(compiled: GuardedCompiler) -> int:
    names = {name for name, _parameter in getattr(compiled, "guard_ambient", ())}
    if not compiled.positional:
        return sum(len(re.findall(rf"\b{re.escape(name)}\b", compiled.string)) for name in names)
    positions = enumerate(cast("list[str]", compiled.positiontup), start=1)
    marks = [number for number, name in positions if name in names]
    if not compiled._numeric_binds:
        return len(marks)
    sign = re.escape(compiled._numeric_binds_identifier_char)
    return sum(len(re.findall(rf"{sign}{number}\b", compiled.string)) for number in marks)


def _refuses_text(table: Table, dialect: Dialect) -> bool:
    try:
        name = dialect.identifier_preparer.format_table(table)
        text(f"SELECT * FROM {name}").compile(dialect=dialect)  # noqa: S608  # not executed
    except TenancyError:
        return True
    return False


def _list_canaries(table: Table, rule: TableRule, dialect: Dialect) -> Iterator[Canary]:
    column: Column[Any] = next(iter(table.primary_key or table.c))
    one, other = table.alias(), table.alias()
    matches, is_other = one.c[column.key] == other.c[column.key], column == other.c[column.key]

    yield Canary("SELECT", select(table), 1)
    yield Canary("SELECT without FROM", select(func.count()).where(column.is_not(None)), 1)
    yield Canary("SELECT from an alias", select(one), 1)
    yield Canary("JOIN", select(table).join(other, is_other), 2)
    yield Canary("LEFT JOIN", select(table).outerjoin(other, is_other), 2)
    yield Canary("FULL JOIN", select(one, other).select_from(one.join(other, matches, full=True)), 2)
    yield Canary("subquery", select(select(table).subquery()), 1)
    yield Canary("scalar subquery", select(select(func.count(column)).scalar_subquery()), 1)
    yield Canary("WITH", select(select(table).cte()), 1)
    yield Canary("EXISTS", select(exists(select(table))), 1)
    yield Canary("UNION", union_all(select(one), select(other)), 2)
    yield Canary("INSERT", insert(table).values(dict.fromkeys(table.c.keys())), 1)
    yield Canary("DELETE", delete(table), 1)
    if dialect.name == "postgresql":
        yield Canary("DELETE USING", delete(table).where(is_other), 2)
    checked = {check.column for check in rule.checks}
    free = [each for each in table.c if each.key not in checked and not each.foreign_keys and not each.primary_key]
    if free:
        yield Canary("UPDATE", update(table).values({free[0]: None}), 1)
        yield Canary("UPDATE FROM", update(table).where(is_other).values({free[0]: None}), 2)
