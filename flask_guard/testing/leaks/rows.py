"""Makes rows of a model that nobody has described: a value by type for each column that needs one.

What cannot be made so (a check constraint, a type of one's own) is what `make=` is for.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, Column, Enum, Numeric, String, inspect
from sqlalchemy.orm import Mapper, Session

# `make=`: a function of the tenant's id, or one for each class; it returns an object that is in no session yet.
Make = Callable[[str], Any]
# Above what counts and small keys reach, and within a column of four bytes.
_LARGE = range(2**20, 2**31 - 1)
_SMALL = range(2**10, 2**15 - 1)
_TOKEN_BYTES = 8


class RowMaker:
    """Makes rows for tenants in a session that is bound to the tenant."""

    def __init__(self, make: Make | Mapping[type, Make] | None, model: type) -> None:
        self._make = make if isinstance(make, Mapping) else {model: make} if make else {}

    def add(self, session: Session, mapper: Mapper[Any], tenant: str, **fixed: Any) -> Any:
        """Add a row of this tenant, and what it must refer to, and flush. fixed: values by attribute.

        Raises ValueError for a column that no value can be made for.
        """
        make = self._make.get(mapper.class_)
        row = self._build(session, mapper, tenant, fixed) if make is None else make(tenant)
        for name, value in fixed.items():
            setattr(row, name, value)
        session.add(row)
        session.flush()
        return row

    def _build(self, session: Session, mapper: Mapper[Any], tenant: str, fixed: Mapping[str, Any]) -> Any:
        row = mapper.class_manager.new_instance()
        for name, value in self.values(session, mapper, tenant, fixed=fixed).items():
            setattr(row, name, value)
        return row

    def values(
        self, session: Session, mapper: Mapper[Any], tenant: str, *, fixed: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return values by attribute for a row that is about to be made, without those that have defaults."""
        fixed = fixed or {}
        made: dict[str, Any] = {}
        if mapper.polymorphic_on is not None and mapper.polymorphic_identity is not None:
            made[mapper.get_property_by_column(mapper.polymorphic_on).key] = mapper.polymorphic_identity
        tenant_name = find_tenant_name(mapper)
        for name, column in plain_columns(mapper):
            if name in fixed:
                continue
            if name == tenant_name:
                made[name] = tenant_value(column, tenant)
                self._add_tenant(session, mapper, column, made[name], tenant)
            elif column.foreign_keys:
                if not column.nullable:
                    made[name] = self._add_target(session, mapper, column, tenant)
            elif not _fills_itself(column) and (not column.nullable or isinstance(column.type, String)):
                made[name] = make_value(column, f"{mapper.class_.__name__}.{name}")
        return made

    def _add_tenant(self, session: Session, mapper: Mapper[Any], column: Column[Any], value: Any, tenant: str) -> None:
        """Make the tenant's own row where the tenant column refers to a table of tenants."""
        for key in column.foreign_keys:
            if key.constraint is None or len(key.constraint.elements) > 1:
                continue
            target = find_mapper(mapper, key.column.table)
            name = target.get_property_by_column(key.column).key
            if session.query(target).filter_by(**{name: value}).first() is None:
                self.add(session, target, tenant, **{name: value})

    def _add_target(self, session: Session, mapper: Mapper[Any], column: Column[Any], tenant: str) -> Any:
        key = next(iter(column.foreign_keys)).column
        target = find_mapper(mapper, key.table)
        if target is mapper:
            raise ValueError(f"{mapper.class_.__name__}.{column.key} refers to its own table; give make=")
        row = self.add(session, target, tenant)
        return getattr(row, target.get_property_by_column(key).key)


def find_tenant_name(mapper: Mapper[Any]) -> str | None:
    """Return the attribute that holds the tenant's id; None for a model whose rows belong to a parent's tenant."""
    for name, column in plain_columns(mapper):
        rule = column.table.info.get("guard", {})
        if column.info.get("guard") == "tenant" or rule.get("tenant") == column.name:
            return name
    return "tenant_id" if "tenant_id" in mapper.column_attrs else None


