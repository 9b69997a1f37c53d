"""What a row rule may ask about whoever it is evaluated for: SQL elements that know their value when they are executed.

An element is a bound parameter whose value is read at each execution, so compiled SQL is shared by everybody.
In a native policy the same element is a call of a function in the schema `guard` (`rls.native`).
Rule: what is not known is NULL, and whatever is compared with it does not hold.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BindParameter, Boolean, ColumnElement, Integer, String, or_
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BinaryExpression
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine
from sqlalchemy.types import Uuid as UuidType

from ..values import Principal
from .scope import find_identity

Source = Literal["tenant", "uid", "role", "claim"]

# The roles that everybody has: the one without a principal, the other with one.
ANON = "anon"
AUTHENTICATED = "authenticated"

# As guard.as_bigint and guard.as_uuid read them in the database.
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# The claims that some rule of this process asks for: the others are nobody's business, the database's neither.
claims_in_use: set[str] = set()


class Fact(BindParameter[Any]):
    """One fact as an SQL element. name: of the role or claim that is asked for; "" for the others."""

    inherit_cache = True
    source: Source
    name: str

    def __init__(self, source: Source, name: str = "", type_: TypeEngine[Any] | None = None) -> None:
        super().__init__(f"guard_{source}", unique=True, type_=type_ or NullType(), callable_=lambda: None)
        self.source = source
        self.name = name
        if source == "claim":
            claims_in_use.add(name)

    @property
    def effective_value(self) -> Any:
        return adapt(read_fact(self.source, self.name), self.type)


class CurrentRole:
    """The roles of whoever asks, to be compared with names: `current_role() == "admin"` holds if he has that role.

    One may have several, so `==`, `!=`, `in_` and `not_in` are all there is.
    """

    __hash__ = None  # type: ignore[assignment]  # == makes SQL

    def __eq__(self, role: object) -> ColumnElement[bool]:  # type: ignore[override]
        return self.in_((role,))

    def __ne__(self, role: object) -> ColumnElement[bool]:  # type: ignore[override]
        return ~self.in_((role,))

    def in_(self, roles: Any) -> ColumnElement[bool]:
        """Hold for whoever has one of the roles. Raises TypeError for what is no name of a role."""
        names = [roles] if isinstance(roles, str) else list(roles)
        if not names or not all(isinstance(name, str) and name for name in names):
            raise TypeError("current_role() is compared with names of roles")
        return or_(*(Fact("role", name, Boolean()) for name in names))

    def not_in(self, roles: Any) -> ColumnElement[bool]:
        """Hold for whoever has none of the roles."""
        return ~self.in_(roles)


def current_uid() -> ColumnElement[Any]:
    """The id of the principal; NULL without one."""
    return Fact("uid")


def current_tenant() -> ColumnElement[Any]:
    """The id of the tenant that is bound; NULL when none is."""
    return Fact("tenant")


def current_role() -> CurrentRole:
    """The roles of the principal and "authenticated"; "anon" alone without a principal."""
    return CurrentRole()


def current_claim(name: str) -> ColumnElement[Any]:
    """A claim of the principal's token as text (JSON for what is no text); NULL when it is not there."""
    if not isinstance(name, str) or not name:
        raise TypeError("current_claim() needs the name of a claim")
    return Fact("claim", name)


def read_fact(source: Source, name: str = "") -> str | bool | None:
    """Return what is known now."""
    identity = find_identity()
    if source == "tenant":
        return identity.tenant.id or None
    if source == "uid":
        return find_uid(identity.principal)
    if source == "role":
        return name in list_roles(identity.principal)
    return find_claim(identity.principal, name)


def find_uid(principal: Principal) -> str | None:
    return principal.id if principal.is_authenticated else None


def list_roles(principal: Principal) -> list[str]:
    """Return the roles that a rule sees, sorted."""
    return sorted({*principal.roles, AUTHENTICATED} - {ANON}) if principal.is_authenticated else [ANON]


def find_claim(principal: Principal, name: str) -> str | None:
    """Return a claim as PostgreSQL's `->>` gives it."""
    value = principal.claims.get(name)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def adapt(value: str | bool | None, type_: TypeEngine[Any]) -> Any:
    """Return a fact as a value of a column's type; None when it is not one, so that nothing matches."""
    if value is None or isinstance(value, bool):
        return value
    type_ = plain_type(type_)
    if isinstance(type_, Integer):
        return int(value) if _WHOLE_NUMBER.fullmatch(value) else None
    if isinstance(type_, UuidType) and type_.as_uuid:
        return UUID(value) if _UUID.fullmatch(value) else None
    if isinstance(type_, Boolean):
        return {"true": True, "false": False}.get(value)
    return value


def plain_type(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return what a type is below the decorators of the application."""
    while isinstance(type_, TypeDecorator):
        type_ = type_.impl_instance
    return type_


def set_types(expression: ColumnElement[bool]) -> ColumnElement[bool]:
    """Give each fact that stands left in a comparison the type of what it is compared with; others have it already."""
    for element in visitors.iterate(expression):
        if isinstance(element, BinaryExpression):
            left, right = element.left, element.right
            if isinstance(left, Fact) and left.type._isnull and not right.type._isnull:
                left.type = right.type
    for element in visitors.iterate(expression):
        if isinstance(element, Fact) and element.type._isnull:
            element.type = String()
    return expression
