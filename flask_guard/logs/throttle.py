"""One line for many events of a kind, so that an outage under load does not fill a disk. Pure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """Admits one event of a kind in `every_s` seconds and counts the others."""

    def __init__(self, every_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def admit(self, kind: str) -> int | None:
        """Return how many events were held back since the last one that was admitted; None to hold this one back."""
        now = self._clock()
        with self._lock:
            admitted_at, held = self._seen.get(kind, (float("-inf"), 0))
            if now - admitted_at < self._every_s:
                self._seen[kind] = admitted_at, held + 1
                return None
            self._seen[kind] = now, 0
            return held

    def after_fork(self) -> None:
        self._lock = threading.Lock()
