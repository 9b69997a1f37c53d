"""Changing and removing past the tenant: bulk statements, keys given by hand, and rows that move."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, literal, literal_column, select, update
from sqlalchemy.orm import aliased

from .paths import Paths
from .world import World

WRITES = Paths()


@WRITES.add("bulk update", "column")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.execute(update(world.model).where(world.is_either()).values(_change(world)))


@WRITES.add("bulk update without synchronisation", "column")
def _(world: World) -> Any:
    changed = update(world.model).where(world.is_either()).values(_change(world))
    with world.as_own() as session:
        session.execute(changed, execution_options={"synchronize_session": False})


@WRITES.add("bulk update that returns", "column")
def _(world: World) -> Any:
    changed = update(world.model).where(world.is_either()).values(_change(world)).returning(world.column_of())
    with world.as_own() as session:
        if len(session.execute(changed).all()) > 1:
            world.leak("RETURNING revealed another tenant's row")


@WRITES.add("bulk update by the legacy query", "column")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.query(world.model).filter(world.is_either()).update(_change(world), synchronize_session=False)


@WRITES.add("bulk update by primary key", "column")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.execute(update(world.model), [_keyed_change(world)])


@WRITES.add("bulk_update_mappings", "column")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.bulk_update_mappings(world.mapper, [_keyed_change(world)])


@WRITES.add("bulk_save_objects of a forged object", "column")
def _(world: World) -> Any:
    forged = world.forge(world.foreign)
    setattr(forged, world.column_of().key, world.new_value())
    with world.as_own() as session:
        session.bulk_save_objects([forged])


@WRITES.add("Core update of a connection", "column", "one table")
def _(world: World) -> Any:
    changed = update(world.table).where(world.either_in_table()).values(_change_of_table(world))
    with world.connection() as connection:
        connection.execute(changed)


@WRITES.add("Core update of many rows", "column", "one table")
def _(world: World) -> Any:
    changes = [_change_of_table(world) for _ in range(2)]
    with world.connection() as connection:
        connection.execute(update(world.table).where(world.in_table(world.foreign)), changes)


@WRITES.add("update from another row", "column", "one table")
def _(world: World) -> Any:
    other = aliased(world.model)
    taken = {world.column_of().key: world.column_of(other)}
    with world.as_own() as session:
        session.execute(
            update(world.model)
            .where(world.is_row(world.own), world.is_row(world.foreign, other))
            .values(taken)
            .execution_options(synchronize_session=False)
        )


@WRITES.add("update from a subquery", "column")
def _(world: World) -> Any:
    other = aliased(world.model)
    taken = select(world.column_of(other)).where(world.is_row(world.foreign, other)).scalar_subquery()
    with world.as_own() as session:
        session.execute(
            update(world.model)
            .where(world.is_row(world.own), taken.is_not(None))
            .values({world.column_of().key: taken})
            .execution_options(synchronize_session=False)
        )


@WRITES.add("update in a CTE", "column", "one table", dialects=["postgresql"])
def _(world: World) -> Any:
    changed = update(world.table).where(world.either_in_table()).values(_change_of_table(world))
    rows = changed.returning(literal_column("1").label("changed")).cte()
    with world.connection() as connection:
        if len(connection.execute(select(rows)).all()) > 1:
            world.leak("RETURNING revealed another tenant's row")


@WRITES.add("update that replaces", "column", "one table", dialects=["sqlite"], by_constraint=True)
def _(world: World) -> Any:
    keys = {one.name: key for one, key in zip(world.table.primary_key, world.foreign.key, strict=True)}
    replaced = update(world.table).prefix_with("OR REPLACE").where(world.in_table(world.own)).values(keys)
    with world.connection() as connection:
        connection.execute(replaced)


# Removing ------------------------------------------------------------------------------------------------


@WRITES.add("bulk delete")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.execute(delete(world.model).where(world.is_row(world.foreign)))


@WRITES.add("bulk delete that returns")
def _(world: World) -> Any:
    removed = delete(world.model).where(world.is_row(world.foreign))
    with world.as_own() as session:
        returned = removed.returning(world.attribute(world.subject.key_names[0]))
        if session.execute(returned).all():
            world.leak("RETURNING revealed another tenant's row")


@WRITES.add("bulk delete by the legacy query")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.query(world.model).filter(world.is_row(world.foreign)).delete(synchronize_session=False)


@WRITES.add("Core delete of a connection")
def _(world: World) -> Any:
    with world.connection() as connection:
        connection.execute(delete(world.table).where(world.in_table(world.foreign)))


@WRITES.add("delete by another row", "one table", dialects=["postgresql"])
def _(world: World) -> Any:
    other = aliased(world.model)
    removed = delete(world.model).where(world.is_row(world.foreign), world.is_row(world.own, other))
    with world.as_own() as session:
        session.execute(removed.execution_options(synchronize_session=False))


@WRITES.add("delete of what a subquery names", "one table")
def _(world: World) -> Any:
    other = aliased(world.model)
    name = world.subject.key_names[0]
    named = select(world.attribute(name, other)).where(world.is_row(world.foreign, other))
    with world.as_own() as session:
        session.execute(
            delete(world.model).where(world.attribute(name).in_(named)).execution_options(synchronize_session=False)
        )


# Rows that move ------------------------------------------------------------------------------------------


@WRITES.add("tenant moved by a flush", "tenant")
def _(world: World) -> Any:
    with world.as_own() as session:
        setattr(session.get(world.model, world.own.key), *_foreign_tenant(world))


@WRITES.add("tenant moved by a bulk update", "tenant", "one table")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.execute(update(world.model).where(world.is_row(world.own)).values(dict([_foreign_tenant(world)])))


@WRITES.add("tenant moved by an expression", "tenant", "one table")
def _(world: World) -> Any:
    name, value = _foreign_tenant(world)
    taken = select(world.tenant_of(aliased(world.model))).limit(0).scalar_subquery()
    moved = update(world.model).where(world.is_row(world.own)).values({name: func.coalesce(taken, literal(value))})
    with world.as_own() as session:
        session.execute(moved.execution_options(synchronize_session=False))


@WRITES.add("tenant moved by a bulk update by primary key", "tenant")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.execute(update(world.model), [{**world.key_values(world.own), **dict([_foreign_tenant(world)])}])


@WRITES.add("tenant moved by bulk_update_mappings", "tenant")
def _(world: World) -> Any:
    with world.as_own() as session:
        moved = {**world.key_values(world.own), **dict([_foreign_tenant(world)])}
        session.bulk_update_mappings(world.mapper, [moved])


@WRITES.add("tenant moved by a Core update", "tenant")
def _(world: World) -> Any:
    column = world.subject.tenant_column
    assert column is not None  # noqa: S101
    value = world.tenant_id(world.foreign_tenant)
    keys = zip(column.table.primary_key, world.own.key, strict=True)
    with world.connection() as connection:
        connection.execute(update(column.table).where(*(key == one for key, one in keys)).values({column: value}))


@WRITES.add("row taken from another tenant by a bulk update", "tenant", "one table")
def _(world: World) -> Any:
    name, value = world.tenant_of().key, world.tenant_id(world.own_tenant)
    with world.as_own() as session:
        session.execute(update(world.model).where(world.is_row(world.foreign)).values({name: value}))


@WRITES.add("row taken from another tenant by a forged object", "tenant")
def _(world: World) -> Any:
    name = world.tenant_of().key
    forged = world.forge(world.foreign, **{name: world.tenant_id(world.foreign_tenant)})
    with world.as_own() as session:
        session.add(forged)
        setattr(forged, name, world.tenant_id(world.own_tenant))


def _change(world: World) -> dict[str, Any]:
    return {world.column_of().key: world.new_value()}


def _keyed_change(world: World) -> dict[str, Any]:
    return {**world.key_values(world.foreign), **_change(world)}


def _plain_column_name(world: World) -> str:
    name: str = world.column_of().property.columns[0].name
    return name


def _change_of_table(world: World) -> dict[str, Any]:
    return {_plain_column_name(world): world.new_value()}


def _foreign_tenant(world: World) -> tuple[str, Any]:
    return world.tenant_of().key, world.tenant_id(world.foreign_tenant)
