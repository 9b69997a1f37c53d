"""The bound tenant and principal as SQL parameters, whose values are asked for when a statement is executed.

Rule: without a tenant, or without a principal where one is needed, an error; never a value that fits no row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Boolean
from sqlalchemy.types import TypeEngine

from ..values import Principal
from .faults import TenancyFault, UnboundPrincipal, UnboundTenant
from .scope import find_identity

# The keys of parameters that are asked for begin so; a value that a caller gives for one is refused.
PREFIX = "guard_"

_READERS: Mapping[type, Callable[[str], object]] = {int: int, UUID: UUID}
_MOST_INTEGER = 2**63  # what SQL calls bigint


class Ambient(BindParameter[Any]):
    """A parameter whose value is asked for at each execution."""

    inherit_cache = True

    def __init__(self, name: str, type_: TypeEngine[Any], ask: Callable[[], object]) -> None:
        super().__init__(PREFIX + name, unique=True, type_=type_, callable_=ask)

    def recall(self) -> object:
        """Return the value that the execution which is about to be sent must have."""
        return self.effective_value


def require_ambient(ambient: Iterable[tuple[str, BindParameter[Any]]], rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise TenancyError if a caller has put in a value for one that is to be asked for.

    rows: the parameters of an execution. SQLAlchemy takes one by its name, from `execute(..., {})` or `params()`.
    """
    for name, parameter in ambient:
        value = parameter.recall() if isinstance(parameter, Ambient) else parameter.effective_value
        for row in rows:
            if row[name] != value:
                raise TenancyFault(f"A statement is given a value for {name!r}, which is not its own to give.")


class TenantParameter(Ambient):
    """The bound tenant."""

    inherit_cache = True


_tenants: dict[Any, TenantParameter] = {}
_NO_TENANT = (
    "no tenant is bound: in a request the credential names it, in jobs, shells and tests use tenant_scope(...); "
    "a row that is added in an unscoped block names its tenant itself"
)
_NO_PRINCIPAL = "rows that have owners, and no principal: outside of requests use tenant_scope(..., principal=...)"


def tenant_parameter(type_: TypeEngine[Any]) -> TenantParameter:
    """Return the bound tenant as a value of a column type: one parameter for all columns of that type."""
    key = type_._static_cache_key
    found = _tenants.get(key)
    if found is None:
        ask = bound_tenant_id if _reader_of(type_) is None else lambda: bound_tenant(type_)
        found = _tenants[key] = TenantParameter("tenant", type_, ask)
    return found


def bound_tenant_id() -> str:
    """Return the id of the bound tenant. Raises TenantRequired without one."""
    tenant = find_identity().tenant.id
    if not tenant:
        raise UnboundTenant(detail=_NO_TENANT)
    return tenant


def bound_tenant(type_: TypeEngine[Any]) -> object:
    """Return the id of the bound tenant as a column of this type holds it. Raises TenantRequired without one."""
    tenant = bound_tenant_id()
    try:
        return _convert(tenant, type_)
    except ValueError as exc:
        raise UnboundTenant(detail="the id of the tenant is none that a tenant column can hold") from exc


def owner_parameter(type_: TypeEngine[Any]) -> Ambient:
    """Return the id of the principal as a value of a column type."""
    return Ambient("owner", type_, lambda: bound_owner(type_))


def bypass_parameter(roles: Callable[[], Collection[str]]) -> Ambient:
    """Return whether the principal has one of the roles that see the rows of every owner."""
    return Ambient("any_owner", Boolean(), lambda: sees_all_owners(roles()))


def bound_owner(type_: TypeEngine[Any]) -> object:
    """Return the id of the principal as a column of this type holds it; None for an id that it cannot hold.

    Raises Unauthorized without a principal.
    """
    principal = _require_principal()
    try:
        return _convert(principal.id, type_)
    except ValueError:
        return None


def sees_all_owners(roles: Collection[str]) -> bool:
    """Say whether the principal has one of these roles. Raises Unauthorized without a principal."""
    return not _require_principal().roles.isdisjoint(roles)


def _require_principal() -> Principal:
    principal = find_identity().principal
    if not principal.is_authenticated:
        raise UnboundPrincipal(detail=_NO_PRINCIPAL)
    return principal


def _convert(text: str, type_: TypeEngine[Any]) -> object:
    """Return an id as a column of this type holds it. Raises ValueError for one that is spelt otherwise than `str()`.

    "01", "1 " and "\uff11" are other tenants than "1", whatever `int()` makes of them.
    """
    read = _reader_of(type_)
    if read is None:
        return text
    value = read(text)
    if str(value) != text or (isinstance(value, int) and not -_MOST_INTEGER <= value < _MOST_INTEGER):
        raise ValueError("an id that the column would spell otherwise, or cannot hold")
    return value


def _reader_of(type_: TypeEngine[Any]) -> Callable[[str], object] | None:
    try:
        return _READERS.get(type_.python_type)
    except NotImplementedError:
        return None
