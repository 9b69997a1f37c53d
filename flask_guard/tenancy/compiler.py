"""The SQL compiler of guarded connections: no statement leaves it that reaches rows of others.

SELECT, UPDATE and DELETE get the conditions of the tables they touch (`placement`), INSERT and UPDATE a plan of what is
to be looked at when they are executed (`inserts`), and text is read (`text_guard`).
Rule: a table whose conditions nobody has placed is refused when its name is about to be written, so that a form of
statement that is not known here, or a new one of SQLAlchemy, is an error and no leak.
Relies on methods of SQLCompiler that SQLAlchemy 2.0 and 2.1 have alike; `canaries` finds out at start whether they
still do what they did.
"""

# SQLAlchemy does not say what the methods of its compiler take and return.
# mypy: disable-error-code="no-untyped-call, override"

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import copy
from functools import cached_property
from typing import Any, cast

from sqlalchemy import BindParameter, FromClause, TextClause, and_
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement, ColumnClause
from sqlalchemy.sql.expression import TableClause, TextualSelect
from sqlalchemy.sql.visitors import iterate

from .batches import is_copy_of_protected
from .faults import TenancyFault
from .inserts import Write, find_set_checks, plan_insert, plan_update, require_harmless_upsert, values_of, written_by
from .parameters import PREFIX
from .placement import Placement, constrain, demand
from .rules import Command, TableRule, describe, find_protection, unwrap
from .text_guard import read_fragment, read_text, require_no_interpreter, require_unprotected

# The statements of other databases have forms of their own, which are not looked at here.
_DIALECTS = frozenset({"postgresql", "sqlite"})
# OR REPLACE deletes the rows that are in the way, whose ever they are.
_STRING = re.compile(r"'(?:[^'\\]|'')*'")
_HARMLESS_PREFIXES = frozenset({"or abort", "or fail", "or ignore", "or rollback"})


