"""Policies as filters of lists: the SQL that lets through the rows that the policy would say yes to.

    session.scalars(select(Note).where((role("admin") | owner()).where(Note)))

What a policy asks of the principal becomes a parameter that is computed when the statement runs, so that a
statement made once is right for whoever asks. What it asks of the object becomes a comparison.
Rules: a policy that is not known here and brings no SQL of its own is refused, never left out; the SQL says yes
or no and nothing third: a `~` reaches the comparisons themselves, where a NULL is somebody else's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, ColumnElement, Table, and_, false, func, inspect, not_, or_
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.util import AliasedInsp
from sqlalchemy.types import Integer, Uuid

from ..errors import ConfigError
from ..protocols import Clock
from ..tenancy.parameters import Ambient
from ..tenancy.rules import rule_of
from ..tenancy.scope import find_identity
from ..values import Principal
from .objects import as_storable
from .policies import AllOf, AnyOf, Authenticated, Fresh, HasTenant, Not, Owner, Policy, Role, Scope

Filter: TypeAlias = ColumnElement[bool]
_ABOUT_PRINCIPAL: Final = (Authenticated, Role, Scope, Fresh)
_MOST_INTEGER: Final = 2**63 - 1


def compile_policy(policy: Policy, model: Any, *, clock: Clock | None) -> Filter:
    """Return the filter for a mapped class, or an alias of one. clock: seconds since the epoch; see `Policy.where`."""
    _require_mapped(model)
    return _compile(policy, _List(model, clock or time.time), is_negated=False)


@dataclass(frozen=True, slots=True)
class _List:
    """What the filter is for. model: a mapped class or an alias."""

    model: Any
    clock: Clock


def _compile(policy: Policy, rows: _List, *, is_negated: bool) -> Filter:
    kind = type(policy)  # a subclass may decide otherwise than the class that is known here
    if isinstance(policy, (AllOf, AnyOf)) and kind in (AllOf, AnyOf):
        parts = [_compile(part, rows, is_negated=is_negated) for part in policy.parts]
        return and_(*parts) if (kind is AllOf) is not is_negated else or_(*parts)
    if isinstance(policy, Not) and kind is Not:
        return _compile(policy.part, rows, is_negated=not is_negated)
    if kind in _ABOUT_PRINCIPAL:
        return _ask_principal(policy, rows.clock, is_negated=is_negated)
    if isinstance(policy, HasTenant) and kind is HasTenant:
        key = get_tenant_key(rows.model)
        if key is None:
            return _ask_principal(policy, rows.clock, is_negated=is_negated)
        return _compare(getattr(rows.model, key), lambda principal: principal.tenant, is_negated=is_negated)
    if isinstance(policy, Owner) and kind is Owner:
        return _compare(_get_column(rows.model, policy.attribute), _find_owner, is_negated=is_negated)
    if kind.where is not Policy.where:
        own: Filter = policy.where(rows.model)
        return not_(func.coalesce(own, false())) if is_negated else own
    raise ConfigError(
        f"{policy.describe()} cannot filter a list: {kind.__qualname__} has no where(model) that says which rows."
    )


def _find_owner(principal: Principal) -> str | None:
    return principal.id if principal.is_authenticated else None


def _ask_principal(policy: Policy, clock: Clock, *, is_negated: bool) -> Filter:
    def answer() -> bool:
        return bool(policy.decide(find_identity().principal, now=clock())) is not is_negated

    return Ambient("policy", Boolean(), answer)


def _compare(column: Any, find: Callable[[Principal], str | None], *, is_negated: bool) -> Filter:
    """Return "the column is what the principal has", or its opposite, which a NULL and a stranger fulfil."""
    read, kind = _reader_of(column)

    def value() -> Any:
        text = find(find_identity().principal)
        storable = None if text is None else as_storable(text)
        return None if storable is None else read(storable)

    given = Ambient("policy", kind, value)
    if not is_negated:
        same: Filter = column == given  # a NULL lets nothing through here
        return same
    is_absent = Ambient("policy", Boolean(), lambda: value() is None)
    return or_(column != given, column.is_(None), is_absent)


def _reader_of(column: Any) -> tuple[Callable[[str], Any], Any]:
    """Return how the text of a credential becomes a value of the column, None for none, and that value's type.

    Only the one spelling that `str()` gives back counts: "07" is not the owner 7.
    """
    kind = column.type
    try:
        python_type = kind.python_type
    except NotImplementedError:
        python_type = None
    if isinstance(kind, Uuid):
        return (_read_uuid if kind.as_uuid else lambda text: text if _read_uuid(text) else None), kind
    if python_type is str:
        return lambda text: text, kind
    if isinstance(kind, Integer):
        return _read_integer, BigInteger()  # one that the column is too small for is another number, and no error
    raise ConfigError(f"A policy compares ids with text, integer and UUID columns, not with {column} ({kind!r}).")


def _read_integer(text: str) -> int | None:
    if len(text) > 20 or not text.isascii() or not text.lstrip("-").isdigit():
        return None
    number = int(text)
    return number if str(number) == text and abs(number) <= _MOST_INTEGER else None


def _read_uuid(text: str) -> UUID | None:
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value if str(value) == text else None


def _require_mapped(model: Any) -> Mapper[Any]:
    try:
        seen = inspect(model)
    except NoInspectionAvailable:
        seen = None
    if not isinstance(seen, (Mapper, AliasedInsp)):
        raise ConfigError(f"A policy filters lists of a mapped class, not of {model!r}.")
    return seen.mapper


def _get_column(model: Any, key: str) -> Any:
    mapper = _require_mapped(model)
    if key not in mapper.column_attrs:
        raise ConfigError(f"A policy asks {mapper.class_.__name__} for {key!r}, which is not a column of it.")
    return getattr(model, key)


def says_tenant(model: Any) -> bool:
    """Say whether a mapped class has a tenant column, or is there for all tenants."""
    return _find_tenant_key(_require_mapped(model)) is not None


def get_tenant_key(model: Any) -> str | None:
    """Return the attribute of a mapped class that has the tenant's id, None where rows are there for all tenants.

    Raises ConfigError for a class that says neither of itself: nobody can tell whose its rows are.
    """
    mapper = _require_mapped(model)
    key = _find_tenant_key(mapper)
    if key is None:
        raise ConfigError(f"{mapper.class_.__name__} has no tenant column, so tenant() says nothing about its rows.")
    return key or None


def _find_tenant_key(mapper: Mapper[Any]) -> str | None:
    """Return the attribute, "" for a class that is there for all tenants, None for one that says neither."""
    rules = [(table, rule_of(table)) for table in mapper.tables if isinstance(table, Table)]
    for table, rule in rules:
        if rule is not None and rule.tenant is not None:
            return mapper.get_property_by_column(table.c[rule.tenant]).key
    return "" if any(rule is not None and rule.parent is None for _table, rule in rules) else None
