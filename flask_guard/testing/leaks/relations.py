"""Reaching past the tenant by references: columns that name a foreign row, and relationships that load one.

A foreign reference that the database refuses to store cannot be loaded either; the cases that need one then pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, cast

from sqlalchemy import Table, func, insert, select, update
from sqlalchemy.orm import (
    Mapper,
    RelationshipProperty,
    Session,
    aliased,
    collections,
    immediateload,
    joinedload,
    make_transient_to_detached,
    selectinload,
    subqueryload,
)
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.interfaces import RelationshipDirection

from .paths import Path
from .rows import find_mapper, find_tenant_name, plain_columns
from .world import Row, World, is_refusal

_EAGER = {
    "joinedload": joinedload,
    "selectinload": selectinload,
    "subqueryload": subqueryload,
    "immediateload": immediateload,
}


def find_relation_paths(mapper: Mapper[Any]) -> Iterator[Path]:
    """Yield the paths of each reference and each relationship to rows that belong to a tenant."""
    for column_name, target in _references(mapper):
        name = f"reference {column_name}"
        yield Path(f"{name}: by a flush", partial(_refer_by_flush, column_name, target), by_constraint=True)
        yield Path(f"{name}: by a bulk update", partial(_refer_by_update, column_name, target), by_constraint=True)
        yield Path(f"{name}: by a bulk insert", partial(_refer_by_insert, column_name, target), by_constraint=True)
    for relation in mapper.relationships:
        if relation.viewonly or not _is_protected(relation.mapper):
            continue
        name = f"relationship {relation.key}"
        yield Path(f"{name}: a foreign object is assigned", partial(_assign, relation), by_constraint=True)
        yield Path(f"{name}: a forged object loads it", partial(_load_of_forged, relation))
        if relation.direction is RelationshipDirection.MANYTOONE:
            yield Path(f"{name}: a changed key loads it", partial(_load_by_key, relation))
        if relation.lazy not in ("dynamic", "write_only"):
            yield Path(f"{name}: lazy load of a foreign reference", partial(_load_stored, relation, None))
            for strategy in _EAGER:
                yield Path(f"{name}: {strategy}", partial(_load_stored, relation, strategy))
        yield Path(f"{name}: any() and has()", partial(_ask_for_any, relation))
        yield Path(f"{name}: join", partial(_join, relation))


def _is_protected(mapper: Mapper[Any]) -> bool:
    guard = getattr(mapper.local_table, "info", {}).get("guard", {})
    return find_tenant_name(mapper) is not None or "parent" in guard


def _references(mapper: Mapper[Any]) -> Iterator[tuple[str, Mapper[Any]]]:
    """Yield the attributes that name a row of a tenant, and that row's class."""
    tenant_name = find_tenant_name(mapper)
    for name, column in plain_columns(mapper):
        if name == tenant_name or column.primary_key:
            continue
        for key in column.foreign_keys:
            target = find_mapper(mapper, key.column.table)
            if _is_protected(target):
                yield name, target
                break


# References ----------------------------------------------------------------------------------------------


def _refer_by_flush(name: str, target: Mapper[Any], world: World) -> Any:
    foreign = _foreign_key_value(world, name, target)
    with world.as_own() as session:
        setattr(session.get(world.model, world.own.key), name, foreign)
        session.flush()
        session.commit()
    world.leak("a row of another tenant can be referred to")


def _refer_by_update(name: str, target: Mapper[Any], world: World) -> Any:
    foreign = _foreign_key_value(world, name, target)
    with world.as_own() as session:
        session.execute(update(world.model).where(world.is_row(world.own)).values({name: foreign}))
    world.leak("a row of another tenant can be referred to")


def _refer_by_insert(name: str, target: Mapper[Any], world: World) -> Any:
    foreign = _foreign_key_value(world, name, target)
    values = world.values_for(world.own_tenant, **{name: foreign})
    with world.as_own() as session:
        session.bulk_insert_mappings(world.mapper, [values])
    world.leak("a row of another tenant can be referred to")


def _foreign_key_value(world: World, name: str, target: Mapper[Any]) -> Any:
    """Make a row of the other tenant and return what a column would hold to refer to it."""
    row = world.add(world.foreign_tenant, target)
    column = dict(plain_columns(world.mapper))[name]
    referred = next(key.column for key in column.foreign_keys if key.column.table is target.local_table)
    return row.values[target.get_property_by_column(referred).key]


