"""Counts of what happened, for metrics and for tests. Pure; safe to use from many threads."""

from __future__ import annotations

import threading
from collections import Counter


class Counters:
    """Counts by a name and labels: `counters.count("rate_limited", label="anonymous")`."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._lock = threading.Lock()

    def count(self, name: str, **labels: str) -> None:
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += 1

    def read(self, name: str, **labels: str) -> int:
        """Return the sum of the counts that have these labels, whatever others they have."""
        with self._lock:
            return sum(
                number
                for (counted, having), number in self._counts.items()
                if counted == name and labels.items() <= dict(having).items()
            )

    def after_fork(self) -> None:
        self._lock = threading.Lock()