class GuardedCompiler(SQLCompiler):
    """What stands before the compiler class of a dialect.

    guard_writes: values to be looked at in each execution. guard_names: words of text, to be looked up in each
    execution, for a table may be declared after the text was compiled.
    """

    guard_writes: tuple[Write, ...] = ()
    guard_names: frozenset[str] = frozenset()

    # -- SELECT

    def _compose_select_body(self, text: Any, select: Any, state: Any, columns: Any, sources: Any, *rest: Any) -> Any:
        byfrom, toplevel, kwargs = rest
        placement = Placement.of(sources)
        if placement.criteria:
            select = constrain(select, placement.criteria)
        kwargs = {**kwargs, "guard_placed": placement.placed}
        return super()._compose_select_body(text, select, state, columns, placement.sources, byfrom, toplevel, kwargs)

    def visit_table(self, table: Any, asfrom: bool = False, **kw: Any) -> Any:
        if (asfrom or kw.get("within_tstring")) and self._find_protection(table) is not None:
            alias = kw.get("enclosing_alias")
            # An alias is handed down to all that is inside of it, so it may be that of another table.
            is_own_alias = alias is not None and alias.element is table
            self._use(cast(FromClause, alias) if is_own_alias else table, kw.get("guard_placed", set()))
        return super().visit_table(table, asfrom=asfrom, **kw)

    def _use(self, from_: FromClause, placed: set[FromClause]) -> None:
        """Let a table be written once, where its conditions are: all parts of the statement are handed the same set."""
        if from_ not in placed:
            raise TenancyFault(f"{describe(from_)} stands where no condition on its rows can be put.")
        placed.remove(from_)

    def _find_protection(self, from_: FromClause) -> TableRule | None:
        table = unwrap(from_)[-1]
        rule = find_protection(table) if isinstance(table, TableClause) else None
        if isinstance(table, TableClause):
            # A name that is not to be quoted may be anything.
            for name in (table.schema, None if rule else table.name):
                if name is not None and getattr(name, "quote", None) is False:
                    self._read(None, name)
        if rule is not None and self.dialect.name not in _DIALECTS:
            raise TenancyFault(f"{describe(table)} can be used on PostgreSQL and SQLite, not on {self.dialect.name}.")
        return rule

    # -- UPDATE and DELETE

    def visit_update(self, update_stmt: Any, visiting_cte: Any = None, **kw: Any) -> Any:
        is_outermost = visiting_cte is None and not self.stack
        # A copy: update_tables_clause gets it, or what the ORM makes of it, and adds conditions.
        text = super().visit_update(update_stmt._generate(), visiting_cte=visiting_cte, **kw)
        if is_outermost and (rule := self._find_protection(self._dml_statement.table)) is not None:
            self.guard_writes = plan_update(self, rule)
        return text

    def update_tables_clause(self, update_stmt: Any, from_table: Any, extra_froms: Any, **kw: Any) -> Any:
        kw["guard_placed"] = self._place_write(update_stmt, from_table, extra_froms, "update")
        rule = self._find_protection(from_table)
        if rule is not None:
            self._require_single(update_stmt, values_of(update_stmt))
        written = {*written_by(update_stmt), *(self.column_keys or ())}
        if rule is not None and len(self.stack) > 1 and find_set_checks(rule, from_table, written):
            raise TenancyFault(f"{describe(from_table)} is updated inside of another statement: do it on its own.")
        return super().update_tables_clause(update_stmt, from_table, extra_froms, **kw)

    def update_from_clause(self, update_stmt: Any, from_table: Any, extra_froms: Any, hints: Any, **kw: Any) -> Any:
        placement = Placement.of(extra_froms)
        kw["guard_placed"] = placement.placed
        return super().update_from_clause(update_stmt, from_table, placement.sources, hints, **kw)

    def visit_delete(self, delete_stmt: Any, visiting_cte: Any = None, **kw: Any) -> Any:
        return super().visit_delete(delete_stmt._generate(), visiting_cte=visiting_cte, **kw)

    def delete_table_clause(self, delete_stmt: Any, from_table: Any, extra_froms: Any, **kw: Any) -> Any:
        kw["guard_placed"] = self._place_write(delete_stmt, from_table, extra_froms, "delete")
        return super().delete_table_clause(delete_stmt, from_table, extra_froms, **kw)

    def delete_extra_from_clause(
        self, delete_stmt: Any, from_table: Any, extra_froms: Any, hints: Any, **kw: Any
    ) -> Any:
        placement = Placement.of(extra_froms)
        kw["guard_placed"] = placement.placed
        return super().delete_extra_from_clause(delete_stmt, from_table, placement.sources, hints, **kw)

    def _place_write(self, statement: Any, table: Any, others: Any, command: Command) -> set[FromClause]:
        """Add the conditions to the WHERE of a copy that is the compiler's own."""
        placement = Placement.of(others)
        placement.add_target(table, command)
        if placement.criteria:
            statement._where_criteria = demand(statement._where_criteria, placement.criteria)
        if self._find_protection(table) is not None:
            self._require_harmless_prefixes(statement)
        return placement.placed

    # -- INSERT

    def visit_insert(self, insert_stmt: Any, visited_bindparam: Any = None, visiting_cte: Any = None, **kw: Any) -> Any:
        is_outermost = visiting_cte is None and not self.stack
        if not is_outermost and self._find_protection(insert_stmt.table) is not None:
            raise TenancyFault(f"{describe(insert_stmt.table)} is inserted into inside of another statement.")
        if insert_stmt.select is not None and is_copy_of_protected(insert_stmt.table.name):
            raise TenancyFault("A migration would copy the rows of one tenant only: run it in an unscoped block.")
        text = super().visit_insert(insert_stmt, visited_bindparam, visiting_cte, **kw)
        if is_outermost and (rule := self._find_protection(self._dml_statement.table)) is not None:
            self._require_harmless_prefixes(self._dml_statement)
            self.guard_writes = plan_insert(self, rule)
        return text

    def visit_on_conflict_do_update(self, on_conflict: Any, **kw: Any) -> Any:
        table = cast(Any, self.stack[-1]["selectable"]).table
        rule = self._find_protection(table)
        if rule is not None:
            # A list of pairs in SQLAlchemy 2.0, a dict in 2.1.
            values = dict(on_conflict.update_values_to_set)
            require_harmless_upsert(rule, table, values.items())
            self._require_single(table, values.values())
            own = () if on_conflict.update_whereclause is None else (on_conflict.update_whereclause,)
            on_conflict = copy(on_conflict)
            on_conflict.update_whereclause = and_(*demand(own, rule.criteria(table, "update")))
        return super().visit_on_conflict_do_update(on_conflict, **kw)  # type: ignore[misc]

    @property
    def _dml_statement(self) -> Any:
        return cast(Any, self.dml_compile_state).statement

    def _require_harmless_prefixes(self, statement: Any) -> None:
        for prefix, _dialect in statement._prefixes:
            if " ".join(str(prefix).casefold().split()) not in _HARMLESS_PREFIXES:
                raise TenancyFault(f"{describe(statement.table)} is written with a prefix that may reach other rows.")

    # -- text

    def visit_textclause(self, textclause: Any, **kw: Any) -> Any:
        self._read(textclause, textclause.text)
        return super().visit_textclause(textclause, **kw)

    def visit_tstring(self, tstring: Any, **kw: Any) -> Any:
        # What stands between the pieces of text is compiled as what it is.
        self._read(tstring, "".join(getattr(part, "text", " ? ") for part in tstring.parts))
        return super().visit_tstring(tstring, **kw)

    def escape_literal_column(self, text: str) -> Any:
        if not _STRING.fullmatch(text):  # SQLite might take it for a name, but not where a column stands.
            self._read(None, text)
        return super().escape_literal_column(text)

    def get_statement_hint_text(self, hint_texts: Any) -> Any:
        for text in hint_texts:
            self._read(None, text)
        return super().get_statement_hint_text(hint_texts)

    def visit_extract(self, extract: Any, **kw: Any) -> Any:
        self._read(None, extract.field)
        return super().visit_extract(extract, **kw)

    def visit_function(self, func: Any, **kw: Any) -> Any:
        require_no_interpreter(func.name)
        return super().visit_function(func, **kw)

    def _require_single(self, target: Any, values: Iterable[Any]) -> None:
        """Refuse text in SET that sets other columns besides."""
        for value in values:
            for part in iterate(value) if isinstance(value, ClauseElement) else ():
                is_literal = isinstance(part, ColumnClause) and part.is_literal
                text = part.text if isinstance(part, TextClause) else str(cast(Any, part).name) if is_literal else ""
                if read_text(text, self.dialect.name).lists:
                    raise TenancyFault(f"{describe(getattr(target, 'table', target))} is given text with commas in it.")

    def _read(self, element: Any, text: str) -> None:
        if self.statement is None:  # A part of CREATE TABLE, for example: DDL is read as a whole.
            return
        if not self.stack:
            names = read_text(text, self.dialect.name).asked
        else:
            outer = self.stack[-1]["selectable"]
            is_select = isinstance(outer, TextualSelect) and outer.element is element
            names = read_fragment(text, self.dialect.name, is_select=is_select)
        require_unprotected(names)
        self.guard_names |= names

    # -- parameters

    @cached_property
    def guard_ambient(self) -> tuple[tuple[str, BindParameter[Any]], ...]:
        """The parameters that are asked for at each execution, by their names in it."""
        binds = self.bind_names.items()
        return tuple((name, bind) for bind, name in binds if name.startswith(PREFIX) and bind.callable is not None)

    def render_literal_bindparam(self, bindparam: Any, *args: Any, **kw: Any) -> Any:
        if str(bindparam._orig_key).startswith(PREFIX):
            raise TenancyFault("SQL that is filtered cannot have its parameters written into it: a view, for example.")
        return super().render_literal_bindparam(bindparam, *args, **kw)
