"""The tenant outside a request: `with tenant_scope("acme"):` in jobs, commands and tests.

In a request the tenant comes from the verified credential. A scope entered inside a request stands above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..values import Tenant

_scope: ContextVar[Tenant | None] = ContextVar("flask_guard_tenant", default=None)


@contextmanager
def tenant_scope(tenant: str | Tenant) -> Iterator[Tenant]:
    """Bind a tenant until the block ends.

    Raises ValueError for an empty or blank id: it would mean "no tenant" while looking like one.
    """
    bound = tenant if isinstance(tenant, Tenant) else Tenant(tenant)
    if not isinstance(bound.id, str) or not bound.id.strip():
        raise ValueError("a tenant scope needs the id of a tenant")
    token = _scope.set(bound)
    try:
        yield bound
    finally:
        _scope.reset(token)


def find_scoped_tenant() -> Tenant | None:
    """Return the tenant of the innermost open scope, if there is one."""
    return _scope.get()
