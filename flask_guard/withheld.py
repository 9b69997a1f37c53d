"""The members that never come out: what schemas declare write-only or hidden, for logs, audit and history to ask.

A leaf, so that whoever writes something down can ask without knowing schemas. Names only, never values.
Rule: it only grows; a name that was ever a secret stays one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from weakref import WeakKeyDictionary

_lock = threading.Lock()
_write_only: frozenset[str] = frozenset()
_by_owner: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def withhold(owner: type, *, write_only: Iterable[str] = (), hidden: Iterable[str] = ()) -> None:
    """Declare the members of a model that never come out. owner: the model, or the schema of one that names none."""
    global _write_only
    secrets = frozenset(write_only)
    with _lock:
        _write_only |= secrets
        _by_owner[owner] = _by_owner.get(owner, frozenset()) | secrets | frozenset(hidden)


def list_withheld(owner: type) -> frozenset[str]:
    """Return the names of the members of a model or schema that are write-only or hidden."""
    return _by_owner.get(owner, frozenset())


def list_write_only() -> frozenset[str]:
    """Return every name that some schema declares write-only, as its own and as that in a body."""
    return _write_only


def is_write_only(name: str) -> bool:
    """Tell whether some schema declares a member of this name write-only: whatever it holds, it is not shown."""
    return name in _write_only
