"""Row security in Alembic: `op.apply_rls` and `op.drop_rls`, and an autogenerate that notices what differs.

Import it in your `env.py`. A revision says in full what the policies are, so it means the same whatever the models
have become, and its downgrade brings back what was there before.

    op.apply_rls("notes", [Policy("guard_open", "all", False, "true", "true"), ...])

Rule: autogenerate writes the policies in the order of their names, so the same difference is the same revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import DDL, Connection

from ..errors import ConfigError
from ..tenancy.rls.apply import is_intact, want_children
from ..tenancy.rls.catalogue import FoundTable, find_table, list_changed_functions, list_sealed
from ..tenancy.rls.native import escape_literals, list_functions, quote_table
from ..tenancy.rls.statements import drop_policies, index_name, protect, unprotect
from ..tenancy.rls.wanted import NativePolicy, WantedTable, list_tables, want_table

try:
    from alembic import util
    from alembic.autogenerate import comparators, renderers
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations import MigrateOperation, Operations
    from alembic.operations.ops import DropIndexOp, DropTableOp, ModifyTableOps, UpgradeOps
except ModuleNotFoundError as exc:
    raise ConfigError("Alembic is not installed. Install flask-guard-kit[migrations].") from exc

Policy = NativePolicy
_IMPORT = "from flask_guard.extras.migrations_rls import Policy"


@Operations.register_operation("apply_rls")
class ApplyRlsOp(MigrateOperation):
    """Put a table under row security with exactly these policies of Guard's.

    previous: those that it had before, which the downgrade brings back; None for a table without row security.
    index: the columns of an index that is made if it is not there; a downgrade leaves it.
    """

    def __init__(
        self,
        table: str,
        policies: Sequence[NativePolicy],
        *,
        schema: str | None = None,
        previous: Sequence[NativePolicy] | None = None,
        index: Sequence[str] = (),
    ) -> None:
        self.wanted = WantedTable(table, schema, tuple(policies), tuple(index))
        self.previous = None if previous is None else tuple(previous)

    @classmethod
    def apply_rls(cls, operations: Operations, table: str, policies: Sequence[NativePolicy], **options: Any) -> None:
        """Put a table under row security. Options: schema, previous, index."""
        operations.invoke(cls(table, policies, **options))

    def reverse(self) -> MigrateOperation:
        wanted = self.wanted
        if self.previous is None:
            return DropRlsOp(wanted.name, wanted.policies, schema=wanted.schema)
        return ApplyRlsOp(wanted.name, self.previous, schema=wanted.schema, previous=wanted.policies)

    def to_diff_tuple(self) -> tuple[str, str]:
        return ("apply_rls", self.wanted.full_name)


@Operations.register_operation("drop_rls")
class DropRlsOp(MigrateOperation):
    """Take a table out of row security and drop these policies; the downgrade brings them back."""

    def __init__(self, table: str, policies: Sequence[NativePolicy], *, schema: str | None = None) -> None:
        self.wanted = WantedTable(table, schema, tuple(policies))

    @classmethod
    def drop_rls(cls, operations: Operations, table: str, policies: Sequence[NativePolicy], **options: Any) -> None:
        """Take a table out of row security. Options: schema."""
        operations.invoke(cls(table, policies, **options))

    def reverse(self) -> MigrateOperation:
        return ApplyRlsOp(self.wanted.name, self.wanted.policies, schema=self.wanted.schema)

    def to_diff_tuple(self) -> tuple[str, str]:
        return ("drop_rls", self.wanted.full_name)


@Operations.implementation_for(ApplyRlsOp)
def _apply(operations: Operations, operation: ApplyRlsOp) -> None:
    _run(operations, list_functions())
    kept = {policy.name for policy in operation.wanted.policies}
    gone = [policy.name for policy in operation.previous or () if policy.name not in kept]
    _run(operations, drop_policies(operation.wanted.full_name, gone))
    _run(operations, protect(operation.wanted))


@Operations.implementation_for(DropRlsOp)
def _drop(operations: Operations, operation: DropRlsOp) -> None:
    names = [policy.name for policy in operation.wanted.policies]
    _run(operations, unprotect(operation.wanted.full_name, names))


def _run(operations: Operations, statements: Iterable[str]) -> None:
    for statement in statements:
        # DDL takes % for a place to put something in.
        operations.execute(DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]


# -- autogenerate


# After the tables were compared; before Alembic 1.18 the order was that of the registrations.
_LAST: dict[str, Any] = {"priority": util.DispatchPriority.LAST} if hasattr(util, "DispatchPriority") else {}


@comparators.dispatch_for("schema", **_LAST)
def _compare(context: AutogenContext, upgrade: UpgradeOps, _schemas: object) -> None:
    """Propose what brings the policies of the database to those of the models."""
    connection, metadata = context.connection, context.metadata
    if connection is None or metadata is None or connection.dialect.name != "postgresql":
        return
    can_compare = not list_changed_functions(connection)
    tables = [table for each in _listed(metadata) for table in list_tables(each)]
    wanted = [*map(want_table, tables), *(child for table in tables for child in want_children(connection, table))]
    for each in sorted(wanted, key=lambda table: table.full_name):
        found = find_table(connection, each.full_name)
        if found is None or not can_compare or not _is_as_wanted(connection, found, each):
            upgrade.ops.append(
                ApplyRlsOp(each.name, each.policies, schema=each.schema, previous=_previous(found), index=each.index)
            )
    _keep_indexes(upgrade, {index_name(each) for each in wanted if each.index})
    _drop_leftovers(connection, upgrade, metadata, {each.full_name for each in wanted})


def _listed(metadata: Any) -> list[Any]:
    return list(metadata) if isinstance(metadata, (list, tuple)) else [metadata]


def _is_as_wanted(connection: Connection, found: FoundTable, wanted: WantedTable) -> bool:
    there = {policy.name: policy for policy in found.policies if policy.seal is not None}
    if not found.is_enabled or not found.is_forced or set(there) != {policy.name for policy in wanted.policies}:
        return False
    return all(is_intact(connection, found, there[policy.name], policy) for policy in wanted.policies)


def _previous(found: FoundTable | None) -> tuple[NativePolicy, ...] | None:
    """Return the policies of Guard's that a table has, as the database prints them; None without row security."""
    if found is None or not found.is_enabled:
        return None
    return tuple(
        NativePolicy(each.name, each.command, each.restrictive, _quote(each.using), _quote(each.check), each.seal[0])
        for each in found.policies
        if each.seal is not None
    )


