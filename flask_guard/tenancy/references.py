"""References between tables of tenants carry the tenant: `(tenant_id, x) -> (tenant_id, id)`.

A foreign key that a model declares without the tenant would accept a row of another tenant. In the metadata it is
replaced by one that has the tenant in it, and the target gets the UNIQUE that such a key needs; this happens as soon
as both tables are known, so CREATE TABLE, Alembic and `Table.constraints` show nothing else.
What the ORM joins and copies by stays the key that was declared: it remains in `Column.foreign_keys`, and the
columns of the new key do not get there. Relationships need no change, raise no warning about shared columns,
never set the tenant to NULL, and still find a parent in the identity map without SQL.
A key with SET NULL or SET DEFAULT stays, because the tenant would be set too; beside it stands one with the tenant that
is checked when the action has been taken.
Rule: nothing here looks at a database. Sources: PostgreSQL, "CREATE TABLE", REFERENCES; SQLite, "Foreign Key Support".
"""

from __future__ import annotations

from typing import Any, cast
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    event,
)
from sqlalchemy.exc import NoReferencedColumnError, NoReferencedTableError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import conv

from .rules import find_tenant_column

_OWN_ACTIONS = ("SET NULL", "SET DEFAULT")
# Under this attribute a declared key says which keys CREATE TABLE has in its place.
_MADE = "_flask_guard_made"

_attached: WeakSet[Table] = WeakSet()
_made: WeakSet[ForeignKeyConstraint] = WeakSet()
_waiting: WeakKeyDictionary[MetaData, list[ForeignKeyConstraint]] = WeakKeyDictionary()


class KeyBeside(ForeignKeyConstraint):
    """The key with the tenant that stands beside one with an action of its own.

    Deferred, because PostgreSQL checks keys and takes actions in the order of their triggers' names. SQLite takes
    the actions of a statement first, so there it is checked at once; a COMMIT that it refused would stay open.
    """


@compiles(KeyBeside)
def _write_key(key: KeyBeside, compiler: Any, **options: Any) -> str:
    return cast(str, compiler.visit_foreign_key_constraint(key, **options))


@compiles(KeyBeside, "sqlite")
def _write_key_at_once(key: KeyBeside, compiler: Any, **options: Any) -> str:
    return _write_key(key, compiler, **options).removesuffix(compiler.define_constraint_deferrability(key))


def install_references() -> None:
    """Have the keys of every Table extended from now on. May be called again."""
    if event.contains(Table, "after_parent_attach", _on_table):
        return
    event.listen(Table, "after_parent_attach", _on_table)
    event.listen(ForeignKeyConstraint, "after_parent_attach", _on_key)
    declared = cast(property, Table.foreign_key_constraints)

    def foreign_key_constraints(self: Table) -> set[ForeignKeyConstraint]:
        """The foreign keys of CREATE TABLE and ALTER TABLE."""
        return {made for key in declared.fget(self) for made in getattr(key, _MADE, (key,))}  # type: ignore[misc]

    # What puts tables in order and breaks cycles by ALTER TABLE asks here (sqlalchemy/sql/ddl.py), the ORM does not.
    Table.foreign_key_constraints = property(foreign_key_constraints)  # type: ignore[assignment]


def list_declared_keys(table: Table) -> list[ForeignKeyConstraint]:
    """Return the foreign keys of a table as its model declares them, in the order of their columns."""
    keys = {fk.constraint: None for column in table.columns for fk in column.foreign_keys if fk.constraint is not None}
    return list(keys)


def _find_tenant(table: Table) -> Column[Any] | None:
    """Return the tenant column that a table itself declares: in a migration, one of that name is what it says."""
    return find_tenant_column(table) if "guard" in table.info else None


def _on_table(table: Table, metadata: Any) -> None:
    if not isinstance(metadata, MetaData) or _find_tenant(table) is None:
        return
    _attached.add(table)
    for key in list_declared_keys(table):
        _extend_or_wait(key)
    waiting = _waiting.pop(metadata, [])
    for key in waiting:
        _extend_or_wait(key)


def _on_key(key: ForeignKeyConstraint, table: Any) -> None:
    """A key that came to a table which is there already: by `append_column`, for example, or to a copy of it."""
    if table in _attached:
        for made in _list_keys(table):
            if made in _made and made.column_keys == key.column_keys:
                table.constraints.discard(made)
        _extend_or_wait(key)


def _list_keys(table: Table) -> list[ForeignKeyConstraint]:
    return [key for key in table.constraints if isinstance(key, ForeignKeyConstraint)]


def _extend_or_wait(key: ForeignKeyConstraint) -> None:
    try:
        target = key.referred_table
        _ = [element.column for element in key.elements]
    except (NoReferencedTableError, NoReferencedColumnError):
        _waiting.setdefault(key.table.metadata, []).append(key)
        return
    tenant, target_tenant = _find_tenant(key.table), _find_tenant(target)
    if tenant is None or target_tenant is None or hasattr(key, _MADE):
        return
    if tenant.name not in {element.parent.name for element in key.elements}:
        _extend(key, tenant, target_tenant)


def _extend(key: ForeignKeyConstraint, tenant: Column[Any], target_tenant: Column[Any]) -> None:
    table = key.table
    targets = [target_tenant, *(element.column for element in key.elements)]
    if any(constraint.column_keys == [tenant.key, *key.column_keys] for constraint in _list_keys(table)):
        return  # Table.to_metadata() has copied the one that was made before it copied this one.
    _require_unique(target_tenant.table, targets)
    sets_columns = any(_sets_columns(action) for action in (key.ondelete, key.onupdate))
    made = _make_key(key, [tenant, *(element.parent for element in key.elements)], targets, is_beside=sets_columns)
    table.append_constraint(made)
    _made.add(made)
    for element in made.elements:  # The ORM joins by the declared key alone.
        element.parent.foreign_keys.discard(element)
        table.foreign_keys.discard(element)
    if not sets_columns:
        table.constraints.discard(key)
    setattr(key, _MADE, (key, made) if sets_columns else (made,))


def _sets_columns(action: str | None) -> bool:
    return action is not None and action.strip().upper().startswith(_OWN_ACTIONS)


def _make_key(
    key: ForeignKeyConstraint, columns: list[Column[Any]], targets: list[Column[Any]], *, is_beside: bool
) -> ForeignKeyConstraint:
    options: dict[str, Any] = {
        "name": key.name,
        "ondelete": key.ondelete,
        "onupdate": key.onupdate,
        "deferrable": key.deferrable,
        "initially": key.initially,
        **key.dialect_kwargs,
    }
    if is_beside:
        name = None if key.name is None else conv(f"{key.name}_tenant")
        options = {"name": name, "deferrable": True, "initially": "DEFERRED"}
    # No MATCH: FULL would refuse a reference that is NULL, for the tenant never is.
    names = [column.key for column in columns]
    return (KeyBeside if is_beside else ForeignKeyConstraint)(
        names, targets, use_alter=key.use_alter, comment=key.comment, **options
    )


def _require_unique(table: Table, columns: list[Column[Any]]) -> None:
    wanted = {column.name for column in columns}
    for constraint in table.constraints:
        if isinstance(constraint, (PrimaryKeyConstraint, UniqueConstraint)) and wanted == set(
            column.name for column in constraint.columns
        ):
            return
    # Named as PostgreSQL would: a naming convention may give two constraints that begin with the tenant one name.
    name = conv("_".join([table.name, *(column.name for column in columns), "key"]))
    table.append_constraint(UniqueConstraint(*(column.key for column in columns), name=name))