def plain_columns(mapper: Mapper[Any]) -> list[tuple[str, Column[Any]]]:
    """Return attributes and their columns; without expressions, and without the class's own name (polymorphic)."""
    found = []
    for attribute in mapper.column_attrs:
        column = attribute.columns[-1]  # of a joined child's key: the parent's, which the child copies
        if isinstance(column, Column) and column is not mapper.polymorphic_on:
            found.append((attribute.key, column))
    return found


def find_mapper(mapper: Mapper[Any], table: Any) -> Mapper[Any]:
    """Return the class that a table belongs to. Raises ValueError for a table without one."""
    for other in mapper.registry.mappers:
        if other.local_table is table:
            return other
    raise ValueError(f"no class is mapped to {table.name!r}, which {mapper.class_.__name__} refers to; give make=")


def tenant_value(column: Column[Any], tenant: str) -> Any:
    """Return a tenant's id as its column holds it."""
    kind = _python_type(column)
    if kind is int:
        return int(tenant)
    return UUID(tenant) if kind is UUID else tenant


def make_tenant(column: Column[Any] | None) -> str:
    """Return the id of a tenant that is nobody's, as text that its column can hold."""
    kind = str if column is None else _python_type(column)
    if kind is int:
        return str(secrets.choice(_LARGE))
    return str(uuid4()) if kind is UUID else _token(column)


def make_value(column: Column[Any], what: str) -> Any:
    """Return a value that no other row has, as far as the type allows. Raises ValueError for an unknown type."""
    kind = column.type
    if isinstance(kind, Enum):
        return next(iter(kind.enum_class)) if kind.enum_class else kind.enums[0]
    if isinstance(kind, JSON):
        return {"leak": _token(None)}
    if isinstance(kind, Numeric) and kind.asdecimal and kind.precision:
        return Decimal(secrets.randbelow(10 ** min(kind.precision - (kind.scale or 0), 9)))
    python = _python_type(column)
    for known, make in _MAKERS.items():
        if python is known:
            return make(column)
    if isinstance(python, type) and issubclass(python, enum.Enum):
        return next(iter(python))
    raise ValueError(f"there is no value by type for {what}, a {kind!r}; give make=")


def values_of(row: Any) -> dict[str, Any]:
    """Return what a row holds, by attribute, loading what is not there."""
    return {name: getattr(row, name) for name, _ in plain_columns(inspect(row).mapper)}


def _fills_itself(column: Column[Any]) -> bool:
    return bool(
        column.info.get("guard") == "owner"
        or column.default is not None
        or column.server_default is not None
        or column.computed is not None
        or column.identity is not None
        or column is column.table._autoincrement_column
    )


def _python_type(column: Column[Any]) -> Any:
    try:
        return column.type.python_type
    except NotImplementedError:
        return None


def _token(column: Column[Any] | None) -> str:
    length = getattr(column.type, "length", None) if column is not None else None
    text = f"leak-{secrets.token_hex(_TOKEN_BYTES)}"
    return text[-length:] if length else text


def _integer(column: Column[Any]) -> int:
    return secrets.choice(_SMALL if column.type.__visit_name__.lower() == "small_integer" else _LARGE)


def _moment(column: Column[Any]) -> datetime:
    zone = UTC if getattr(column.type, "timezone", False) else None
    moment = datetime.now(UTC).replace(microsecond=0, tzinfo=zone)
    return moment - timedelta(seconds=secrets.randbelow(10**8))


_MAKERS: dict[type, Callable[[Column[Any]], Any]] = {
    str: _token,
    int: _integer,
    float: lambda _: float(secrets.choice(_LARGE)),
    Decimal: lambda _: Decimal(secrets.choice(_SMALL)),
    bool: lambda _: False,
    bytes: lambda _: secrets.token_bytes(_TOKEN_BYTES),
    datetime: _moment,
    date: lambda column: _moment(column).date(),
    time: lambda column: _moment(column).time(),
    timedelta: lambda _: timedelta(seconds=secrets.choice(_SMALL)),
    UUID: lambda _: uuid4(),
    list: lambda _: [],
}
