"""Adding past the tenant: rows for another tenant, copies of its rows, and rows in the place of its rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from .paths import Paths
from .world import World

INSERTS = Paths()
_UPSERTING: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@INSERTS.add("new object of another tenant", "tenant")
def _(world: World) -> Any:
    made = world.mapper.class_manager.new_instance()
    for name, value in world.values_for(world.foreign_tenant).items():
        setattr(made, name, value)
    with world.as_own() as session:
        session.add(made)


@INSERTS.add("ORM insert for another tenant", "tenant")
def _(world: World) -> Any:
    rows = [world.values_for(world.foreign_tenant)]
    with world.as_own() as session:
        session.execute(insert(world.model), rows)


@INSERTS.add("ORM insert of many for both tenants", "tenant")
def _(world: World) -> Any:
    rows = [world.values_for(tenant) for tenant in (world.own_tenant, world.foreign_tenant)]
    with world.as_own() as session:
        session.execute(insert(world.model), rows)


@INSERTS.add("ORM insert of many that returns", "tenant")
def _(world: World) -> Any:
    rows = [world.values_for(tenant) for tenant in (world.own_tenant, world.foreign_tenant)]
    with world.as_own() as session:
        session.scalars(insert(world.model).returning(world.model), rows).all()


@INSERTS.add("ORM insert with values", "tenant", "one table")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.execute(insert(world.model).values(world.values_for(world.foreign_tenant)))


@INSERTS.add("bulk_insert_mappings", "tenant")
def _(world: World) -> Any:
    rows = [world.values_for(world.foreign_tenant)]
    with world.as_own() as session:
        session.bulk_insert_mappings(world.mapper, rows)


@INSERTS.add("bulk_save_objects of a new object", "tenant")
def _(world: World) -> Any:
    made = world.mapper.class_manager.new_instance()
    for name, value in world.values_for(world.foreign_tenant).items():
        setattr(made, name, value)
    with world.as_own() as session:
        session.bulk_save_objects([made])


@INSERTS.add("Core insert", "tenant", "one table")
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.foreign_tenant))
    with world.connection() as connection:
        connection.execute(insert(world.table), row)


@INSERTS.add("Core insert with values", "tenant", "one table")
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.foreign_tenant))
    with world.connection() as connection:
        connection.execute(insert(world.table).values(row))


@INSERTS.add("Core insert of many", "tenant", "one table")
def _(world: World) -> Any:
    rows = [_by_column(world, world.values_for(tenant)) for tenant in (world.own_tenant, world.foreign_tenant)]
    with world.connection() as connection:
        connection.execute(insert(world.table), rows)


@INSERTS.add("Core insert of many values", "tenant", "one table")
def _(world: World) -> Any:
    rows = [_by_column(world, world.values_for(tenant)) for tenant in (world.own_tenant, world.foreign_tenant)]
    with world.connection() as connection:
        connection.execute(insert(world.table).values(rows))


@INSERTS.add("Core insert with a parameter of one's own", "tenant", "one table")
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.foreign_tenant))
    tenant = _tenant_column_name(world)
    whose: Any = bindparam("whose")
    statement = insert(world.table).values({**row, tenant: whose})
    with world.connection() as connection:
        connection.execute(statement, {"whose": world.tenant_id(world.foreign_tenant)})


@INSERTS.add("Core insert with an expression", "tenant", "one table")
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.foreign_tenant))
    tenant = _tenant_column_name(world)
    value = literal(row[tenant], world.table.c[tenant].type)
    with world.connection() as connection:
        connection.execute(insert(world.table).values({**row, tenant: func.coalesce(value, value)}))


# INSERT ... SELECT ---------------------------------------------------------------------------------------


@INSERTS.add("insert from a select, for another tenant", "tenant", "one table")
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.foreign_tenant))
    given = select(*(literal(value, world.table.c[name].type) for name, value in row.items()))
    with world.connection() as connection:
        connection.execute(insert(world.table).from_select(list(row), given))


@INSERTS.add("insert from a select of the other tenant's row", "tenant", "column", "one table")
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.own_tenant))
    copied = world.column_of().property.columns[0].name
    expressions = {name: literal(value, world.table.c[name].type) for name, value in row.items()}
    taken: dict[str, Any] = {**expressions, copied: world.table.c[copied]}
    given = select(*taken.values()).where(world.in_table(world.foreign))
    with world.connection() as connection:
        connection.execute(insert(world.table).from_select(list(taken), given))


# In the place of another row -----------------------------------------------------------------------------


@INSERTS.add("upsert on the other tenant's key", "tenant", "column", "one table", dialects=_UPSERTING)
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.own_tenant, **world.key_values(world.foreign)))
    column = world.column_of().property.columns[0].name
    statement = _UPSERTING[world.dialect](world.table).values(row)
    keys = [one.name for one in world.table.primary_key]
    with world.connection() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_={column: world.new_value()}))


@INSERTS.add("upsert of the ORM on the other tenant's key", "tenant", "column", "one table", dialects=_UPSERTING)
def _(world: World) -> Any:
    values = world.values_for(world.own_tenant, **world.key_values(world.foreign))
    column = world.column_of()
    statement = _UPSERTING[world.dialect](world.model).values(values)
    keys = [one.name for one in world.table.primary_key]
    changed = statement.on_conflict_do_update(index_elements=keys, set_={column.key: world.new_value()})
    with world.as_own() as session:
        if session.scalars(changed.returning(world.model)).all():
            world.leak("RETURNING revealed another tenant's row")


@INSERTS.add("upsert that takes the row over", "tenant", "one table", dialects=_UPSERTING)
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.own_tenant, **world.key_values(world.foreign)))
    tenant = _tenant_column_name(world)
    statement = _UPSERTING[world.dialect](world.table).values(row)
    keys = [one.name for one in world.table.primary_key]
    with world.connection() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_={tenant: row[tenant]}))


@INSERTS.add("upsert that gives a row away", "tenant", "one table", dialects=_UPSERTING)
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.own_tenant, **world.key_values(world.own)))
    tenant = _tenant_column_name(world)
    statement = _UPSERTING[world.dialect](world.table).values(row)
    keys = [one.name for one in world.table.primary_key]
    given = {tenant: world.tenant_id(world.foreign_tenant)}
    with world.connection() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=given))


@INSERTS.add("insert that replaces", "tenant", "one table", dialects=["sqlite"], by_constraint=True)
def _(world: World) -> Any:
    row = _by_column(world, world.values_for(world.own_tenant, **world.key_values(world.foreign)))
    with world.connection() as connection:
        connection.execute(insert(world.table).prefix_with("OR REPLACE").values(row))


def _tenant_column_name(world: World) -> str:
    column = world.subject.tenant_column
    assert column is not None  # noqa: S101
    return column.name


def _by_column(world: World, values: dict[str, Any]) -> dict[str, Any]:
    """Return the same values by the names of columns."""
    return {world.mapper.column_attrs[name].columns[0].name: value for name, value in values.items()}
