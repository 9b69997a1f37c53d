"""For whom data is read and written now: the tenant, the principal, or everybody on purpose.

The only ambient state of data access. The SQL compiler and the column defaults read it, because nobody hands
them anything. In a request the tenant and the principal are those of the verified credential; elsewhere, in
jobs, commands and tests, they are those of `with tenant_scope("acme"):`, and a scope that is entered inside a
request stands above it. One that was entered outside of a request, or in another one, says nothing in it: a
generator that nobody has finished leaves its scope to the thread. Threads inherit nothing.
Knows neither Flask nor SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ..values import ANONYMOUS, NO_TENANT, Principal, Tenant


@dataclass(frozen=True, slots=True)
class Identity:
    """For whom: the tenant, NO_TENANT when none is bound, and the principal, ANONYMOUS without one."""

    tenant: Tenant = NO_TENANT
    principal: Principal = ANONYMOUS


@dataclass(frozen=True, slots=True, eq=False)
class Unscoped:
    """All tenants, on purpose. Each block is an object of its own, so that what was opened in it can be told.

    around: for whom what was opened before the block goes on; None for whoever the request is of.
    """

    reason: str
    around: Identity | None = None


NOBODY = Identity()

# With the request that the scope was entered in, None for one that was entered outside of requests.


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A scope that was entered. request: what stands for the request it was entered in."""

    scope: Identity | Unscoped
    request: object


# The innermost is the last.
_entries: ContextVar[tuple[_Entry, ...]] = ContextVar("flask_guard_scope", default=())
_open_blocks: set[Unscoped] = set()
# All are replaced where requests are known.
_find_request: Callable[[], object] = lambda: None  # noqa: E731
_find_in_request: Callable[[], Identity | None] = lambda: None  # noqa: E731
_find_request_id: Callable[[], str | None] = lambda: None  # noqa: E731


@contextmanager
def tenant_scope(tenant: str | Tenant, *, principal: Principal | None = None) -> Iterator[Tenant]:
    """Bind a tenant until the block ends, and a principal if rows that have owners are touched.

    Without one the principal stays that of the request or of the scope around, if there is any.
    Raises ValueError for an empty or blank id: it would mean "no tenant" while looking like one.
    """
    bound = tenant if isinstance(tenant, Tenant) else Tenant(tenant)
    if not isinstance(bound.id, str) or not bound.id.strip():
        raise ValueError("a tenant scope needs the id of a tenant, as a text that is not blank")
    with entered(Identity(bound, principal or find_identity().principal)):
        yield bound


@contextmanager
def unscoped_block(reason: str) -> Iterator[Unscoped]:
    """Let what is opened inside see all tenants. `db.unscoped` is what users hold: it writes the audit event.

    Raises ValueError for an empty or blank reason.
    """
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError("an unscoped block needs a reason")
    outer = _find_scope()
    block = Unscoped(reason, outer.around if isinstance(outer, Unscoped) else outer)
    _open_blocks.add(block)
    try:
        with entered(block):
            yield block
    finally:
        _open_blocks.discard(block)


def is_open(block: Unscoped) -> bool:
    """Say whether a block has not ended yet, in whatever thread or task it was begun."""
    return block in _open_blocks


@contextmanager
def entered(scope: Identity | Unscoped) -> Iterator[None]:
    """Make this the innermost scope until the `with` ends: what was opened in it goes on in it."""
    entry = _Entry(scope, _find_request())
    _entries.set((*_entries.get(), entry))
    try:
        yield
    finally:
        # No token: two generators may end in another order than they began, and it would bring back what has ended.
        _entries.set(tuple(each for each in _entries.get() if each is not entry))


def find_unscoped() -> Unscoped | None:
    """Return the unscoped block that is the innermost scope, if it is one."""
    scope = _find_scope()
    return scope if isinstance(scope, Unscoped) else None


def find_identity() -> Identity:
    """Return for whom statements of guarded connections run now; NOBODY when that is not known.

    An unscoped block changes nothing in it: what was opened before the block stays guarded.
    """
    scope = _find_scope()
    if isinstance(scope, Unscoped):
        scope = scope.around
    return scope or _find_in_request() or NOBODY


def find_request_id() -> str | None:
    """Return the id of the request that is served now; None outside of one."""
    return _find_request_id()


def _find_scope() -> Identity | Unscoped | None:
    """Return the innermost scope; None without one, and for one that is none of the request that is served now."""
    entries = _entries.get()
    if not entries:
        return None
    innermost, request = entries[-1], _find_request()
    return innermost.scope if request is None or request is innermost.request else None


def set_request_source(
    find: Callable[[], Identity | None], find_id: Callable[[], str | None], find_request: Callable[[], object]
) -> None:
    """Say where the identity of a request, its id, and what stands for it are found.

    All return None outside of requests and never raise. What stands for a request is an object of its own.
    """
    global _find_in_request, _find_request_id, _find_request
    _find_in_request, _find_request_id, _find_request = find, find_id, find_request
