"""What one leak case needs: a row of each of two tenants, sessions of both, and a judgement of what came out.

Rule: rows are made and read by each tenant for itself, so that the cases hold for a guarded session, for row-level
security alone, and for both; what a case has made is removed when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Connection, Engine, String, Table, and_, event, inspect, or_, select
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError, NoResultFound
from sqlalchemy.orm import InstanceState, Mapper, Session, class_mapper, make_transient_to_detached
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from ...errors import Refusal, TenancyError
from ...tenancy.scope import tenant_scope
from ...values import Principal
from .rows import RowMaker, make_tenant, make_value, plain_columns, tenant_value, values_of

# PostgreSQL's insufficient_privilege: what a policy of row-level security says to a write.
_REFUSED_BY_POLICY = "42501"
# A shorter text may stand in another one by chance.
_TELLING_LENGTH = 8
_TELLING_TYPES = (str, int, float, Decimal, UUID, bytes, datetime)


class LeakFound(AssertionError):
    """Another tenant's data was read, changed or revealed. Begins with the name of the path."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tried: known before there is a database.

    open: returns a new session. tenant_name: the attribute that holds the tenant's id, None for rows that belong to
    their parent's tenant. column_name: an attribute that anybody may change, None when there is none.
    tenants: the two ids, None for ids that are nobody's.
    """

    model: type
    mapper: Mapper[Any]
    open: Callable[[], Session]
    maker: RowMaker
    principal: Principal
    tenant_name: str | None
    column_name: str | None
    tenants: tuple[str, str] | None = None

    @property
    def tenant_column(self) -> Column[Any] | None:
        return None if self.tenant_name is None else dict(plain_columns(self.mapper))[self.tenant_name]

    @property
    def key_names(self) -> list[str]:
        return [self.mapper.get_property_by_column(column).key for column in self.mapper.primary_key]


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was made. key: its primary key. values: by attribute."""

    key: tuple[Any, ...]
    values: Mapping[str, Any]


