"""Where in a statement the conditions of protected tables go, so that they mean: the rows of others are not there.

A condition on a table that every row of the result comes from stands in WHERE. On the side of an outer join that may
be missing it stands in that join's ON; where neither would mean the same, inside a subquery in the table's place.
Rule: a plain WHERE wherever that is exact. It keeps FOR UPDATE to the rows that are returned, and lets PostgreSQL see
that a GROUP BY of a primary key covers the table's other columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, FromClause, and_, select
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.expression import Alias, Join, TableClause
from sqlalchemy.sql.selectable import FromGrouping

from .faults import TenancyFault
from .rules import Command, describe, find_protection, unwrap

_S = TypeVar("_S")
Conditions = Sequence[ColumnElement[Any]]


@dataclass(slots=True)
class Placement:
    """The FROM list of a statement with its conditions.

    placed: the tables, or the aliases of tables, whose conditions are in it. Each may be written once.
    """

    sources: list[FromClause] = field(default_factory=list)
    criteria: list[ColumnElement[bool]] = field(default_factory=list)
    placed: set[FromClause] = field(default_factory=set)

    @classmethod
    def of(cls, sources: Iterable[FromClause]) -> Placement:
        """Return the FROM list of a SELECT, or what an UPDATE or DELETE reads beside its own table."""
        placement = cls()
        placement.sources = [placement._put(from_, placement.criteria) for from_ in sources]
        return placement

    def add_target(self, table: FromClause, command: Command) -> None:
        """Place the conditions of the table, or alias of it, that an UPDATE or DELETE is on."""
        self.criteria += self._conditions(table, command)

    def _put(self, from_: FromClause, sink: list[ColumnElement[bool]] | None) -> FromClause:
        """Return what stands for a part of the FROM list. sink: takes conditions; None when they must stay inside."""
        if isinstance(from_, Join):
            return self._put_join(from_, sink)
        if isinstance(from_, FromGrouping):
            element = self._put(from_.element, sink)
            return from_ if element is from_.element else FromGrouping(element)
        if sink is None:
            return self._enclose(from_)
        sink += self._conditions(from_, "select")
        return from_

    def _put_join(self, join: Join, sink: list[ColumnElement[bool]] | None) -> Join:
        on: list[ColumnElement[bool]] = []
        if join.full:
            left, right = self._put(join.left, None), self._put(join.right, None)
        elif join.isouter:
            left, right = self._put(join.left, sink), self._put(join.right, on)
        else:
            inner = on if sink is None else sink
            left, right = self._put(join.left, inner), self._put(join.right, inner)
        if not on and left is join.left and right is join.right:
            return join
        rebuilt = join._clone()
        rebuilt.left, rebuilt.right = left, right
        if on:
            rebuilt.onclause = and_(*demand([cast("ColumnElement[bool]", join.onclause)], on))
        return rebuilt

    def _conditions(self, from_: FromClause, command: Command) -> list[ColumnElement[bool]]:
        chain = unwrap(from_)
        rule = find_protection(chain[-1]) if isinstance(chain[-1], TableClause) else None
        if rule is None:
            return []
        self.placed.add(chain[-2] if len(chain) > 1 else from_)
        return rule.criteria(from_, command)

    def _enclose(self, from_: FromClause) -> FromClause:
        table = unwrap(from_)[-1]
        if not isinstance(table, TableClause) or find_protection(table) is None:
            return from_
        is_named = isinstance(from_, Alias) or (from_ is table and table.schema is None)
        if not is_named:
            raise TenancyFault(f"{describe(table)} is on a side of a FULL JOIN: give it a name there, by alias().")
        # Filtered when it is compiled; columns are looked for under this name.
        return select(table).subquery(cast(Any, from_).name)


def constrain(statement: _S, criteria: Conditions) -> _S:
    """Return a copy of a statement whose WHERE demands the conditions beside its own."""
    guarded = cast(Any, statement)._generate()
    guarded._where_criteria = demand(guarded._where_criteria, criteria)
    return cast(_S, guarded)


def demand(
    own: Sequence[ColumnElement[Any]], criteria: Sequence[ColumnElement[bool]]
) -> tuple[ColumnElement[Any], ...]:
    """Return what all must hold, the statement's own conditions and others."""
    # In parentheses: text is put where it stands, and an OR in it would reach across.
    return (Grouping(and_(*own)), *criteria) if own else tuple(criteria)
