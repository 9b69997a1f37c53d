"""Whose the rows of a table are: what is declared for it, and the conditions that follow from it.

A rule stands in `Table.info["guard"]`, one of
    {"tenant": "<column>"}   the column holds the id of the row's tenant
    {"parent": "<column>"}   the row belongs to the tenant of the row that this foreign key refers to
    {"global": True}         the rows belong to everybody
and any of them may have "owner": "<column>", the id of the principal who sees the row; whoever has a role of
`Table.info["guard_bypass_roles"]`, by default "admin", sees the rows of every owner.
A column with `info={"guard": "tenant"}` or "owner" declares that for every table it gets into, so that a mixin can
carry it. A table that declares nothing and has the name of a protected table is taken for that one: a reflected or a
lightweight table, for example.
Rule: a condition holds parameters that are asked for at execution, so compiled SQL is the same for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, cast
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Column, ColumnElement, Connection, FromClause, MetaData, Table, event, or_, select
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.sql.selectable import AliasedReturnsRows

from ..errors import TenancyError
from .faults import ForeignWrite, TenancyFault
from .parameters import (
    TenantParameter,
    bound_owner,
    bound_tenant,
    bypass_parameter,
    owner_parameter,
    sees_all_owners,
    tenant_parameter,
)

Command = Literal["select", "update", "delete"]
COMMANDS: frozenset[Command] = frozenset({"select", "update", "delete"})

_INFO = "guard"
_BYPASS_ROLES = "guard_bypass_roles"
_DEFAULT_BYPASS_ROLES = frozenset({"admin"})
_MOST_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class RowPredicate:
    """A condition that a row must fulfil for some commands.

    build: takes the table, or an alias of it, and returns the condition on its columns. It is called when a statement
    is compiled, and the outcome serves every caller: what differs between callers is a bound parameter with a
    `callable_`, whose key begins with "guard_", so that no parameter of a statement can stand in for it.
    """

    commands: frozenset[Command]
    build: Callable[[FromClause], ColumnElement[bool]]


def _accept_none(_expression: object) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class ColumnCheck:
    """What may be written to a column, whose values must be plain parameters to be looked at.

    column: its key. verify: gets the values of all rows of one execution; raises for one that is refused.
    is_fixed: UPDATE may not set the column at all. is_optional: INSERT may leave it out.
    accepts: says whether what a SELECT gives for the column needs no look, because that SELECT is filtered.
    """

    column: str
    verify: Callable[[list[object], Connection], None]
    is_fixed: bool = False
    is_optional: bool = False
    accepts: Callable[[object], bool] = _accept_none


@dataclass(slots=True, eq=False)
class TableRule:
    """Whose the rows of a table are. tenant, owner, parent: keys of columns, None for a table without such a column.

    is_used: a statement has been compiled with it.
    """

    tenant: str | None = None
    owner: str | None = None
    parent: str | None = None
    predicates: list[RowPredicate] = field(default_factory=list)
    checks: list[ColumnCheck] = field(default_factory=list)
    is_used: bool = False

    @property
    def is_protected(self) -> bool:
        return bool(self.predicates)

    def criteria(self, from_: FromClause, command: Command) -> list[ColumnElement[bool]]:
        """Return the conditions of a command on the table or an alias of it."""
        self.is_used = True
        try:
            return [predicate.build(from_) for predicate in self.predicates if command in predicate.commands]
        except KeyError as exc:
            raise TenancyFault(f"{describe(from_)} lacks the column {exc} that its rows are told apart by.") from exc


def describe(from_: FromClause) -> str:
    """Return the name of a table, or of the one that an alias is of, for an error."""
    return f"The table {str(getattr(unwrap(from_)[-1], 'name', 'of this statement'))!r}"


def unwrap(from_: FromClause) -> list[FromClause]:
    """Return an alias, what it is an alias of, and so on; of anything else just that."""
    chain = [from_]
    while isinstance(from_, AliasedReturnsRows) and isinstance(from_.element, FromClause):
        from_ = from_.element
        chain.append(from_)
    return chain


_rules: WeakKeyDictionary[FromClause, TableRule] = WeakKeyDictionary()
_by_name: dict[str, WeakSet[Table]] = {}
_unprotected: set[str] = set()  # names of tables that statements have been compiled with, without a condition
_generations = count(1)
_generation = 0


# -- look-up


def rule_of(table: FromClause) -> TableRule | None:
    """Return the rule of a table; None when there is none, neither for it nor for its name.

    Raises TenancyError for a declaration that cannot be read.
    """
    rule = _rules.get(table)
    if rule is None and isinstance(table, Table) and _INFO in table.info:
        rule = _declare(table)
    if rule is None and isinstance(table, TableClause):
        rule = _find_namesake(table.name)
    return rule


def find_protection(table: FromClause) -> TableRule | None:
    """Return the rule of a table whose rows are not everybody's; None for others."""
    rule = rule_of(table)
    if rule is not None and rule.is_protected:
        return rule
    _unprotected.add(_fold(str(getattr(table, "name", ""))))
    return None


