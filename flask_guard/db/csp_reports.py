"""The store that keeps reports of content security policies in SQL.

Anybody may send reports, so what they cost is bounded: the number of rows, the size of a count, and one connection
and one transaction at a time in each process. Reports that come while one is being written wait together and are
written as one, each violation with a single UPDATE.
Rule: a report is counted before `record` returns; nothing is left in memory that an exit could lose.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Integer, Row, bindparam, case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ..errors import StoreUnavailable
from ..values import CspReportRow, CspViolation
from .engine import Database
from .schema import PreparedDatabase
from .tables import UtcDateTime, csp_reports

MAX_DISTINCT: Final = 1000
MAX_COUNT: Final = 2**31 - 1  # what an INTEGER of PostgreSQL holds

_DROPPED: Final = "dropped"
_columns: Final = csp_reports.c
_IS_REPORT: Final = _columns.digest != _DROPPED

# What a row becomes when it is seen again. A process with a slow clock does not turn time back.
_times: Final = bindparam("times", type_=Integer)
_at: Final = bindparam("at", type_=UtcDateTime)
_CHANGES: Final = {
    "count": case((_columns.count > MAX_COUNT - _times, MAX_COUNT), else_=_columns.count + _times),
    "last_seen": case((_columns.last_seen < _at, _at), else_=_columns.last_seen),
}
_UPDATE: Final = update(csp_reports).where(_columns.digest == bindparam("key")).values(_CHANGES)
_INSERT: Final = {
    "sqlite": sqlite.insert(csp_reports).on_conflict_do_update(index_elements=["digest"], set_=_CHANGES),
    "postgresql": postgresql.insert(csp_reports).on_conflict_do_update(index_elements=["digest"], set_=_CHANGES),
}


class _Seen(NamedTuple):
    """A row's key, what the row says, and how often that was reported."""

    digest: str
    violation: CspViolation
    times: int


_NOTHING: Final = CspViolation(directive="", blocked="", document="", disposition="enforce")
_LOCK: Final = _Seen(_DROPPED, _NOTHING, 0)


class _Batch:
    """What is written in one go. failure: what all who wait for it are told."""

    def __init__(self) -> None:
        self.violations: list[CspViolation] = []
        self.is_written = False
        self.failure: StoreUnavailable | None = None


class SqlCspReportStore:
    """Keeps violations in `guard_csp_reports`. See `protocols.CspReportStore` for what each method promises.

    max_distinct: how many violations are kept.
    """

    def __init__(self, database: Database, *, max_distinct: int = MAX_DISTINCT) -> None:
        self._database = PreparedDatabase(database)
        self._max_distinct = max_distinct
        self.after_fork()

    def after_fork(self) -> None:
        """Take locks of our own; what threads of the parent wait for is written there."""
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._next = _Batch()

    def record(self, violations: Iterable[CspViolation], at: datetime) -> None:
        with self._lock:
            batch = self._next
            batch.violations += violations
        with self._turn:
            if not batch.is_written:
                self._write(batch, at)
        if batch.failure is not None:
            raise StoreUnavailable(str(batch.failure)) from batch.failure

    def list_reports(self, *, since: datetime | None = None) -> list[CspReportRow]:
        query = select(csp_reports).where(_IS_REPORT).order_by(_columns.count.desc(), _columns.digest)
        if since is not None:
            query = query.where(_columns.last_seen >= since)
        with self._database.transaction() as connection:
            rows = connection.execute(query).all()
        return [_read_row(row) for row in rows]

    def count_dropped(self) -> int:
        with self._database.transaction() as connection:
            return connection.scalar(select(_columns.count).where(_columns.digest == _DROPPED)) or 0

    def clear(self) -> int:
        with self._database.transaction() as connection:
            # The row that `_admit` locks, and the others in the order in which `_write` locks them.
            connection.execute(update(csp_reports).where(_columns.digest == _DROPPED).values(count=0))
            connection.execute(select(_columns.digest).where(_IS_REPORT).order_by(_columns.digest).with_for_update())
            return connection.execute(delete(csp_reports).where(_IS_REPORT)).rowcount

    def _write(self, batch: _Batch, at: datetime) -> None:
        with self._lock:
            self._next = _Batch()
        seen = [_Seen(_digest(violation), violation, times) for violation, times in Counter(batch.violations).items()]
        seen.sort(key=lambda one: one.digest)  # in one order, so that two processes never wait for each other
        try:
            with self._database.transaction() as connection:
                new = [one for one in seen if not _count(connection, one, at)]
            if new:
                with self._database.transaction() as connection:
                    self._admit(connection, new, at)
        except StoreUnavailable as exc:
            batch.failure = exc
        batch.is_written = True

    def _admit(self, connection: Connection, new: list[_Seen], at: datetime) -> None:
        """Keep new violations while there is room, one process at a time, and count the others as dropped."""
        _insert(connection, _LOCK, at)
        kept = connection.scalar(select(func.count()).where(_IS_REPORT)) or 0
        dropped = 0
        for one in new:
            if _count(connection, one, at):  # somebody else was faster
                continue
            if kept < self._max_distinct:
                _insert(connection, one, at)
                kept += 1
            else:
                dropped += one.times
        if dropped:
            _count(connection, _LOCK._replace(times=dropped), at)


def _count(connection: Connection, seen: _Seen, at: datetime) -> bool:
    """Add to the count of a row. False when there is none."""
    return connection.execute(_UPDATE, {"key": seen.digest, "times": seen.times, "at": at}).rowcount == 1


def _insert(connection: Connection, seen: _Seen, at: datetime) -> None:
    """Make a row, or add to its count; either way nobody else changes it before the transaction ends."""
    violation = seen.violation
    row = {
        "digest": seen.digest,
        "directive": violation.directive,
        "blocked": violation.blocked,
        "document": violation.document,
        "disposition": violation.disposition,
        "source_file": violation.source_file,
        "line": violation.line,
        "count": min(seen.times, MAX_COUNT),
        "first_seen": at,
        "last_seen": at,
    }
    connection.execute(_INSERT[connection.dialect.name], {**row, "times": seen.times, "at": at})


def _digest(violation: CspViolation) -> str:
    kept = (violation.directive, violation.blocked, violation.document, violation.disposition)
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def _read_row(row: Row[Any]) -> CspReportRow:
    violation = CspViolation(
        directive=row.directive,
        blocked=row.blocked,
        document=row.document,
        disposition="report" if row.disposition == "report" else "enforce",
        source_file=row.source_file,
        line=row.line,
    )
    count: int = row._mapping["count"]  # a row is a tuple, whose own `count` is a method
    return CspReportRow(violation, count=count, first_seen=row.first_seen, last_seen=row.last_seen)
