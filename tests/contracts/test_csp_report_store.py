"""What every store of content policy reports promises (`protocols.CspReportStore`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flask_guard.db.csp_reports import SqlCspReportStore
from flask_guard.db.engine import Database
from flask_guard.db.schema import create_schema
from flask_guard.protocols import CspReportStore
from flask_guard.values import CspReportRow, CspViolation
from tests.contracts.csp_report_stores import MemoryCspReportStore
from tests.db.races import run_threads

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=["memory", "sqlite", "sqlite in memory", "postgresql"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., CspReportStore]]:
    if request.param == "memory":
        yield MemoryCspReportStore
        return
    url = {"sqlite": f"sqlite:///{tmp_path / 'reports.db'}", "sqlite in memory": "sqlite://"}.get(request.param)
    database = Database.from_url(url or request.getfixturevalue("postgres_db"))
    if request.param == "postgresql":
        create_schema(database)
    yield partial(SqlCspReportStore, database)
    database.close()


@pytest.fixture
def store(make_store: Callable[..., CspReportStore]) -> CspReportStore:
    return make_store()


def make_violation(blocked: str = "https://cdn.example", **changes: Any) -> CspViolation:
    values = {"directive": "script-src-elem", "document": "/notes", "disposition": "enforce"}
    return CspViolation(**{**values, "blocked": blocked, **changes})


def counts(store: CspReportStore) -> dict[str, int]:
    return {row.violation.blocked: row.count for row in store.list_reports()}


def test_an_empty_store_has_no_reports(store: CspReportStore) -> None:
    store.record([], NOW)

    assert store.list_reports() == []
    assert store.count_dropped() == 0
    assert store.clear() == 0


def test_a_violation_comes_back_as_it_went_in(store: CspReportStore) -> None:
    violation = make_violation(disposition="report", document='/it\'s "quoted"; --', source_file="/app.js", line=12)

    store.record([violation], NOW)

    (row,) = store.list_reports()
    assert row == CspReportRow(violation, count=1, first_seen=NOW, last_seen=NOW)
    assert (row.violation.source_file, row.violation.line) == ("/app.js", 12)
    assert row.first_seen.utcoffset() == timedelta(0)


def test_the_same_violation_is_counted_and_not_kept_twice(store: CspReportStore) -> None:
    """The place in the code is no part of it: that of the first report stays."""
    store.record([make_violation(line=1), make_violation(line=2)], NOW)
    store.record([make_violation(line=3)], NOW + MINUTE)

    (row,) = store.list_reports()
    assert (row.count, row.first_seen, row.last_seen) == (3, NOW, NOW + MINUTE)
    assert row.violation.line == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"directive": "img-src"}, id="directive"),
        pytest.param({"blocked": "inline"}, id="blocked"),
        pytest.param({"document": "/"}, id="document"),
        pytest.param({"disposition": "report"}, id="disposition"),
    ],
)
def test_violations_that_differ_are_kept_apart(store: CspReportStore, change: dict[str, Any]) -> None:
    store.record([make_violation(), make_violation(**change)], NOW)

    assert [row.count for row in store.list_reports()] == [1, 1]


def test_a_slow_clock_does_not_turn_time_back(store: CspReportStore) -> None:
    store.record([make_violation()], NOW)
    store.record([make_violation()], NOW - MINUTE)

    (row,) = store.list_reports()
    assert (row.count, row.last_seen) == (2, NOW)


def test_what_does_not_fit_is_dropped_and_counted_and_what_is_known_is_counted_on(
    make_store: Callable[..., CspReportStore],
) -> None:
    store = make_store(max_distinct=2)
    store.record([make_violation(name) for name in "abcaac"], NOW)

    store.record([make_violation("d"), make_violation("a")], NOW)

    kept = counts(store)
    assert len(kept) == 2
    assert sum(kept.values()) + store.count_dropped() == 8
    assert store.count_dropped() >= 2


def test_clearing_makes_room(make_store: Callable[..., CspReportStore]) -> None:
    store = make_store(max_distinct=1)
    store.record([make_violation("a")], NOW)
    store.record([make_violation("b")], NOW)

    cleared = store.clear()
    store.record([make_violation("c")], NOW)

    assert cleared == 1
    assert counts(store) == {"c": 1}
    assert store.count_dropped() == 0


def test_reports_are_listed_by_how_often_and_since_when(store: CspReportStore) -> None:
    for age, (name, times) in enumerate([("a", 1), ("b", 3), ("c", 2)]):
        store.record([make_violation(name)] * times, NOW - age * MINUTE)

    def names(**filters: Any) -> str:
        return "".join(row.violation.blocked for row in store.list_reports(**filters))

    assert names() == "bca"
    assert names(since=NOW - MINUTE) == "ba"
    assert names(since=(NOW - MINUTE).astimezone(timezone(timedelta(hours=9)))) == "ba"
    assert names(since=NOW + MINUTE) == ""


def test_threads_that_report_the_same_at_once_lose_no_count(store: CspReportStore) -> None:
    def report(number: int) -> None:
        for _ in range(20):
            store.record([make_violation("shared"), make_violation(f"own {number}")], NOW)

    outcomes = run_threads([partial(report, number) for number in range(6)])

    assert outcomes == [None] * 6
    assert counts(store) == {"shared": 120, **{f"own {number}": 20 for number in range(6)}}


def test_threads_that_report_many_things_at_once_stay_within_the_bound(
    make_store: Callable[..., CspReportStore],
) -> None:
    store = make_store(max_distinct=10)

    def report(number: int) -> None:
        for other in range(5):
            store.record([make_violation(f"{number} {other} {one}") for one in range(4)], NOW)

    outcomes = run_threads([partial(report, number) for number in range(6)])

    assert outcomes == [None] * 6
    assert len(counts(store)) == 10
    assert store.count_dropped() == 6 * 5 * 4 - 10