# Relationships -------------------------------------------------------------------------------------------


def _assign(relation: RelationshipProperty[Any], world: World) -> Any:
    target = world.add(world.foreign_tenant, relation.mapper)
    known = _count_related(relation, world)
    with world.as_own() as session:
        _relate(session.get(world.model, world.own.key), relation, _forge_target(relation, target, world))
        session.flush()
        session.commit()
    if _count_related(relation, world) != known:
        world.leak("an object of another tenant became related")
    return None


def _count_related(relation: RelationshipProperty[Any], world: World) -> int:
    """Return how many stored references to and from one's own row there are, as their own tenants see them."""
    table = relation.secondary if relation.secondary is not None else _many_side(relation).local_table
    count = 0
    for tenant in (world.own_tenant, world.foreign_tenant):
        with world.session_of(tenant) as session:
            pairs = relation.local_remote_pairs if relation.secondary is not None else relation.synchronize_pairs
            names = {column for pair in pairs for column in pair if column.table is table}
            wanted = select(func.count()).select_from(table)
            for column in names:
                wanted = wanted.where(column.is_not(None))
            count += session.scalar(wanted) or 0
    return count


def _many_side(relation: RelationshipProperty[Any]) -> Mapper[Any]:
    return relation.parent if relation.direction is RelationshipDirection.MANYTOONE else relation.mapper


def _load_of_forged(relation: RelationshipProperty[Any], world: World) -> Any:
    """Load from an object that claims to be the other tenant's row, with its keys, and one's own tenant."""
    _relate_within(relation, world, world.foreign_tenant, world.foreign)
    keys = _own_side_keys(relation)
    with world.session_of(world.foreign_tenant) as session:
        stored = session.get(world.model, world.foreign.key)
        values = {name: getattr(stored, name) for name in keys}
    tenant = world.subject.tenant_name
    if tenant is not None:
        values[tenant] = world.tenant_id(world.own_tenant)
    forged = world.forge(world.foreign, **values)
    with world.as_own() as session:
        session.add(forged)
        return _loaded(forged, relation, session)


def _load_by_key(relation: RelationshipProperty[Any], world: World) -> Any:
    target = world.add(world.foreign_tenant, relation.mapper)
    with world.as_own() as session:
        own = session.get(world.model, world.own.key)
        for name, value in _reference_values(relation, world, target).items():
            set_committed_value(own, name, value)
        session.expire(own, [relation.key])
        return _loaded(own, relation, session)


def _load_stored(relation: RelationshipProperty[Any], strategy: str | None, world: World) -> Any:
    if not _store_foreign_reference(relation, world):
        return None
    options = [] if strategy is None else [_EAGER[strategy](getattr(world.model, relation.key))]
    with world.as_own() as session:
        own = session.scalars(select(world.model).where(world.is_row(world.own)).options(*options)).unique().one()
        return _loaded(own, relation, session)


def _ask_for_any(relation: RelationshipProperty[Any], world: World) -> Any:
    if not _store_foreign_reference(relation, world):
        return None
    attribute = getattr(world.model, relation.key)
    asked = attribute.any() if relation.uselist else attribute.has()
    with world.as_own() as session:
        if session.scalar(select(func.count()).select_from(world.model).where(world.is_row(world.own), asked)):
            world.leak("a condition on related rows revealed another tenant's row")


def _join(relation: RelationshipProperty[Any], world: World) -> Any:
    if not _store_foreign_reference(relation, world):
        return None
    target = aliased(relation.mapper.class_)
    joined = select(target).select_from(world.model).join(target, getattr(world.model, relation.key))
    with world.as_own() as session:
        return session.scalars(joined.where(world.is_row(world.own))).unique().all()


