"""Past the tenant by objects: the identity map, what is loaded later, and what claims to be stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session, load_only

from .paths import Paths
from .world import World

MEMORY = Paths()


@contextmanager
def _switched(world: World, *, only_key: bool = False) -> Iterator[tuple[Session, Any]]:
    """Yield a session that has loaded a row as the other tenant and is one's own tenant's now, and the object."""
    options = [load_only(*map(world.attribute, world.subject.key_names))] if only_key else []
    with world.subject.open() as session:
        session.expire_on_commit = False
        with world.scope(world.foreign_tenant):
            loaded = session.get(world.model, world.foreign.key, options=options)
            session.commit()
        with world.scope(world.own_tenant):
            yield session, loaded
            session.commit()


@MEMORY.add("get from the identity map after a switch of tenants")
def _(world: World) -> Any:
    with _switched(world) as (session, _loaded):
        return session.get(world.model, world.foreign.key)


@MEMORY.add("select after a switch of tenants")
def _(world: World) -> Any:
    with _switched(world) as (session, _loaded):
        return session.scalars(select(world.model).where(world.is_either())).all()


@MEMORY.add("refresh after a switch of tenants")
def _(world: World) -> Any:
    with _switched(world) as (session, loaded):
        session.refresh(loaded)
        return _telling_values(loaded, world)


@MEMORY.add("expired object after a switch of tenants")
def _(world: World) -> Any:
    with _switched(world) as (session, loaded):
        session.expire(loaded)
        return _telling_values(loaded, world)


@MEMORY.add("object that a commit has expired, after a switch of tenants")
def _(world: World) -> Any:
    with world.subject.open() as session:
        session.expire_on_commit = True
        with world.scope(world.foreign_tenant):
            loaded = session.get(world.model, world.foreign.key)
            session.commit()
        with world.scope(world.own_tenant):
            return _telling_values(loaded, world)


@MEMORY.add("deferred columns after a switch of tenants")
def _(world: World) -> Any:
    with _switched(world, only_key=True) as (_session, loaded):
        return _telling_values(loaded, world)


@MEMORY.add("flush after a switch of tenants", "column")
def _(world: World) -> Any:
    with _switched(world) as (_session, loaded):
        setattr(loaded, world.column_of().key, world.new_value())


@MEMORY.add("delete after a switch of tenants")
def _(world: World) -> Any:
    with _switched(world) as (session, loaded):
        session.delete(loaded)


# Objects that were never loaded --------------------------------------------------------------------------


@MEMORY.add("forged object that loads its columns")
def _(world: World) -> Any:
    forged = world.forge(world.foreign)
    with world.as_own() as session:
        session.add(forged)
        return _telling_values(forged, world)


@MEMORY.add("forged object that is refreshed")
def _(world: World) -> Any:
    forged = world.forge(world.foreign)
    with world.as_own() as session:
        session.add(forged)
        session.refresh(forged)
        return _telling_values(forged, world)


@MEMORY.add("forged object that is changed", "column")
def _(world: World) -> Any:
    with world.as_own() as session:
        forged = world.forge(world.foreign, **_own_tenant(world))
        session.add(forged)
        setattr(forged, world.column_of().key, world.new_value())


@MEMORY.add("forged object that is deleted")
def _(world: World) -> Any:
    with world.as_own() as session:
        forged = world.forge(world.foreign, **_own_tenant(world))
        session.add(forged)
        session.delete(forged)


@MEMORY.add("merge of a foreign key", "tenant", "column", by_constraint=True)
def _(world: World) -> Any:
    values = world.values_for(world.own_tenant, **world.key_values(world.foreign))
    with world.as_own() as session:
        merged = session.merge(_transient(world, values))
        session.flush()
        return [merged, _telling_values(merged, world)]


@MEMORY.add("merge of a forged object without a load", "column")
def _(world: World) -> Any:
    with world.as_own() as session:
        merged = session.merge(world.forge(world.foreign, **_own_tenant(world)), load=False)
        setattr(merged, world.column_of().key, world.new_value())


def _transient(world: World, values: dict[str, Any]) -> Any:
    made = world.mapper.class_manager.new_instance()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def _own_tenant(world: World) -> dict[str, Any]:
    """Return what a forged row says of its tenant: one's own, unless the tenant is in its key."""
    name = world.subject.tenant_name
    if name is None or name in world.subject.key_names:
        return {}
    return {name: world.tenant_id(world.own_tenant)}


def _telling_values(loaded: Any, world: World) -> list[Any]:
    """Return the attributes but the key, loading what is not there."""
    names = [one.key for one in inspect(loaded).mapper.column_attrs if one.key not in world.subject.key_names]
    return [getattr(loaded, name) for name in names]
