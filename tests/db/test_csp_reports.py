"""What the SQL store of reports does beyond its contract: its bounds, races of processes, faults, old databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, inspect, text

from flask_guard.auth.apikeys import ApiKeys
from flask_guard.db.csp_reports import MAX_COUNT, MAX_DISTINCT, SqlCspReportStore
from flask_guard.db.engine import Database
from flask_guard.db.schema import HEAD_REVISION, create_schema, ensure_schema
from flask_guard.db.stores import SqlApiKeyStore
from flask_guard.errors import StoreUnavailable
from flask_guard.extras import migrations
from flask_guard.values import CspViolation
from tests.db.races import run_processes, run_threads

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def make_violation(blocked: str = "inline") -> CspViolation:
    return CspViolation(directive="script-src", blocked=blocked, document="/", disposition="enforce")


def run(database: Database, statement: str, **parameters: Any) -> None:
    with database.transaction() as connection:
        connection.execute(text(statement), parameters)


@pytest.fixture
def store(database: Database) -> SqlCspReportStore:
    create_schema(database)
    return SqlCspReportStore(database)


def test_ten_thousand_distinct_violations_stay_within_the_bound(store: SqlCspReportStore, database: Database) -> None:
    for start in range(0, 10_000, 500):
        store.record([make_violation(f"https://h{start + number}.example") for number in range(500)], NOW)

    with database.transaction() as connection:
        rows = connection.scalar(text("SELECT count(*) FROM guard_csp_reports"))
    assert rows == MAX_DISTINCT + 1  # the one of what was dropped
    assert len(store.list_reports()) == MAX_DISTINCT == 1000
    assert store.count_dropped() == 9000


@pytest.mark.parametrize("before", [MAX_COUNT - 2, MAX_COUNT - 1, MAX_COUNT], ids=["2 below", "1 below", "full"])
def test_a_count_stays_at_its_bound(store: SqlCspReportStore, database: Database, before: int) -> None:
    store.record([make_violation()], NOW)
    run(database, "UPDATE guard_csp_reports SET count = :before WHERE digest <> 'dropped'", before=before)

    for _ in range(2):
        store.record([make_violation()] * 2, NOW)

    assert [row.count for row in store.list_reports()] == [2**31 - 1]


def test_the_count_of_dropped_reports_stays_at_its_bound(database: Database) -> None:
    create_schema(database)
    store = SqlCspReportStore(database, max_distinct=0)
    store.record([make_violation()], NOW)
    run(database, "UPDATE guard_csp_reports SET count = :most", most=MAX_COUNT)

    store.record([make_violation()], NOW)

    assert store.count_dropped() == MAX_COUNT


def test_a_known_violation_costs_one_statement(store: SqlCspReportStore, database: Database) -> None:
    store.record([make_violation()], NOW)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    store.record([make_violation()] * 20, NOW)

    assert [statement.split()[0] for statement in statements] == ["UPDATE"]


RECORD = """
from datetime import UTC, datetime
from flask_guard.db.csp_reports import SqlCspReportStore
from flask_guard.db.engine import Database
from flask_guard.values import CspViolation

store = SqlCspReportStore(Database.from_url(sys.argv[1]), max_distinct=30)
names = ["shared", *(f"{sys.argv[2]} {number}" for number in range(25))]
violations = [CspViolation("img-src", name, "/", "enforce") for name in names]
start()
for number in range(30):
    store.record([violations[0], violations[number % 25 + 1], violations[-1 - number % 25]], datetime.now(UTC))
print("ok")
"""


def test_processes_that_report_at_once_lose_no_count_and_stay_within_the_bound(
    store: SqlCspReportStore, database_url: str
) -> None:
    """Each knows violations of its own and one of all; some are new, some known, and their orders differ."""
    programs = [partial(run_processes, RECORD, database_url, str(name), count=2) for name in range(2)]

    assert run_threads(programs) == [["ok", "ok"]] * 2

    rows = store.list_reports()
    assert len(rows) == 30
    assert rows[0].violation.blocked == "shared"
    assert rows[0].count == 4 * 30
    assert sum(row.count for row in rows) + store.count_dropped() == 4 * 30 * 3


IN_SOME_ORDER = """
from datetime import UTC, datetime
from flask_guard.db.csp_reports import SqlCspReportStore
from flask_guard.db.engine import Database
from flask_guard.values import CspViolation