def find_tenant_column(table: Table) -> Column[Any] | None:
    """Return the column that holds the tenant of a table's rows, if it has one of its own."""
    rule = rule_of(table)
    return None if rule is None or rule.tenant is None else table.c.get(rule.tenant)


def find_owner_column(table: Table) -> Column[Any] | None:
    """Return the column that holds the principal whose the rows of a table are, if it has one."""
    rule = rule_of(table)
    return None if rule is None or rule.owner is None else table.c.get(rule.owner)


def find_parent_column(table: FromClause, key: str) -> Column[Any]:
    """Return the column that a foreign key column refers to. Raises TenancyError when it is none, or refers to two."""
    targets = {foreign_key.column for foreign_key in table.c[key].foreign_keys} if key in table.c else set()
    if len(targets) != 1:
        raise TenancyFault(f"{describe(table)} names {key!r} as the way to its parent, which is no foreign key to one.")
    return targets.pop()


def is_protected_name(name: str) -> bool:
    """Say whether this is the name, in any case, of a table whose rows are not everybody's."""
    return _find_namesake(name) is not None


def list_protected() -> list[Table]:
    """Return the tables whose rows are not everybody's, by name."""
    tables = [table for namesakes in list(_by_name.values()) for table in list(namesakes)]
    return sorted(filter(find_protection, tables), key=lambda table: table.fullname)


def current_generation() -> int:
    """Return a number that changes when SQL that was compiled before must not be used any more."""
    return _generation


# -- additions


def add_predicate(table: Table, predicate: RowPredicate) -> None:
    """Have one more condition hold for a table. Raises TenancyError for one that is taken for another of its name."""
    rule = _own_rule(table)
    rule.predicates.append(predicate)
    _index(table)
    _retire(rule)


def add_check(table: Table, check: ColumnCheck) -> None:
    """Have what is written to a column of a table verified, beside what is verified already."""
    rule = _own_rule(table)
    rule.checks.append(check)
    _retire(rule)


def require_recompile(table: Table) -> None:
    """Say that a predicate of a table builds another condition than so far."""
    _retire(_own_rule(table))


def _own_rule(table: Table) -> TableRule:
    rule = rule_of(table)
    if table not in _rules:
        if rule is not None and (rule.tenant or rule.parent or rule.owner):
            raise TenancyFault(f"{describe(table)} is taken for another one of its name, which says whose rows it has.")
        _rules[table] = TableRule()
    return _rules[table]


def _retire(rule: TableRule) -> None:
    """End the use of what was compiled with a rule. After the change: whoever compiles now may see either."""
    if rule.is_used:
        rule.is_used = False
        _begin_generation()


def _begin_generation() -> None:
    global _generation
    _generation = next(_generations)


# -- what is wrong at start


def find_undeclared(metadata: MetaData) -> list[str]:
    """Return a sentence for each table whose rows are neither declared nor can be told apart as declared.

    Empty for a MetaData without any table of tenants. An owner or a filter does not say which tenant a row is of.
    """
    tables = list(metadata.tables.values())
    if not any(table.info.get(_INFO, {}).keys() & {"tenant", "parent"} for table in tables):
        return []
    faults = [_describe_fault(table) for table in tables]
    return [fault for fault in faults if fault]


def _describe_fault(table: Table) -> str:
    rule = rule_of(table)
    if rule is None or not table.info.get(_INFO, {}).keys() & {"tenant", "parent", "global"}:
        return (
            f"Nothing says whose the rows of the table {table.name!r} are: give the model a TenantMixin, or "
            'the table info=parent("<foreign key column>") or info=shared().'
        )
    try:
        if rule.parent is not None:
            require_root(table)
    except TenancyError as exc:
        return str(exc)
    return ""


def require_root(table: FromClause) -> None:
    """Raise TenancyError unless the path of parents that starts at a table ends at one whose rows are protected."""
    path: list[FromClause] = []
    while (rule := rule_of(table)) is not None and rule.parent is not None:
        if table in path:
            names = " -> ".join(str(getattr(step, "name", step)) for step in [*path, table])
            raise TenancyFault(f"The parents of a table go round in a circle: {names}.")
        path.append(table)
        table = find_parent_column(table, rule.parent).table
    if find_protection(table) is None:
        raise TenancyFault(f"{describe(path[-1])} names a parent whose rows do not belong to a tenant.")


# -- declarations


