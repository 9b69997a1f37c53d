"""A Session belongs to one tenant while there is anything in it.

What a Session holds in memory is answered without SQL, so no filter sees it. A Session is therefore pinned to the
tenant of its first use, and refuses use under another tenant or under none; once it is empty and no transaction is
open, by `close()` for example, the next use pins it anew. Ending a transaction is always allowed.
A Session that was opened in an unscoped block sees all tenants and ends with the block; one that was opened before it
stays guarded inside.
Relies on three methods of SQLAlchemy 2.0 and 2.1 that no event covers: `SessionTransaction._connection_for_bind`, which
hands a connection to whatever is about to speak SQL (the event `do_orm_execute` costs a third of a short query),
`Session._identity_lookup`, which `get()` and many-to-one attributes ask first, and `Session.merge`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.orm import InstanceState, Mapper, Session, SessionTransaction

from ..errors import TenancyError
from .rules import find_owner_column
from .scope import Unscoped, entered, find_identity, find_unscoped, is_open

_PIN = "_flask_guard_pin"
SEVERAL = object()


class SessionPinned(TenancyError, DontWrapMixin):
    """A Session is used for somebody else than it holds rows of."""


@dataclass(slots=True, eq=False)
class Pin:
    """Whose a Session is. block: the unscoped block it was opened in. tenant, principal: "" until there is one.

    principal: SEVERAL once two of them have used it; rows that have owners are not answered from memory then.
    """

    block: Unscoped | None = None
    tenant: str = ""
    principal: str | object = ""


def install_sessions() -> None:
    """Pin every Session of the process from now on. May be called again."""
    if hasattr(Session.__init__, _PIN):
        return
    _wrap(Session, "__init__", _pin_new)
    _wrap(SessionTransaction, "_connection_for_bind", _connect)
    _wrap(Session, "_identity_lookup", _look_up)
    for name in ("merge", "merge_all"):
        if hasattr(Session, name):  # merge_all is new in 2.1
            _wrap(Session, name, _merge)


def require_usable(session: Session) -> Pin:
    """Return whose the Session is. Raises SessionPinned when that is not who it is used for now."""
    pin = _pin_of(session)
    if pin.block is not None:
        if is_open(pin.block):
            return pin
        if not _is_empty(session):
            raise SessionPinned(
                "This Session was opened in an unscoped block that has ended, and there are still rows of all tenants "
                "in it. Close it in the block."
            )
        pin.block = None
    identity = find_identity()
    tenant, principal = identity.tenant.id, identity.principal.id if identity.principal.is_authenticated else ""
    if tenant == pin.tenant and principal == pin.principal:
        return pin
    is_empty = _is_empty(session)
    if tenant != pin.tenant and pin.tenant and not is_empty:
        raise SessionPinned(_describe(pin.tenant, tenant))
    pin.tenant = tenant
    pin.principal = principal if is_empty or not pin.principal or principal == pin.principal else SEVERAL
    return pin


def is_privileged(session: Session) -> bool:
    """Say whether the Session sees all tenants. Raises SessionPinned as `require_usable`."""
    return require_usable(session).block is not None


def list_unsure(session: Session) -> list[InstanceState[Any]]:
    """Return what is in a Session that several principals have used, and may not be there for the one of now."""
    if require_usable(session).principal is not SEVERAL:
        return []
    return [state for state in session.identity_map.all_states() if any(map(_has_owners, state.mapper.tables))]


def _describe(pinned: str, tenant: str) -> str:
    used = f"the tenant {tenant!r}" if tenant else "no tenant"
    return (
        f"This Session holds rows or a transaction of the tenant {pinned!r} and is used for {used}. "
        "Open a Session for each tenant, or close() this one first."
    )


def _pin_of(session: Session) -> Pin:
    pin: Pin | None = session.__dict__.get(_PIN)
    if pin is None:  # opened before the process was guarded
        pin = session.__dict__[_PIN] = Pin()
    return pin


def _is_empty(session: Session) -> bool:
    transaction = session.get_transaction()
    # Speaking to the Session has begun a transaction by now; it is one once it has a connection.
    is_begun = transaction is not None and bool(transaction._connections)
    return not (is_begun or len(session.identity_map) or session.new or session.deleted)


def _wrap(owner: type, name: str, around: Callable[..., Any]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def guarded(self: Any, *args: Any, **options: Any) -> Any:
        return around(original, self, *args, **options)

    setattr(guarded, _PIN, True)
    setattr(owner, name, guarded)


def _pin_new(original: Callable[..., None], session: Session, *args: Any, **options: Any) -> None:
    session.__dict__[_PIN] = Pin(find_unscoped())
    original(session, *args, **options)


def _connect(original: Callable[..., Any], transaction: SessionTransaction, *args: Any, **options: Any) -> Any:
    pin = require_usable(transaction.session)
    if pin.block is find_unscoped():
        return original(transaction, *args, **options)
    # The connection it may open is the Session's, whatever block this is.
    with entered(pin.block or find_identity()):
        return original(transaction, *args, **options)


def _look_up(original: Callable[..., Any], session: Session, mapper: Mapper[Any], *args: Any, **options: Any) -> Any:
    pin = require_usable(session)
    if pin.principal is SEVERAL and any(_has_owners(table) for table in mapper.tables):
        raise SessionPinned(
            f"Several principals have used this Session, and a {mapper.class_.__name__} is visible to its owner only. "
            "Open a Session for each principal."
        )
    return original(session, mapper, *args, **options)


def _has_owners(table: object) -> bool:
    return isinstance(table, Table) and find_owner_column(table) is not None


def _merge(original: Callable[..., Any], session: Session, *args: Any, **options: Any) -> Any:
    require_usable(session)
    return original(session, *args, **options)
