"""A store of content policy reports in memory, held to the same contract as the real ones."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from flask_guard.errors import StoreUnavailable
from flask_guard.values import CspReportRow, CspViolation


class MemoryCspReportStore:
    """is_down: every call raises StoreUnavailable."""

    def __init__(self, *, max_distinct: int = 1000) -> None:
        self.rows: dict[CspViolation, CspReportRow] = {}
        self.is_down = False
        self._dropped = 0
        self._max_distinct = max_distinct
        self._lock = threading.Lock()

    def record(self, violations: Iterable[CspViolation], at: datetime) -> None:
        with self._answering():
            for violation in violations:
                row = self.rows.get(violation)
                if row is not None:
                    count = min(row.count + 1, 2**31 - 1)
                    self.rows[violation] = replace(row, count=count, last_seen=max(row.last_seen, at))
                elif len(self.rows) < self._max_distinct:
                    self.rows[violation] = CspReportRow(violation, count=1, first_seen=at, last_seen=at)
                else:
                    self._dropped += 1

    def list_reports(self, *, since: datetime | None = None) -> list[CspReportRow]:
        with self._answering():
            rows = [row for row in self.rows.values() if since is None or row.last_seen >= since]
        return sorted(rows, key=lambda row: -row.count)

    def count_dropped(self) -> int:
        with self._answering():
            return self._dropped

    def clear(self) -> int:
        with self._answering():
            cleared = len(self.rows)
            self.rows.clear()
            self._dropped = 0
            return cleared

    def _answering(self) -> threading.Lock:
        if self.is_down:
            raise StoreUnavailable("the store does not answer")
        return self._lock