def _store_foreign_reference(relation: RelationshipProperty[Any], world: World) -> bool:
    """Try to store a reference between one's own row and the other tenant's; say whether it is there.

    Each tenant changes its own rows only, which is what makes such references in databases without composite keys.
    """
    target = world.add(world.foreign_tenant, relation.mapper)
    try:
        if relation.secondary is not None:
            values = {remote: _value_of(relation, local, world, target) for local, remote in _all_pairs(relation)}
            association = cast(Table, relation.secondary)
            with world.scope(world.own_tenant), world.engine.begin() as connection:
                connection.execute(insert(association).values({c.name: v for c, v in values.items()}))
        elif relation.direction is RelationshipDirection.MANYTOONE:
            with world.as_own() as session:
                changed = update(world.model).where(world.is_row(world.own))
                session.execute(changed.values(_reference_values(relation, world, target)))
        else:
            _let_target_refer(relation, world, target)
    except Exception as error:
        if not is_refusal(error, by_constraint=True):
            raise
        return False
    world.know()
    return True


def _let_target_refer(relation: RelationshipProperty[Any], world: World, target: Row) -> None:
    """Let the other tenant's row refer to one's own, as its own tenant."""
    class_ = relation.mapper.class_
    tenant = find_tenant_name(relation.mapper)
    values = {
        relation.mapper.get_property_by_column(remote).key: world.own.values[
            world.mapper.get_property_by_column(local).key
        ]
        for local, remote in relation.local_remote_pairs or ()
    }
    values.pop(tenant or "", None)
    keys = zip(
        (relation.mapper.get_property_by_column(c).key for c in relation.mapper.primary_key), target.key, strict=True
    )
    with world.session_of(world.foreign_tenant) as session:
        picked = update(class_).where(*(getattr(class_, name) == value for name, value in keys))
        session.execute(picked.values(values))


def _relate_within(relation: RelationshipProperty[Any], world: World, tenant: str, row: Row) -> Row:
    """Make a target for a row of a tenant, related to it."""
    target = world.add(tenant, relation.mapper)
    with world.session_of(tenant) as session:
        stored = session.get(relation.mapper.class_, target.key)
        _relate(session.get(world.model, row.key), relation, stored)
    world.know()
    return target


def _relate(own: Any, relation: RelationshipProperty[Any], target: Any) -> None:
    if not relation.uselist:
        setattr(own, relation.key, target)
        return
    related = getattr(own, relation.key)
    if relation.lazy in ("dynamic", "write_only"):
        related.add(target)
    else:
        collections.collection_adapter(related).append_with_event(target)


def _forge_target(relation: RelationshipProperty[Any], target: Row, world: World) -> Any:
    forged = relation.mapper.class_manager.new_instance()
    tenant = find_tenant_name(relation.mapper)
    keys = [relation.mapper.get_property_by_column(column).key for column in relation.mapper.primary_key]
    for name in {*keys, *target.values}:
        setattr(forged, name, target.values[name])
    if tenant is not None and tenant not in keys:
        setattr(forged, tenant, world.tenant_id(world.own_tenant))
    make_transient_to_detached(forged)
    return forged


def _reference_values(relation: RelationshipProperty[Any], world: World, target: Row) -> dict[str, Any]:
    """Return what the columns of one's own row hold to refer to a row; the tenant stays one's own."""
    values = {
        world.mapper.get_property_by_column(local).key: target.values[
            relation.mapper.get_property_by_column(remote).key
        ]
        for local, remote in relation.local_remote_pairs or ()
    }
    values.pop(world.subject.tenant_name or "", None)
    return values


def _own_side_keys(relation: RelationshipProperty[Any]) -> list[str]:
    return [relation.parent.get_property_by_column(column).key for column in relation.local_columns]


def _all_pairs(relation: RelationshipProperty[Any]) -> list[tuple[Any, Any]]:
    return [*relation.synchronize_pairs, *(relation.secondary_synchronize_pairs or ())]


def _value_of(relation: RelationshipProperty[Any], column: Any, world: World, target: Row) -> Any:
    if column.table in relation.parent.tables:
        return world.own.values[relation.parent.get_property_by_column(column).key]
    return target.values[relation.mapper.get_property_by_column(column).key]


def _loaded(own: Any, relation: RelationshipProperty[Any], session: Session) -> list[Any]:
    related = getattr(own, relation.key)
    if relation.lazy == "dynamic":
        return list(related)
    if relation.lazy == "write_only":
        return list(session.scalars(related.select()))
    if related is None or not relation.uselist:
        return [related] if related is not None else []
    return list(collections.collection_adapter(related))
