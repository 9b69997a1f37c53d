"""Reading past the tenant: selects of the ORM and of Core, in every shape that has leaked somewhere."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import (
    Column,
    MetaData,
    Table,
    and_,
    case,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    table,
    true,
    union_all,
)
from sqlalchemy.exc import ObjectNotExecutableError
from sqlalchemy.orm import aliased, load_only

from ...tenancy.scope import NOBODY, entered
from .paths import Paths
from .world import World

READS = Paths()


@READS.add("select of the entity")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.scalars(select(world.model).where(world.is_either())).all()


@READS.add("select of columns")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.execute(select(*_columns(world)).where(world.is_either())).all()


@READS.add("select that a client has widened", "tenant")
def _(world: World) -> Any:
    anybody = or_(world.tenant_of() == world.tenant_id(world.foreign_tenant), true())
    with world.as_own() as session:
        return session.scalars(select(world.model).where(anybody)).all()


@READS.add("select of an alias")
def _(world: World) -> Any:
    other = aliased(world.model)
    with world.as_own() as session:
        return session.scalars(select(other).where(world.is_either(other))).all()


@READS.add("select of the entity and its alias, joined")
def _(world: World) -> Any:
    other = aliased(world.model)
    wanted = select(world.model, other).join(other, true()).where(world.is_row(world.own))
    with world.as_own() as session:
        return session.execute(wanted).all()


@READS.add("outer join to an alias")
def _(world: World) -> Any:
    other = aliased(world.model)
    wanted = select(world.model, other).outerjoin(other, world.is_row(world.foreign, other))
    with world.as_own() as session:
        return session.execute(wanted).all()


@READS.add("join to the table")
def _(world: World) -> Any:
    copy = world.table.alias()
    wanted = select(world.model, *copy.c).join(copy, world.in_table(world.foreign, copy))
    with world.as_own() as session:
        return session.execute(wanted).all()


@READS.add("implicit cross join")
def _(world: World) -> Any:
    other = aliased(world.model)
    wanted = select(world.model).where(and_(world.is_row(world.own), world.is_row(world.foreign, other)))
    with world.as_own() as session:
        if session.scalars(wanted).all():
            world.leak("an implicit FROM revealed another tenant's row")


@READS.add("CTE")
def _(world: World) -> Any:
    rows = select(*_columns(world)).where(world.is_either()).cte()
    with world.as_own() as session:
        return session.execute(select(rows)).all()


@READS.add("recursive CTE")
def _(world: World) -> Any:
    rows = select(*_columns(world)).where(world.is_row(world.own)).cte(recursive=True)
    rows = rows.union(select(*_columns(world)).where(world.is_row(world.foreign)))
    with world.as_own() as session:
        return session.execute(select(rows)).all()


@READS.add("subquery in FROM")
def _(world: World) -> Any:
    rows = select(*_columns(world)).where(world.is_either()).subquery()
    with world.as_own() as session:
        return session.execute(select(rows)).all()


@READS.add("entity of a subquery")
def _(world: World) -> Any:
    other = aliased(world.model, select(world.model).where(world.is_either()).subquery())
    with world.as_own() as session:
        return session.scalars(select(other)).all()


@READS.add("scalar subquery")
def _(world: World) -> Any:
    wanted = select(*_columns(world)[:1]).where(world.is_row(world.foreign)).scalar_subquery()
    with world.as_own() as session:
        if session.scalar(select(wanted)) is not None:
            world.leak("a scalar subquery read another tenant's row")


@READS.add("IN of a subquery")
def _(world: World) -> Any:
    key = world.attribute(world.subject.key_names[0])
    value = world.foreign.values[world.subject.key_names[0]]
    with world.as_own() as session:
        if session.scalar(select(literal(1)).where(literal(value, key.type).in_(select(key)))) is not None:
            world.leak("IN (SELECT ...) revealed another tenant's key")


@READS.add("EXISTS")
def _(world: World) -> Any:
    with world.as_own() as session:
        if session.scalar(select(exists().where(world.is_row(world.foreign)))):
            world.leak("EXISTS revealed another tenant's row")


@READS.add("EXISTS of the entity")
def _(world: World) -> Any:
    wanted = select(world.model).where(world.is_row(world.foreign)).exists()
    with world.as_own() as session:
        if session.scalar(select(case((wanted, 1), else_=0))):
            world.leak("EXISTS revealed another tenant's row")


@READS.add("union")
def _(world: World) -> Any:
    parts = (select(*_columns(world)).where(world.is_row(row)) for row in (world.own, world.foreign))
    with world.as_own() as session:
        return session.execute(union_all(*parts)).all()


@READS.add("lateral join", dialects=["postgresql"])
def _(world: World) -> Any:
    other = aliased(world.model)
    rows = select(*_columns(world, other)).where(world.is_row(world.foreign, other)).lateral()
    with world.as_own() as session:
        return session.execute(select(world.model, rows).join(rows, true())).all()


@READS.add("count")
def _(world: World) -> Any:
    with world.as_own() as session:
        wanted = select(func.count()).select_from(world.model).where(world.is_either())
        _require_one(world, session.scalar(wanted))


@READS.add("count with an implied FROM")
def _(world: World) -> Any:
    with world.as_own() as session:
        _require_one(world, session.scalar(select(func.count()).where(world.is_either())))


@READS.add("minimum and maximum")
def _(world: World) -> Any:
    wanted = select(*(function(one) for one in _sortable(world) for function in (func.min, func.max)))
    with world.as_own() as session:
        return session.execute(wanted.where(world.is_either())).all()


@READS.add("window function")
def _(world: World) -> Any:
    with world.as_own() as session:
        _require_one(world, session.scalar(select(func.count().over()).where(world.is_either()).limit(1)))


@READS.add("groups", "tenant")
def _(world: World) -> Any:
    wanted = select(world.tenant_of(), func.count()).where(world.is_either()).group_by(world.tenant_of())
    with world.as_own() as session:
        if len(session.execute(wanted).all()) > 1:
            world.leak("GROUP BY revealed another tenant")


@READS.add("legacy query")
def _(world: World) -> Any:
    with world.as_own() as session:
        query = session.query(world.model).filter(world.is_either())
        _require_one(world, query.count())
        return query.all()


@READS.add("get")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.get(world.model, world.foreign.key)


@READS.add("get with columns left for later")
def _(world: World) -> Any:
    some = load_only(*(world.attribute(name) for name in world.subject.key_names))
    with world.as_own() as session:
        return session.get(world.model, world.foreign.key, options=[some], populate_existing=True)


@READS.add("select for update")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.scalars(select(world.model).where(world.is_either()).with_for_update()).all()


@READS.add("rows fetched in parts")
def _(world: World) -> Any:
    wanted = select(world.model).where(world.is_either()).execution_options(yield_per=1)
    with world.as_own() as session:
        return list(session.scalars(wanted))


@READS.add("rows of a stream")
def _(world: World) -> Any:
    with world.connection() as connection:
        wanted = select(world.table).where(world.either_in_table())
        return connection.execution_options(stream_results=True).execute(wanted).all()


@READS.add("no tenant")
def _(world: World) -> Any:
    with world.subject.open() as session, entered(NOBODY):
        return session.scalars(select(world.model).where(world.is_either())).all()


@READS.add("no tenant, on a connection")
def _(world: World) -> Any:
    with entered(NOBODY), world.engine.connect() as connection:
        return connection.execute(select(world.table).where(world.either_in_table())).all()


# Core ----------------------------------------------------------------------------------------------------


@READS.add("Core select through the session")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.execute(select(world.table).where(world.either_in_table())).all()


@READS.add("Core select of a connection")
def _(world: World) -> Any:
    with world.connection() as connection:
        return connection.execute(select(world.table).where(world.either_in_table())).all()


@READS.add("Core select in a transaction of the engine")
def _(world: World) -> Any:
    with world.scope(world.own_tenant), world.engine.begin() as connection:
        return connection.execute(select(world.table).where(world.either_in_table())).all()


@READS.add("Core select of the session's connection")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.connection().execute(select(world.table).where(world.either_in_table())).all()


@READS.add("Core select of an alias")
def _(world: World) -> Any:
    copy = world.table.alias("copied")
    with world.connection() as connection:
        return connection.execute(select(copy).where(world.either_in_table(copy))).all()


@READS.add("Core select of a sample", dialects=["postgresql"])
def _(world: World) -> Any:
    sample = world.table.tablesample(100)
    with world.connection() as connection:
        return connection.execute(select(sample).where(world.either_in_table(sample))).all()


@READS.add("Core count")
def _(world: World) -> Any:
    with world.connection() as connection:
        wanted = select(func.count()).select_from(world.table).where(world.either_in_table())
        _require_one(world, connection.scalar(wanted))


@READS.add("table described by hand")
def _(world: World) -> Any:
    names = [one.name for one in world.table.columns]
    by_hand = table(world.table.name, *map(column, names), schema=world.table.schema)
    with world.connection() as connection:
        return _rows_with_types(world, connection, by_hand)


@READS.add("table of another MetaData")
def _(world: World) -> Any:
    copied = (Column(one.name, one.type, primary_key=one.primary_key) for one in world.table.columns)
    copy = Table(world.table.name, MetaData(), *copied, schema=world.table.schema)
    with world.connection() as connection:
        return connection.execute(select(copy).where(world.either_in_table(copy))).all()


@READS.add("reflected table")
def _(world: World) -> Any:
    with world.connection() as connection:
        copy = Table(world.table.name, MetaData(), schema=world.table.schema, autoload_with=connection)
        return _rows_with_types(world, connection, copy)


@READS.add("statement compiled beforehand")
def _(world: World) -> Any:
    compiled: Any = select(world.table).where(world.either_in_table()).compile(world.engine)
    with world.connection() as connection, suppress(ObjectNotExecutableError):  # what SQLAlchemy 2.1 says of it
        return connection.execute(compiled).all()
    return None


@READS.add("statement without the cache")
def _(world: World) -> Any:
    with world.connection() as connection:
        uncached = connection.execution_options(compiled_cache=None)
        return uncached.execute(select(world.table).where(world.either_in_table())).all()


@READS.add("statement that the other tenant has run")
def _(world: World) -> Any:
    wanted = select(world.model).where(world.is_either())
    for tenant in (world.foreign_tenant, world.own_tenant, world.foreign_tenant):
        with world.session_of(tenant) as session:
            session.scalars(wanted).all()
    with world.as_own() as session:
        return session.scalars(wanted).all()


@READS.add("other schema by translation")
def _(world: World) -> Any:
    schema = world.table.schema or {"sqlite": "main", "postgresql": "public"}.get(world.dialect)
    with world.connection() as connection:
        translated = connection.execution_options(schema_translate_map={world.table.schema: schema})
        return translated.execute(select(world.table).where(world.either_in_table())).all()


def _columns(world: World, entity: Any = None) -> list[Any]:
    """Return the attributes that are columns, the ones with telling values first."""
    subject = world.subject
    names = [*filter(None, (subject.column_name, subject.tenant_name)), *subject.key_names]
    return [world.attribute(name, entity) for name in dict.fromkeys(names)]


def _sortable(world: World) -> list[Any]:
    """Return the attributes that a database can find the largest of: of PostgreSQL's types uuid is none."""
    names = filter(None, (world.subject.column_name, world.subject.tenant_name))
    texts = [world.attribute(name) for name in names]
    return [one for one in texts if getattr(one.type, "python_type", None) in (str, int)] or [func.count()]


def _rows_with_types(world: World, connection: Any, source: Any) -> Any:
    """Return the two rows, or all of the other tenant's, from a table whose columns may have lost their types."""
    typed = {one.name: one.type for one in world.table.columns}
    wanted = select(*(source.c[name].label(name) for name in typed))
    keys = zip([one.name for one in world.table.primary_key], world.foreign.key, strict=True)
    wanted = wanted.where(and_(*(source.c[name] == literal(value, typed[name]) for name, value in keys)))
    if connection.execute(wanted).all():
        world.leak("another tenant's row was read")


def _require_one(world: World, count: int | None) -> None:
    if count is not None and count > 1:
        world.leak("another tenant's row was counted")
