"""A store that is down is asked once in a while, not by every request.

Rule: while the store is down, one request in `cooldown_s` waits for its timeout; all others are answered at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar

from ..errors import StoreUnavailable
from .rates import Charge, RateStore, Verdict, Window

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")

_NEVER: Final = float("-inf")


class RateBreaker:
    """A RateStore in front of another one, that fails at once while that one is known to be down.

    After a StoreUnavailable every call within `cooldown_s` raises StoreUnavailable without asking. The first call
    after that asks, alone; if it is answered, all are asked again. clock: seconds that never go back.
    """

    def __init__(
        self, store: RateStore, *, cooldown_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._is_down = False
        self._asked_at = _NEVER
        self._probe = threading.Lock()

    def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        """Charge all or none (`RateStore`)."""
        return self._ask(self._store.charge, charges)

    def forget(self, window: Window, subject: str) -> None:
        """Forget what one subject has used of a window."""
        self._ask(self._store.forget, window, subject)

    def reset(self) -> None:
        """Forget every count."""
        self._ask(self._store.reset)

    def after_fork(self) -> None:
        """Take a fresh lock, because another thread of the parent may have held the old one, and ask anew."""
        self._probe = threading.Lock()
        self._is_down = False
        self._store.after_fork()

    def _ask(self, call: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
        if self._is_down:
            return self._ask_again(call, *args, **kwargs)
        try:
            return call(*args, **kwargs)
        except StoreUnavailable:
            self._asked_at = self._clock()
            self._is_down = True
            raise

    def _ask_again(self, call: Callable[_Given, _Answer], *args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
        probe = self._probe
        if not probe.acquire(blocking=False):
            raise StoreUnavailable("the storage of limits is down; another request is asking it again")
        try:
            if self._is_down and self._clock() - self._asked_at < self._cooldown_s:
                raise StoreUnavailable(f"the storage of limits was down less than {self._cooldown_s:g} s ago")
            try:
                answer = call(*args, **kwargs)
            except StoreUnavailable:
                self._asked_at = self._clock()
                raise
            self._is_down = False
            return answer
        finally:
            probe.release()