@dataclass(slots=True)
class World:
    """Two tenants, of whom one is to stay within its own rows."""

    name: str
    subject: Subject
    engine: Engine
    own_tenant: str
    foreign_tenant: str
    own: Row = field(init=False)
    foreign: Row = field(init=False)
    known: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)
    _made: list[tuple[str, type, tuple[Any, ...]]] = field(default_factory=list)
    _foreign_identities: set[tuple[type, tuple[Any, ...]]] = field(default_factory=set)
    _own_values: set[Any] = field(default_factory=set)
    _foreign_values: set[Any] = field(default_factory=set)

    # Sessions --------------------------------------------------------------------------------------------

    @contextmanager
    def scope(self, tenant: str) -> Iterator[None]:
        with tenant_scope(tenant, principal=self.subject.principal):
            yield

    @contextmanager
    def session_of(self, tenant: str) -> Iterator[Session]:
        """Open a session as this tenant and commit it at the end, unless the block raises."""
        with self.scope(tenant), self.subject.open() as session:
            yield session
            session.commit()

    def as_own(self) -> Any:
        return self.session_of(self.own_tenant)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Open a connection of the engine as one's own tenant and commit it at the end."""
        with self.scope(self.own_tenant), self.engine.connect() as connection:
            yield connection
            connection.commit()

    # The model -------------------------------------------------------------------------------------------

    @property
    def model(self) -> Any:
        return self.subject.model

    @property
    def mapper(self) -> Mapper[Any]:
        return self.subject.mapper

    @property
    def table(self) -> Table:
        """The table that the model's own columns are in."""
        table = self.mapper.local_table
        assert isinstance(table, Table)  # noqa: S101  # `tenant_leak_cases` takes no other model
        return table

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    def attribute(self, name: str | None, entity: Any = None) -> Any:
        """Return an attribute of the model or of an alias; only cases that need it ask for one that may be None."""
        assert name is not None  # noqa: S101
        return getattr(self.model if entity is None else entity, name)

    def tenant_of(self, entity: Any = None) -> Any:
        return self.attribute(self.subject.tenant_name, entity)

    def column_of(self, entity: Any = None) -> Any:
        return self.attribute(self.subject.column_name, entity)

    def is_row(self, row: Row, entity: Any = None) -> ColumnElement[bool]:
        """Return the condition that picks a row by its key from the model or an alias of it."""
        pairs = zip(self.subject.key_names, row.key, strict=True)
        return and_(*(self.attribute(name, entity) == value for name, value in pairs))

    def is_either(self, entity: Any = None) -> ColumnElement[bool]:
        return or_(self.is_row(self.own, entity), self.is_row(self.foreign, entity))

    def in_table(self, row: Row, table: Any = None) -> ColumnElement[bool]:
        """Return the same condition on the columns of the table, of an alias or of a copy of it."""
        columns = (self.table if table is None else table).c
        names = [column.name for column in self.table.primary_key]
        return and_(*(columns[name] == value for name, value in zip(names, row.key, strict=True)))

    def either_in_table(self, table: Any = None) -> ColumnElement[bool]:
        return or_(self.in_table(self.own, table), self.in_table(self.foreign, table))

    def new_value(self) -> Any:
        """Return a value for the attribute that may be changed."""
        name = self.subject.column_name
        assert name is not None  # noqa: S101
        return make_value(dict(plain_columns(self.mapper))[name], name)

    def tenant_id(self, tenant: str) -> Any:
        column = self.subject.tenant_column
        return tenant if column is None else tenant_value(column, tenant)

    def key_values(self, row: Row) -> dict[str, Any]:
        return dict(zip(self.subject.key_names, row.key, strict=True))

    def values_for(self, tenant: str, **fixed: Any) -> dict[str, Any]:
        """Return the values of a row that one's own tenant might try to insert for a tenant, keys included."""
        with self.session_of(self.own_tenant) as session:
            flushed = _list_flushed(session)
            values = self.subject.maker.values(session, self.mapper, self.own_tenant, fixed=fixed)
            key_names = self.subject.key_names
            for name in [name for name in key_names if name not in values and name not in fixed]:
                values[name] = self._new_key(name)
            for target in flushed:  # rows that the new one would refer to
                self.remember(self.own_tenant, target)
        if self.subject.tenant_name is not None:
            values[self.subject.tenant_name] = self.tenant_id(tenant)
        return {**values, **fixed}

    def _new_key(self, name: str) -> Any:
        return make_value(dict(plain_columns(self.mapper))[name], name)

    def forge(self, row: Row, **values: Any) -> Any:
        """Return an object in no session that claims to be a stored row of one's own tenant."""
        forged = self.mapper.class_manager.new_instance()
        for name, value in {**self.key_values(row), **values}.items():
            setattr(forged, name, value)
        make_transient_to_detached(forged)
        return forged

    # Rows ------------------------------------------------------------------------------------------------

    def add(self, tenant: str, mapper: Mapper[Any] | None = None, **fixed: Any) -> Row:
        """Make a row as a tenant, and remember whose it is."""
        mapper = mapper or self.mapper
        with self.scope(tenant), self.subject.open() as session:
            flushed = _list_flushed(session)
            made = self.subject.maker.add(session, mapper, tenant, **fixed)
            session.commit()
            for one in flushed:
                self.remember(tenant, one)
            if self.known:
                self.know()
            return Row(_identity_of(inspect(made)), values_of(made))

    def remember(self, tenant: str, made: Any) -> None:
        state: InstanceState[Any] = inspect(made)
        self._made.append((tenant, state.class_, _identity_of(state)))
        values = {value for value in values_of(made).values() if isinstance(value, _TELLING_TYPES)}
        if tenant == self.own_tenant:
            self._own_values |= values
        else:
            self._foreign_values |= values
            self._foreign_identities.add((state.mapper.base_mapper.class_, _identity_of(state)))

    def read(self, tenant: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        """Return the rows of a tenant as it sees them itself, by key."""
        names = [name for name, _ in plain_columns(self.mapper)]
        wanted = select(*(getattr(self.model, name) for name in names))
        if self.subject.tenant_name is None:
            wanted = wanted.where(self.is_row(self.own if tenant == self.own_tenant else self.foreign))
        else:
            wanted = wanted.where(self.tenant_of() == self.tenant_id(tenant))
        with self.session_of(tenant) as session:
            rows = [dict(zip(names, row, strict=True)) for row in session.execute(wanted)]
        return {tuple(row[name] for name in self.subject.key_names): row for row in rows}

    def know(self) -> None:
        """Take the rows as they are now for what they should be: a case has prepared something as their own tenants."""
        self.known = {tenant: self.read(tenant) for tenant in (self.own_tenant, self.foreign_tenant)}

    def remove(self) -> None:
        """Remove what was made here and by the case, each row by its own tenant: what refers goes before its target."""
        for tenant, rows in self.known.items():
            self._made += [(tenant, self.model, key) for key in self.read(tenant) if key not in rows]
        places: dict[Any, int] = {table: place for place, table in enumerate(self.table.metadata.sorted_tables)}
        latest_first = reversed(dict.fromkeys(self._made))
        for tenant, model, key in sorted(latest_first, key=lambda made: -places[class_mapper(made[1]).local_table]):
            with self.session_of(tenant) as session:
                row: Any = session.get(model, key)
                if row is not None:
                    session.delete(row)

    # Judgement -------------------------------------------------------------------------------------------

    def leak(self, what: str) -> NoReturn:
        raise LeakFound(f"{self.name}: {what}")

    def judge(self, result: Any) -> None:
        """Raise LeakFound when another tenant's object or value is anywhere in a result."""
        if isinstance(inspect(result, raiseerr=False), InstanceState):
            state = inspect(result)
            identity = (state.mapper.base_mapper.class_, _identity_of(state))
            if identity in self._foreign_identities:
                self.leak(f"another tenant's {state.class_.__name__} was read")
        elif isinstance(result, Mapping):
            self.judge(list(result.values()))
        elif isinstance(result, Sequence) and not isinstance(result, str | bytes):
            for item in result:
                self.judge(item)
        elif self._is_telling(result):
            self.leak("a value of another tenant's row was read")

    def _is_telling(self, value: Any) -> bool:
        telling = self._foreign_values - self._own_values
        if isinstance(value, str):
            return any(isinstance(one, str) and len(one) >= _TELLING_LENGTH and one in value for one in telling)
        return isinstance(value, _TELLING_TYPES) and not isinstance(value, bool) and value in telling

    def judge_rows(self) -> None:
        """Raise LeakFound when the rows of the other tenant are not as they were, or its values came into one's own."""
        own, foreign = self.known[self.own_tenant], self.known[self.foreign_tenant]
        now = self.read(self.foreign_tenant)
        if now != foreign:
            lost, gained = foreign.keys() - now.keys(), now.keys() - foreign.keys()
            done = "removed or taken away" if lost else "added" if gained else "changed"
            self.leak(f"another tenant's rows were {done}")
        for key, row in self.read(self.own_tenant).items():
            if row != own.get(key) and any(
                self._is_telling(value) for name, value in row.items() if name not in self.subject.key_names
            ):
                self.leak("another tenant's values were written into a row of one's own")


@contextmanager
def world_of(name: str, subject: Subject) -> Iterator[World]:
    """Make two tenants with a row each, and remove everything at the end.

    Raises RuntimeError when a tenant does not see its own row: then nothing that is tried would mean anything.
    """
    with subject.open() as session:
        bind = session.get_bind(subject.mapper)
    engine = bind if isinstance(bind, Engine) else bind.engine
    own, foreign = subject.tenants or (make_tenant(subject.tenant_column), make_tenant(subject.tenant_column))
    world = World(name, subject, engine, own, foreign)
    try:
        world.own = world.add(own)
        world.foreign = world.add(foreign)
        world.know()
        if world.own.key not in world.known[own] or world.foreign.key not in world.known[foreign]:
            raise RuntimeError(f"a tenant does not see its own {subject.model.__name__}: is the session bound right?")
        yield world
        world.judge_rows()
    except BaseException:
        with suppress(Exception):  # what went wrong first is what is told
            world.remove()
        raise
    world.remove()


def is_refusal(error: Exception, *, by_constraint: bool) -> bool:
    """Say whether an error means that the attempt was refused. by_constraint: a constraint may refuse it, too."""
    if isinstance(error, IntegrityError):
        return by_constraint
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlstate", None) == _REFUSED_BY_POLICY
    if type(error) is InvalidRequestError:  # what Session.refresh says of a row that is not found
        return str(error).startswith("Could not refresh instance")
    return isinstance(error, (Refusal, TenancyError, StaleDataError, ObjectDeletedError, NoResultFound))


def _list_flushed(session: Session) -> list[Any]:
    """Return a list that each object comes into which is flushed from now on: the Session itself forgets them."""
    flushed: list[Any] = []
    event.listen(session, "pending_to_persistent", lambda _session, made: flushed.append(made))
    return flushed


def _identity_of(state: InstanceState[Any]) -> tuple[Any, ...]:
    return tuple(state.identity or ())


def find_column_name(mapper: Mapper[Any], tenant_name: str | None) -> str | None:
    """Return an attribute that a program may change at will, of the class's own table and text if there is one."""
    free = [
        ((column.table is not mapper.local_table, not isinstance(column.type, String)), name)
        for name, column in plain_columns(mapper)
        if name != tenant_name
        and not column.primary_key
        and not column.foreign_keys
        and column.computed is None
        and column is not mapper.version_id_col
        and column.info.get("guard") is None
    ]
    return min(free, key=lambda one: one[0])[1] if free else None
