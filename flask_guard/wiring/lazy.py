"""What is built when it is first asked for, and what a forked process must not share with its parent.

An application that uses nothing but tokens never loads SQLAlchemy: the database and the store of keys
stand behind `OnFirstUse` until a key, a probe or a command asks.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ..protocols import ApiKeyStore
from ..values import ApiKeyRecord


class Forkable(Protocol):
    """Holds connections, locks or threads. `after_fork` is called in the child, where no other thread runs."""

    def after_fork(self) -> None: ...


class OnFirstUse:
    """Stands for an object that is built, once, when something is asked of it."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._built: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._get(), name)

    def close(self) -> None:
        """Close what was built; what was not is not built for that."""
        if self._built is not None:
            self._built.close()

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        renew = getattr(self._built, "after_fork", None)
        if renew is not None:
            renew()

    def _get(self) -> Any:
        if self._built is None:
            with self._lock:
                if self._built is None:
                    self._built = self._build()
        return self._built


class StoreIfThere:
    """A key store as those who present keys see it: where none was ever made, every key is unknown."""

    def __init__(self, store: ApiKeyStore, is_there: Callable[[], bool]) -> None:
        self._store = store
        self._is_there = is_there

    def find_by_digest(self, digest: str) -> ApiKeyRecord | None:
        return self._store.find_by_digest(digest) if self._is_there() else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


_forkable: weakref.WeakSet[Forkable] = weakref.WeakSet()


def survive_forks(*parts: Forkable) -> None:
    """Have the parts renewed in every process that is forked off from now on."""
    _forkable.update(parts)


def _after_fork() -> None:
    for part in list(_forkable):
        part.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