def _quote(printed: str | None) -> str | None:
    return None if printed is None else escape_literals(printed)


def _keep_indexes(upgrade: UpgradeOps, names: set[str]) -> None:
    """Take back the proposals to drop the indexes that `apply_rls` made, which are in no model."""
    for each in list(upgrade.ops):
        if isinstance(each, ModifyTableOps):
            each.ops = [op for op in each.ops if not isinstance(op, DropIndexOp) or op.index_name not in names]
            if not each.ops:
                upgrade.ops.remove(each)


def _drop_leftovers(connection: Connection, upgrade: UpgradeOps, metadata: Any, wanted: set[str]) -> None:
    """Take tables that are protected in no model any more out of row security, before they may be dropped."""
    known = {quote_table(table.name, table.schema) for each in _listed(metadata) for table in each.tables.values()}
    dropped = {quote_table(each.table_name, each.schema) for each in upgrade.ops if isinstance(each, DropTableOp)}
    for schema, name in list_sealed(connection):
        full_name = quote_table(name, schema)
        found = find_table(connection, full_name)
        if found is not None and full_name not in wanted and full_name in known | dropped:
            upgrade.ops.insert(0, DropRlsOp(name, _previous(found) or (), schema=schema))


@renderers.dispatch_for(ApplyRlsOp)
def _render_apply(context: AutogenContext, operation: ApplyRlsOp) -> str:
    wanted = operation.wanted
    options = _render_options(wanted)
    if operation.previous is not None:
        options += f"    previous={_render_policies(context, operation.previous)},\n"
    if wanted.index:
        options += f"    index={list(wanted.index)!r},\n"
    return f"op.apply_rls(\n    {wanted.name!r},\n    {_render_policies(context, wanted.policies)},\n{options})"


@renderers.dispatch_for(DropRlsOp)
def _render_drop(context: AutogenContext, operation: DropRlsOp) -> str:
    wanted = operation.wanted
    policies = _render_policies(context, wanted.policies)
    return f"op.drop_rls(\n    {wanted.name!r},\n    {policies},\n{_render_options(wanted)})"


def _render_options(wanted: WantedTable) -> str:
    return "" if wanted.schema is None else f"    schema={wanted.schema!r},\n"


def _render_policies(context: AutogenContext, policies: Iterable[NativePolicy]) -> str:
    context.imports.add(_IMPORT)
    lines = "".join(f"        {_render_policy(policy)},\n" for policy in policies)
    return f"[\n{lines}    ]" if lines else "[]"


def _render_policy(policy: NativePolicy) -> str:
    values = [policy.name, policy.command, policy.restrictive, policy.using, policy.check]
    if policy.source_digest is not None:
        values.append(policy.source_digest)
    return f"Policy({', '.join(map(repr, values))})"
