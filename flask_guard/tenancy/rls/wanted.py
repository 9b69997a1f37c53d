"""What the models want of PostgreSQL: for each protected table its policies, as text and with a name.

Rule: the same models give the same text, whatever the order in which they were imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    FromClause,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    exists,
    or_,
    select,
    true,
)

from ..facts import CurrentRole, Fact
from ..policy_rules import TablePolicies, find_own_policies
from ..rules import find_parent_column, require_root, rule_of
from .native import quote_table, render, stand_in

TENANT = "guard_tenant"
OWNER = "guard_owner"
OPEN = "guard_open"
_WITH_CHECK = ("all", "insert", "update")
# As the rules read it: who sees the rows of every owner.
_BYPASS_ROLES, _DEFAULT_BYPASS_ROLES = "guard_bypass_roles", ("admin",)


@dataclass(frozen=True, slots=True)
class NativePolicy:
    """One policy as PostgreSQL is given it. using, check: SQL text; None where the command has none.

    source_digest: set for one that was read from a database and whose first text is not known any more.
    """

    name: str
    command: str
    restrictive: bool
    using: str | None
    check: str | None
    source_digest: str | None = None

    @property
    def digest(self) -> str:
        """The first 16 hex digits of SHA-256 over everything that it says."""
        if self.source_digest is not None:
            return self.source_digest
        text = "\n".join((self.name, self.command, str(self.restrictive), self.using or "", self.check or ""))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class WantedTable:
    """A table and what it is to have. index: the columns of an index that it lacks."""

    name: str
    schema: str | None
    policies: tuple[NativePolicy, ...]
    index: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return quote_table(self.name, self.schema)


def list_tables(metadata: MetaData) -> list[Table]:
    """Return every table of some models that is to be under row security, by name."""
    tables = sorted(metadata.tables.values(), key=lambda table: (table.schema or "", table.name))
    return [table for table in tables if is_protected(table)]


def is_protected(table: Table) -> bool:
    rule = rule_of(table)
    return rule is not None and rule.is_protected


def want_table(table: Table, *, partition: str | None = None, schema: str | None = None) -> WantedTable:
    """Return what a table is to have, or one of its partitions, by its name and schema."""
    schema = table.schema if partition is None else schema
    row = stand_in(table, partition or table.name, schema)
    return WantedTable(
        name=row.name,
        schema=schema,
        policies=tuple(sorted(_list_policies(table, row), key=lambda policy: policy.name)),
        index=() if partition else _lacking_index(table),
    )


def _list_policies(table: Table, row: FromClause) -> Iterator[NativePolicy]:
    tenant = _tenant_condition(table, row)
    if tenant is not None:
        yield _make(row, TENANT, "all", True, tenant, tenant)
    owner = _owner_condition(table, row)
    if owner is not None:
        yield _make(row, OWNER, "all", True, owner, owner)
    declared = find_own_policies(table)
    if declared is None:
        yield _make(row, OPEN, "all", False, true(), true())
    else:
        yield from _list_declared(declared, row)


def _list_declared(declared: TablePolicies, row: FromClause) -> Iterator[NativePolicy]:
    for policy in declared.policies:
        using = None if policy.command == "insert" else declared.build_using(policy, row)
        check = declared.build_check(policy, row) if policy.command in _WITH_CHECK else None
        yield _make(row, policy.name, policy.command, policy.is_restrictive, using, check)


def _make(
    row: FromClause,
    name: str,
    command: str,
    restrictive: bool,
    using: ColumnElement[bool] | None,
    check: ColumnElement[bool] | None,
) -> NativePolicy:
    texts = [None if each is None else render(each, row) for each in (using, check)]
    return NativePolicy(name, command, restrictive, *texts)


def _tenant_condition(table: Table, row: FromClause) -> ColumnElement[bool] | None:
    rule = rule_of(table)
    if rule is None:
        return None
    if rule.tenant is not None:
        return row.c[rule.tenant] == Fact("tenant")
    if rule.parent is None:
        return None
    require_root(table)
    target = find_parent_column(table, rule.parent)
    parent_table = target.table
    parent = stand_in(parent_table, parent_table.name, parent_table.schema)
    inner = _tenant_condition(parent_table, parent)
    is_parent = parent.c[target.key] == row.c[rule.parent]
    return exists(select(1).select_from(parent).where(is_parent, *([] if inner is None else [inner])))


def _owner_condition(table: Table, row: FromClause) -> ColumnElement[bool] | None:
    rule = rule_of(table)
    if rule is None or rule.owner is None:
        return None
    condition, above = row.c[rule.owner] == Fact("uid"), sorted(table.info.get(_BYPASS_ROLES, _DEFAULT_BYPASS_ROLES))
    return or_(condition, CurrentRole().in_(above)) if above else condition


def _lacking_index(table: Table) -> tuple[str, ...]:
    """Return the columns of the index that would let the tenant's rows be found, () when there is one."""
    rule = rule_of(table)
    key = None if rule is None else rule.tenant or rule.parent
    if key is None:
        return ()
    indexes = [list(index.columns) for index in table.indexes]
    indexes += [
        list(each.columns) for each in table.constraints if isinstance(each, (PrimaryKeyConstraint, UniqueConstraint))
    ]
    leading = {columns[0].key for columns in indexes if columns}
    return () if key in leading or table.c[key].index or table.c[key].unique else (table.c[key].name,)