store = SqlCspReportStore(Database.from_url(sys.argv[1]))
violations = [CspViolation("img-src", str(number), "/", "enforce") for number in range(20)]
store.record(violations, datetime.now(UTC))
start()
for _ in range(100):
    store.record(violations if sys.argv[2] == "up" else reversed(violations), datetime.now(UTC))
print("ok")
"""


def test_processes_that_report_in_different_orders_do_not_block_each_other(
    store: SqlCspReportStore, database_url: str
) -> None:
    programs = [partial(run_processes, IN_SOME_ORDER, database_url, order, count=2) for order in ("up", "down")]

    assert run_threads(programs) == [["ok", "ok"]] * 2

    assert [row.count for row in store.list_reports()] == [4 * 101] * 20


def test_a_violation_that_somebody_else_just_added_is_counted_even_if_that_filled_the_store(
    store: SqlCspReportStore, database: Database, database_url: str
) -> None:
    mine = SqlCspReportStore(database, max_distinct=1)
    store.list_reports()
    others_database = Database.from_url(database_url)
    others = SqlCspReportStore(others_database, max_distinct=1)
    begun: list[object] = []

    def be_faster(connection: object) -> None:
        begun.append(connection)
        if len(begun) == 3:  # after a look at the tables and the one at the row
            others.record([make_violation()], NOW)

    event.listen(database.engine, "begin", be_faster)
    mine.record([make_violation()], NOW)

    assert [row.count for row in store.list_reports()] == [2]
    assert store.count_dropped() == 0
    others_database.close()


CLEAR_OR_RECORD = """
import random
from datetime import UTC, datetime
from flask_guard.db.csp_reports import SqlCspReportStore
from flask_guard.db.engine import Database
from flask_guard.values import CspViolation

store = SqlCspReportStore(Database.from_url(sys.argv[1]))
violations = [CspViolation("img-src", str(number), "/", "enforce") for number in range(20)]
store.list_reports()
start()
for number in range(60):
    if sys.argv[2] == "clear":
        store.clear()
    elif sys.argv[2] == "all":
        store.record(violations, datetime.now(UTC))
    else:
        store.record([random.choice(violations)], datetime.now(UTC))