@event.listens_for(Column, "after_parent_attach")
def _on_column(column: Column[Any], parent: Any) -> None:
    kind = column.info.get(_INFO)
    if kind is None or not isinstance(parent, Table):
        return
    parent.info[_INFO] = {**parent.info.get(_INFO, {}), kind: column.key}
    _rules.pop(parent, None)
    _declare(parent)


@event.listens_for(Table, "after_parent_attach")
def _on_table(table: Table, _metadata: Any) -> None:
    if _INFO in table.info and table not in _rules:
        _declare(table)


def _declare(table: Table) -> TableRule:
    rule = _rules[table] = _read(table)
    _index(table)
    return rule


def _index(table: Table) -> None:
    name = _fold(table.name)
    namesakes = _by_name.setdefault(name, WeakSet())
    if _rules[table].is_protected and table not in namesakes:
        namesakes.add(table)
        if name in _unprotected:
            _unprotected.discard(name)
            _begin_generation()


def _find_namesake(name: str) -> TableRule | None:
    found = [_rules[table] for table in _by_name.get(_fold(name), ())]
    # A tenant says more than an owner or a filter does.
    return next((rule for rule in found if rule.tenant or rule.parent), found[0] if found else None)


def _fold(name: str) -> str:
    """Return what two names have in common that may be one to a database. PostgreSQL cuts them off (NAMEDATALEN)."""
    return name.encode(errors="replace")[:_MOST_NAME_BYTES].decode(errors="ignore").casefold()


def _read(table: Table) -> TableRule:
    declared = dict(table.info[_INFO])
    owner = declared.pop("owner", None)
    match declared:
        case {"tenant": str(key)} if len(declared) == 1:
            rule = TableRule(tenant=key)
            _add_tenant(rule, table, key)
        case {"parent": str(key)} if len(declared) == 1:
            rule = TableRule(parent=key)
            rule.predicates.append(RowPredicate(COMMANDS, lambda from_: _belongs(from_, key)))
        case {"global": True} if len(declared) == 1:
            rule = TableRule()
        case _ if not declared and owner is not None:
            rule = TableRule()
        case _:
            raise TenancyFault(
                f"{describe(table)} has {declared!r} in info['guard']; it takes one of 'tenant', 'parent', 'global'."
            )
    if owner is not None:
        rule.owner = owner
        _add_owner(rule, table, owner)
    return rule


def _add_tenant(rule: TableRule, table: Table, key: str) -> None:
    type_ = _get_column(table, key).type
    tenant = tenant_parameter(type_)

    def verify(values: list[object], _connection: Connection) -> None:
        bound = bound_tenant(type_)
        if any(value != bound for value in values):
            raise ForeignWrite(detail="the tenant of a row to be written is not the one that is bound")

    rule.predicates.append(RowPredicate(COMMANDS, lambda from_: from_.c[key] == tenant))
    rule.checks.append(ColumnCheck(key, verify, is_fixed=True, accepts=_is_own_tenant))


def _add_owner(rule: TableRule, table: Table, key: str) -> None:
    type_, info = _get_column(table, key).type, table.info
    owner, sees_all = owner_parameter(type_), bypass_parameter(lambda: _bypass_roles(info))

    def verify(values: list[object], _connection: Connection) -> None:
        bound = bound_owner(type_)
        if any(value != bound for value in values) and not sees_all_owners(_bypass_roles(info)):
            raise ForeignWrite(detail="the owner of a row to be written is not the principal")

    rule.predicates.append(RowPredicate(COMMANDS, lambda from_: or_(from_.c[key] == owner, sees_all)))
    rule.checks.append(ColumnCheck(key, verify))


def _is_own_tenant(expression: object) -> bool:
    if isinstance(expression, TenantParameter):
        return True
    if not isinstance(expression, Column) or expression.table is None:
        return False
    rule = rule_of(unwrap(expression.table)[-1])
    return rule is not None and rule.tenant == expression.key


def _bypass_roles(info: dict[Any, Any]) -> Collection[str]:
    return cast("Collection[str]", info.get(_BYPASS_ROLES, _DEFAULT_BYPASS_ROLES))


def _get_column(table: Table, key: str) -> Column[Any]:
    column = table.c.get(key)
    if column is None:
        raise TenancyFault(f"{describe(table)} names {key!r} in info['guard'] and has no such column.")
    if column.onupdate is not None or column.server_onupdate is not None or column.computed is not None:
        raise TenancyFault(f"{describe(table)} lets {key!r}, which says whose a row is, change by itself.")
    return column


def _belongs(from_: FromClause, key: str) -> ColumnElement[bool]:
    require_root(unwrap(from_)[-1])
    target = find_parent_column(from_, key)
    # What is selected from is filtered when it is compiled.
    return from_.c[key].in_(select(target))
