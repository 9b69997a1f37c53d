"""Row policies: which rows of a table somebody may see and write, said once in Python.

    enable_rls(Note)
    policy(Note, "own_or_shared", for_="select", using=lambda n: (n.owner_id == current_uid()) | n.shared)
    policy(Note, "own", for_="all", using=lambda n: n.owner_id == current_uid())

As PostgreSQL has it: of the permissive policies of a command one must hold, of the restrictive ones all; a table
with row security and no policy shows no row. They hold for every statement of the process, as conditions that the SQL
compiler adds; on PostgreSQL they are native policies besides, made by `flask guard rls apply`.
Source: PostgreSQL documentation, "Row Security Policies" and CREATE POLICY, table "Policies Applied by Command Type".
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Alias, ColumnElement, FromClause, Table, and_
from sqlalchemy.sql import visitors

from ..errors import ConfigError
from . import policy_checks
from .policy_rules import Condition, Policy, TablePolicies, add_policies, find_own_policies
from .process import guard_process
from .rules import Command, RowPredicate, add_predicate, find_parent_column, require_recompile, rule_of

_FILTERED: tuple[Command, ...] = ("select", "update", "delete")
_COMMANDS = ("select", "insert", "update", "delete")
# What a policy of a command may have: insert looks at new rows only, select and delete at old ones only.
_USING = frozenset({"all", "select", "update", "delete"})
_CHECK = frozenset({"all", "insert", "update"})
# PostgreSQL cuts longer names off (NAMEDATALEN), and two policies might become one.
_MOST_NAME_BYTES = 63


def enable_rls(model: Any) -> TablePolicies:
    """Put a model or Table under row security: without a policy it shows and takes no row."""
    table = _table_of(model)
    found = find_own_policies(table)
    if found is None:
        require_recompile(table)  # first, because it refuses a table that has another one's rule
        found = add_policies(table, _keys_of(model, table))
        for command in _FILTERED:
            add_predicate(table, RowPredicate(frozenset({command}), _predicate(found, command)))
        guard_process()
        policy_checks.install()
    return found


def policy(
    model: Any,
    name: str,
    *,
    for_: str = "all",
    using: Condition | None = None,
    check: Condition | None = None,
    roles: Iterable[str] = (),
    restrictive: bool = False,
) -> None:
    """Declare a policy of a model or Table, and put it under row security.

    for_: "all", "select", "insert", "update" or "delete". using: which rows there are, a function of the row that
    returns an SQL condition; check: which rows may be written, by default those of `using`. Values that a function
    takes from around it are those of its declaration: what differs between callers is `current_uid()` and the like.
    roles: the policy is for whoever has one of them ("anon" without a principal, "authenticated" with one).
    restrictive: it must hold whatever others permit.
    Raises ConfigError for a declaration that means nothing, such as one with an unknown column.
    """
    declared = Policy(name, for_, using, check, _read_roles(name, roles), restrictive)
    _require_meaning(declared)
    table, found = _table_of(model), enable_rls(model)
    if name in [known.name for known in found.policies]:
        raise ConfigError(f"The policy {name!r} of {found.name} is declared twice.")
    for built in (found.build_using(declared, table), found.build_check(declared, table)):
        _require_no_circle(declared, table, built)
    found.policies.append(declared)
    require_recompile(table)


def _predicate(found: TablePolicies, command: Command) -> Callable[[FromClause], ColumnElement[bool]]:
    # What one may not see one may not change either: PostgreSQL asks for both as soon as a statement has a WHERE.
    if command == "select":
        return lambda from_: found.using("select", from_)
    return lambda from_: and_(found.using("select", from_), found.using(command, from_))


def _require_meaning(declared: Policy) -> None:
    name, command = declared.name, declared.command
    if not isinstance(name, str) or not name.strip() or len(name.encode()) > _MOST_NAME_BYTES or "\0" in name:
        raise ConfigError(f"A policy needs a name of 1 to {_MOST_NAME_BYTES} bytes, not {name!r}.")
    if name.startswith("guard_"):
        raise ConfigError(f"The name of the policy {name!r} is one of Guard's own: it begins with guard_.")
    if command not in ("all", *_COMMANDS):
        raise ConfigError(f"The policy {name!r} is for {command!r}; there are all, {', '.join(_COMMANDS)}.")
    if declared.using is not None and command not in _USING:
        raise ConfigError(f"The policy {name!r} is for {command} and looks at new rows: write check=, not using=.")
    if declared.check is not None and command not in _CHECK:
        raise ConfigError(f"The policy {name!r} is for {command} and writes no row: write using=, not check=.")
    if declared.using is None and declared.check is None:
        raise ConfigError(f"The policy {name!r} says nothing: write using= or check=.")
    if declared.using is None and command in ("all", "update"):
        raise ConfigError(f"The policy {name!r} does not say which rows it is for: write using=.")
    for condition in (declared.using, declared.check):
        if condition is not None:
            _require_one_argument(name, condition)


def _require_one_argument(name: str, condition: Condition) -> None:
    """Refuse `lambda n, me=current(): ...`: the default is the one of the declaration, for everybody and for good."""
    if not callable(condition) or len(inspect.signature(condition).parameters) != 1:
        raise ConfigError(f"The conditions of the policy {name!r} are functions of one argument, the row.")


def _require_no_circle(declared: Policy, table: Table, built: ColumnElement[bool]) -> None:
    """Refuse a policy that asks tables whose own rules ask its table: neither wall could end evaluating it."""
    for element in visitors.iterate(built):
        asked = _asked_by(element, table)
        path = [asked]
        while asked is not None and asked is not table:
            rule = rule_of(asked)
            asked = None if rule is None or rule.parent is None else find_parent_column(asked, rule.parent).table
            path.append(asked)
        if asked is table:
            names = " -> ".join(step.name for step in path)
            raise ConfigError(
                f"The policy {declared.name!r} of {table.name} asks {names}, so it asks itself: "
                "give the table that it asks a tenant column of its own."
            )


def _asked_by(element: Any, table: Table) -> Any:
    """Return the table that an element of a condition asks, None for one that asks none.

    The policy's own table counts under another name only: a subselect that is correlated to its row has it too.
    """
    asked = element.element if isinstance(element, Alias) else element
    asked = asked._deannotate() if isinstance(asked, Table) else None
    return None if asked is table and not isinstance(element, Alias) else asked


def _read_roles(name: str, roles: Iterable[str]) -> tuple[str, ...]:
    read = (roles,) if isinstance(roles, str) else tuple(roles)
    if not all(isinstance(role, str) and role for role in read):
        raise ConfigError(f"The roles of the policy {name!r} are names.")
    return read


def _table_of(model: Any) -> Table:
    table = model if isinstance(model, Table) else getattr(model, "__table__", None)
    if not isinstance(table, Table):
        raise ConfigError(f"{model!r} is neither a mapped class nor a Table.")
    return table


def _keys_of(model: Any, table: Table) -> dict[str, str]:
    """Return the keys of a table's columns by the names that a condition may use."""
    # Not sqlalchemy.inspect: it configures every mapper, and other models may not be imported yet.
    mapper = getattr(model, "__mapper__", None)
    if mapper is None:
        return {key: key for key in table.c.keys()}  # noqa: SIM118  a collection of columns, not a dict
    return {name: column.key for name, column in mapper.columns.items() if column.table is table}