print("ok")
"""


def test_clearing_while_others_report_ends_well(store: SqlCspReportStore, database_url: str) -> None:
    """Rows that were added one by one lie in any order in the table."""
    works = ("clear", "all", "all", "one")
    programs = [partial(run_processes, CLEAR_OR_RECORD, database_url, work, count=1) for work in works]

    assert run_threads(programs) == [["ok"]] * 4

    assert len(store.list_reports()) <= 20


class SlowGate:
    """Holds the first statement back until it is opened."""

    def __init__(self, database: Database) -> None:
        self.is_reached = threading.Event()
        self.open = threading.Event()
        self.transactions = 0
        event.listen(database.engine, "begin", self.pass_through)

    def pass_through(self, *_event: object) -> None:
        self.transactions += 1
        self.is_reached.set()
        assert self.open.wait(30)


def test_reports_that_come_during_a_write_are_written_as_one(store: SqlCspReportStore, database: Database) -> None:
    """However many threads a flood occupies, they use one connection: here two transactions serve nine requests."""
    store.record([make_violation()], NOW)
    gate = SlowGate(database)
    threads = [threading.Thread(target=store.record, args=([make_violation()], NOW)) for _ in range(9)]
    threads[0].start()
    assert gate.is_reached.wait(30)

    for thread in threads[1:]:
        thread.start()
    while len(store._next.violations) < 8:
        threading.Event().wait(0.001)
    gate.open.set()
    for thread in threads:
        thread.join()

    assert gate.transactions == 2
    assert [row.count for row in store.list_reports()] == [10]


def test_everybody_who_waits_for_a_write_that_fails_is_told(store: SqlCspReportStore, database: Database) -> None:
    store.record([make_violation()], NOW)
    run(database, "DROP TABLE guard_csp_reports")
    run(database, "CREATE TABLE guard_csp_reports (digest INTEGER)")

    outcomes = run_threads([partial(store.record, [make_violation()], NOW)] * 6)

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 6
    assert all(outcome.__cause__ is not None for outcome in outcomes)


def test_a_child_does_not_wait_for_threads_of_its_parent(store: SqlCspReportStore) -> None:
    store._turn.acquire()
    store._lock.acquire()
    store._next.violations.append(make_violation("the parent's"))

    store.after_fork()
    store.record([make_violation()], NOW)

    assert [row.violation.blocked for row in store.list_reports()] == ["inline"]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Database]:
    """A SQLite file that another connection has locked for writing, waiting 0.1 s at most."""
    url = f"sqlite:///{tmp_path / 'guard.db'}?timeout=0.1"
    create_schema(database := Database.from_url(url))
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield database
    engine.dispose()
    database.close()


def test_a_locked_sqlite_is_unavailable_for_reports_and_lists_them(locked: Database) -> None:
    store = SqlCspReportStore(locked)

    assert store.list_reports() == []
    with pytest.raises(StoreUnavailable):
        store.record([make_violation()], NOW)


def test_on_postgresql_the_store_works_as_soon_as_the_tables_are_there(postgres_db: str) -> None:
    database = Database.from_url(postgres_db)
    store = SqlCspReportStore(database)
    with pytest.raises(StoreUnavailable, match="flask guard init-db"):
        store.record([make_violation()], NOW)

    create_schema(database)

    store.record([make_violation()], NOW)
    assert len(store.list_reports()) == 1
    database.close()


@pytest.fixture
def old_database(database: Database) -> Database:
    """One of the revision before reports were kept, with a key in it."""
    migrations.upgrade(database, "0001")
    with database.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO guard_api_keys (id, name, kind, prefix, digest, roles, scopes, description, created_at)"
                " VALUES ('id', 'ci', 'service', 'fgk_id', 'd', '[]', '[]', '', '2026-11-21 12:00:00.000000')"
            )
        )
    return database


def test_an_old_database_is_brought_forward_without_loss(old_database: Database) -> None:
    assert migrations.upgrade(old_database) == HEAD_REVISION

    SqlCspReportStore(old_database).record([make_violation()], NOW)
    assert [key.name for key in SqlApiKeyStore(old_database).list_keys()] == ["ci"]


def test_going_back_drops_the_reports_and_nothing_else(old_database: Database) -> None:
    migrations.upgrade(old_database)
    SqlCspReportStore(old_database).record([make_violation()], NOW)

    assert migrations.downgrade(old_database, "0001") == "0001"

    assert not inspect(old_database.engine).has_table("guard_csp_reports")
    with old_database.transaction() as connection:
        assert connection.scalar(text("SELECT name FROM guard_api_keys")) == "ci"


def test_an_old_sqlite_gets_the_table_by_itself_and_the_revision_later(tmp_path: Path) -> None:
    database = Database.from_file(tmp_path / "guard.db")
    migrations.upgrade(database, "0001")
    ApiKeys(SqlApiKeyStore(database), clock=NOW.timestamp).create("ci")
    store = SqlCspReportStore(database)

    store.record([make_violation()], NOW)

    assert migrations.current(database) == "0001"
    assert migrations.upgrade(database) == HEAD_REVISION
    assert len(store.list_reports()) == 1
    assert len(SqlApiKeyStore(database).list_keys()) == 1
    database.close()


def test_an_old_postgresql_is_refused_with_the_command_that_helps(postgres_db: str) -> None:
    database = Database.from_url(postgres_db)
    migrations.upgrade(database, "0001")

    with pytest.raises(StoreUnavailable, match=r"lacks the table guard_csp_reports; run `flask guard init-db`"):
        ensure_schema(database)
    database.close()


def test_tables_that_vanish_are_made_again_on_sqlite(tmp_path: Path) -> None:
    database = Database.from_file(tmp_path / "guard.db")
    store = SqlCspReportStore(database)
    store.record([make_violation()], NOW)
    run(database, "DROP TABLE guard_csp_reports")

    with pytest.raises(StoreUnavailable):
        store.record([make_violation()], NOW)
    store.record([make_violation()], NOW)

    assert [row.count for row in store.list_reports()] == [1]
    database.close()
