"""What is declared of the rows of a table, and the conditions that follow for each command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

from sqlalchemy import BindParameter, ColumnElement, FromClause, Table, and_, false, null, or_, select, true
from sqlalchemy import cast as cast_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, ClauseList
from sqlalchemy.types import TupleType

from ..errors import ConfigError
from .facts import CurrentRole, set_types

Condition = Callable[[Any], Any]

# Not in Table.info, which Alembic writes into revisions.
_of_table: WeakKeyDictionary[Table, TablePolicies] = WeakKeyDictionary()
_by_name: WeakValueDictionary[str, TablePolicies] = WeakValueDictionary()


class Row:
    """The columns of a row under the names that the model gives them: what a condition is written with."""

    def __init__(self, from_: FromClause, keys: Mapping[str, str]) -> None:
        self._from = from_
        self._keys = keys

    def __getattr__(self, name: str) -> ColumnElement[Any]:
        key = self._keys.get(name)
        if key is None:
            raise AttributeError(f"there is no column {name!r}")
        return cast("ColumnElement[Any]", self._from.c[key])


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One declared policy. command: "all" or one of four. roles: whom it is for; nobody in particular when empty."""

    name: str
    command: str
    using: Condition | None
    check: Condition | None
    roles: tuple[str, ...]
    is_restrictive: bool

    def covers(self, command: str) -> bool:
        return self.command in ("all", command)


@dataclass(slots=True, eq=False, weakref_slot=True)
class TablePolicies:
    """What is declared for one table. keys: the column's key for each name of the model.

    Does not know its table: what a table's rule keeps must not keep the table.
    """

    name: str
    keys: Mapping[str, str]
    policies: list[Policy] = field(default_factory=list)

    def using(self, command: str, from_: FromClause) -> ColumnElement[bool]:
        """Return what a row that is there must fulfil for a command."""
        return self._combine(command, lambda policy: self.build_using(policy, from_))

    def check(self, command: str, from_: FromClause) -> ColumnElement[bool]:
        """Return what a row must fulfil once it is written."""
        return self._combine(command, lambda policy: self.build_check(policy, from_))

    def build_using(self, policy: Policy, from_: FromClause) -> ColumnElement[bool]:
        return self._build(policy, policy.using, from_)

    def build_check(self, policy: Policy, from_: FromClause) -> ColumnElement[bool]:
        """Return the check of a policy; without one it is its `using`."""
        return self._build(policy, policy.check or policy.using, from_)

    def _combine(self, command: str, build: Callable[[Policy], ColumnElement[bool]]) -> ColumnElement[bool]:
        covering = [policy for policy in self.policies if policy.covers(command)]
        permissive = [build(policy) for policy in covering if not policy.is_restrictive]
        restrictive = [build(policy) for policy in covering if policy.is_restrictive]
        return and_(or_(false(), *permissive), *restrictive)

    def _build(self, policy: Policy, condition: Condition | None, from_: FromClause) -> ColumnElement[bool]:
        built = true() if condition is None else _evaluate(policy, condition, Row(from_, self.keys))
        if not policy.roles:
            return built
        is_meant = CurrentRole().in_(policy.roles)
        return or_(~is_meant, built) if policy.is_restrictive else and_(is_meant, built)


def add_policies(table: Table, keys: Mapping[str, str]) -> TablePolicies:
    """Put a table under row security, with no policy yet."""
    found = _of_table[table] = TablePolicies(table.name, keys)
    _by_name[table.name.casefold()] = found
    return found


def find_own_policies(table: Table) -> TablePolicies | None:
    """Return what is declared for this very table."""
    return _of_table.get(table)


def find_policies(table: FromClause) -> TablePolicies | None:
    """Return what is declared for a table; None when it is not under row security.

    A table that declares nothing is taken for the one of its name, as `rules.rule_of` does.
    """
    found = _of_table.get(table) if isinstance(table, Table) else None
    if found is not None or (isinstance(table, Table) and "guard" in table.info):
        return found
    return _by_name.get(str(getattr(table, "name", "")).casefold())


def _evaluate(policy: Policy, condition: Condition, row: Row) -> ColumnElement[bool]:
    try:
        built = condition(row)
        built = true() if built is True else false() if built is False else built
        if not isinstance(built, ColumnElement):
            raise TypeError(f"it returned {type(built).__name__} and no SQL condition")
        return _spread(set_types(built))
    except (AttributeError, TypeError, SQLAlchemyError) as exc:
        raise ConfigError(f"The policy {policy.name!r} cannot be built: {exc}.") from exc


def _spread(expression: ColumnElement[bool]) -> ColumnElement[bool]:
    """Give each value of a list a parameter of its own: SQLAlchemy takes no list where many rows are written."""
    for element in visitors.iterate(expression):
        right = element.right if isinstance(element, BinaryExpression) else None
        if isinstance(right, BindParameter) and right.expanding and not isinstance(right.type, TupleType):
            cast(Any, element).right = _list_values(right)
    return expression


def _list_values(values: BindParameter[Any]) -> ColumnElement[Any]:
    binds = [BindParameter(None, value, type_=values.type, unique=True) for value in values.effective_value or ()]
    if not binds:
        return select(cast_(null(), values.type)).where(false()).scalar_subquery()
    return cast("ColumnElement[Any]", ClauseList(*binds).self_group(against=operators.in_op))
