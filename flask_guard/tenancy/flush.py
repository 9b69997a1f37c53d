"""What the unit of work is about to write: whose it becomes, and whether it may refer to what it refers to.

A new row gets the bound tenant, and the principal as its owner; a row of another tenant or owner is refused, and so is
moving one. Whatever a row refers to must be there for the tenant; otherwise nothing is written. The keys of the
database refuse the same later and less readably. Bulk statements do not pass here; they are checked when they are
compiled and executed.
Rule: what is in the Session was loaded or made for the tenant, so it is not asked for; but for an object that was
brought in from elsewhere, which may say anything of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import ColumnElement, and_, bindparam, event, literal, or_, select
from sqlalchemy.orm import InstanceState, Mapper, PassiveFlag, Session, object_mapper
from sqlalchemy.orm.attributes import instance_state, set_attribute
from sqlalchemy.sql import ClauseElement

from ..errors import FieldFault, ForeignReference
from .flush_plan import OwnColumn, Reference, find_plan
from .parameters import bound_owner, bound_tenant
from .rules import rule_of
from .sessions import is_privileged, list_unsure

# Fewer than the 999 parameters that SQLite before 3.32 takes in a statement (sqlite.org/limits.html).
_MOST_VALUES = 500

Values = tuple[Any, ...]

# The objects that came into a Session from outside of it and have not been looked up since.
_brought: WeakKeyDictionary[Session, WeakSet[InstanceState[Any]]] = WeakKeyDictionary()


def install_flush() -> None:
    """Look at every flush of the process from now on. May be called again."""
    if not event.contains(Session, "before_flush", _before_flush):
        event.listen(Session, "before_flush", _before_flush)
        event.listen(Session, "detached_to_persistent", _on_brought)


def _on_brought(session: Session, instance: object) -> None:
    if find_plan(object_mapper(instance)).is_protected:
        _brought.setdefault(session, WeakSet()).add(instance_state(instance))


def _before_flush(session: Session, _context: object, _instances: object) -> None:
    if is_privileged(session):
        return
    changes = _Changes(session)
    for instance in session.new:
        changes.add_new(instance)
    for instance in session.dirty:
        changes.add_dirty(instance)
    faults = changes.find_faults()
    if faults:
        names = ", ".join(sorted(fault.pointer for fault in faults))
        raise ForeignReference(detail=f"not there for the tenant: {names}", errors=faults)


@dataclass(slots=True)
class _Changes:
    """What one flush is about to write. wanted: the values of each reference, with where they were found."""

    session: Session
    states: list[tuple[InstanceState[Any], Mapper[Any]]] = field(default_factory=list)
    wanted: dict[Reference, set[Values]] = field(default_factory=dict)

    def add_new(self, instance: object) -> None:
        state = instance_state(instance)
        mapper = state.mapper
        plan = find_plan(mapper)
        for own, ask in (*((own, bound_tenant) for own in plan.tenants), *((own, bound_owner) for own in plan.owners)):
            if state.dict.get(own.attribute) is None:
                set_attribute(instance, own.attribute, ask(own.column.type))
            else:
                self._verify(own, state)
        if plan.is_protected:
            self._add_references(state, mapper)

    def add_dirty(self, instance: object) -> None:
        state = instance_state(instance)
        mapper = state.mapper
        plan = find_plan(mapper)
        if not plan.is_protected:
            return
        for own in (*plan.tenants, *plan.owners):
            if own.attribute in state.committed_state:
                self._verify(own, state)
        self._add_references(state, mapper)

    def _verify(self, own: OwnColumn, state: InstanceState[Any]) -> None:
        rule = rule_of(own.column.table)
        for check in rule.checks if rule is not None else ():
            if check.column == own.column.key:
                connection = self.session.connection(bind_arguments={"mapper": state.mapper})
                check.verify([state.dict.get(own.attribute)], connection)

    def _add_references(self, state: InstanceState[Any], mapper: Mapper[Any]) -> None:
        self.states.append((state, mapper))
        for reference in find_plan(mapper).references:
            if state.key is not None and state.committed_state.keys().isdisjoint(reference.attributes):
                continue
            values = tuple(state.dict.get(attribute) for attribute in reference.attributes)
            # What is computed in SQL is computed from what the statement may see.
            if not any(value is None or isinstance(value, ClauseElement) for value in values):
                self.wanted.setdefault(reference, set()).add(values)

    def find_faults(self) -> list[FieldFault]:
        """Return a fault for each attribute that refers to what is not there for the tenant."""
        lacking = self._find_lacking()
        pointers = {f"/{name}" for state, mapper in self.states for name in _relate_to(state, mapper, lacking)}
        for reference, wanted in self.wanted.items():
            unknown = {values for values in wanted if not self._is_held(reference, values, lacking)}
            if unknown:
                unknown -= self._list_new(reference)
            if unknown and self._find_missing(reference.targets, unknown):
                pointers.add(reference.pointer)
        return [FieldFault(pointer, ForeignReference.public) for pointer in sorted(pointers)]

    def _is_held(self, reference: Reference, values: Values, lacking: set[InstanceState[Any]]) -> bool:
        mapper = reference.mapper
        found = None if mapper is None else self.session.identity_map.get(mapper.identity_key_from_primary_key(values))
        return found is not None and instance_state(found) not in lacking

    def _list_new(self, reference: Reference) -> set[Values]:
        """Return what a reference may hold because the same flush makes it."""
        mapper = reference.mapper
        if mapper is None:
            return set()
        keys = [mapper.get_property_by_column(column).key for column in reference.targets]
        made = [instance for instance in self.session.new if isinstance(instance, mapper.class_)]
        return {tuple(getattr(instance, key, None) for key in keys) for instance in made}

    def _find_lacking(self) -> set[InstanceState[Any]]:
        """Return the objects that were brought into the Session and are not there for the tenant."""
        brought = {*(_brought.pop(self.session, None) or ()), *list_unsure(self.session)}
        by_mapper: dict[Mapper[Any], dict[Values, InstanceState[Any]]] = {}
        for state in brought:
            if state.key is not None and state.session is self.session:
                by_mapper.setdefault(state.mapper.base_mapper, {})[state.key[1]] = state
        lacking = {
            states[values]
            for mapper, states in by_mapper.items()
            for values in self._find_missing(mapper.primary_key, set(states))
        }
        if lacking:
            _brought[self.session] = WeakSet(lacking)
        return lacking

    def _find_missing(self, columns: tuple[ColumnElement[Any], ...], wanted: set[Values]) -> set[Values]:
        """Return the values for which the guarded connection finds no row."""
        ordered = list(wanted)
        chunks = [ordered[start : start + _MOST_VALUES] for start in range(0, len(ordered), _MOST_VALUES)]
        found = {values for chunk in chunks for values in self._select(columns, chunk)}
        # A value may be equal to the database and not to Python: "5" in place of 5. Then it is asked for alone.
        return {values for values in wanted - found if not self._select(columns, [values])}

    def _select(self, columns: tuple[ColumnElement[Any], ...], wanted: list[Values]) -> list[Values]:
        statement = select(*columns).where(_is_one_of(columns, wanted))
        connection = self.session.connection(bind_arguments={"clause": statement})
        return [tuple(row) for row in connection.execute(statement)]


def _is_one_of(columns: tuple[ColumnElement[Any], ...], wanted: list[Values]) -> ColumnElement[bool]:
    # Of the columns' types, whatever Python type a value has that came from outside.
    if len(columns) == 1:
        values = [value for (value,) in wanted]
        return columns[0].in_(bindparam("wanted", values, type_=columns[0].type, expanding=True))
    rows = [zip(columns, values, strict=True) for values in wanted]
    return or_(*(and_(*(column == literal(value, column.type) for column, value in row)) for row in rows))


def _relate_to(state: InstanceState[Any], mapper: Mapper[Any], lacking: set[InstanceState[Any]]) -> Iterator[str]:
    """Yield the relationships by which an object is to refer to one of these, or one of these to it."""
    if not lacking:
        return
    for name in find_plan(mapper).relations:
        history = state.manager[name].impl.get_history(state, state.dict, PassiveFlag.PASSIVE_NO_INITIALIZE)
        added = {instance_state(instance) for instance in history.added or () if instance is not None}
        if added & lacking or (added and state in lacking):
            yield name
