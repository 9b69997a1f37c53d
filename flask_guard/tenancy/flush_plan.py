"""What has to be looked at when an object of a mapped class is written: worked out once for each class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Column, ForeignKeyConstraint, Table
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.exc import UnmappedColumnError

from .references import list_declared_keys
from .rules import find_owner_column, find_protection, find_tenant_column


@dataclass(frozen=True, slots=True)
class OwnColumn:
    """An attribute that says whose a row is. column: where it is kept."""

    attribute: str
    column: Column[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A reference to a row of a protected table. attributes: those that hold it. targets: what they refer to.

    mapper: a class mapped to the target whose primary key the reference holds, if there is one.
    """

    attributes: tuple[str, ...]
    targets: tuple[Column[Any], ...]
    mapper: Mapper[Any] | None

    @property
    def pointer(self) -> str:
        """What is at fault when the target is not there."""
        return f"/{self.attributes[0]}"


@dataclass(frozen=True, slots=True)
class FlushPlan:
    """relations: the names of relationships to classes whose rows are protected."""

    is_protected: bool
    tenants: tuple[OwnColumn, ...]
    owners: tuple[OwnColumn, ...]
    references: tuple[Reference, ...]
    relations: tuple[str, ...]


_plans: WeakKeyDictionary[Mapper[Any], FlushPlan] = WeakKeyDictionary()


def find_plan(mapper: Mapper[Any]) -> FlushPlan:
    """Return the plan of a mapped class."""
    plan = _plans.get(mapper)
    if plan is None:
        plan = _plans[mapper] = _make_plan(mapper)
    return plan


def _make_plan(mapper: Mapper[Any]) -> FlushPlan:
    tables = [table for table in mapper.tables if isinstance(table, Table)]
    is_protected = any(find_protection(table) for table in tables)
    return FlushPlan(
        is_protected=is_protected,
        tenants=tuple(_find_attributes(mapper, [find_tenant_column(table) for table in tables])),
        owners=tuple(_find_attributes(mapper, [find_owner_column(table) for table in tables])),
        references=tuple(_find_references(mapper, tables)) if is_protected else (),
        relations=tuple(_find_relations(mapper)) if is_protected else (),
    )


def _find_attributes(mapper: Mapper[Any], columns: list[Column[Any] | None]) -> Iterator[OwnColumn]:
    found = {_find_attribute(mapper, column): column for column in columns if column is not None}
    for attribute, column in found.items():
        if attribute is not None:
            yield OwnColumn(attribute, column)


def _find_attribute(mapper: Mapper[Any], column: Column[Any]) -> str | None:
    try:
        return mapper.get_property_by_column(column).key
    except UnmappedColumnError:
        return None


def _find_references(mapper: Mapper[Any], tables: list[Table]) -> Iterator[Reference]:
    for table in tables:
        for key in list_declared_keys(table):
            target = key.referred_table
            if find_protection(target) is None or target in _inherited(mapper, table, key):
                continue
            reference = _make_reference(mapper, table, key)
            if reference is not None:
                yield reference


def _inherited(mapper: Mapper[Any], table: Table, key: ForeignKeyConstraint) -> list[Table]:
    """Return the tables that the row of this table is a part of: it is written together with theirs."""
    parts = [part for part in mapper.tables if isinstance(part, Table) and part is not table]
    is_of_row = {element.parent for element in key.elements} >= set(table.primary_key.columns)
    return parts if is_of_row else []


def _make_reference(mapper: Mapper[Any], table: Table, key: ForeignKeyConstraint) -> Reference | None:
    tenant = find_tenant_column(table)
    pairs = [(element.parent, element.column) for element in key.elements if element.parent is not tenant]
    attributes = [_find_attribute(mapper, column) for column, _ in pairs]
    if not pairs or None in attributes:
        return None
    targets = tuple(target for _, target in pairs)
    return Reference(tuple(filter(None, attributes)), targets, _find_mapper(mapper, targets))


def _find_mapper(mapper: Mapper[Any], targets: tuple[Column[Any], ...]) -> Mapper[Any] | None:
    for candidate in mapper.registry.mappers:
        if candidate.local_table is targets[0].table and tuple(candidate.primary_key) == targets:
            return candidate
    return None


def _find_relations(mapper: Mapper[Any]) -> Iterator[str]:
    for relation in mapper.relationships:
        is_protected = any(isinstance(table, Table) and find_protection(table) for table in relation.mapper.tables)
        if is_protected and not relation.viewonly:
            yield relation.key
