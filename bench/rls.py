"""What row security in PostgreSQL costs a transaction, on a server of one's own on loopback, by the wall.

The floor is SQLAlchemy with a hand-written WHERE on an engine without any listener, as a role that row security does
not hold; each case is one transaction with one query. BENCH_RLS_ROWS=1000000 measures on as many rows as that.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table, create_engine, func, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from flask_guard.tenancy import process
from flask_guard.tenancy.rls.apply import apply
from flask_guard.tenancy.scope import tenant_scope
from tests.services.postgres_server import PostgresServer, PostgresUnavailable

from .measure import BLOCK_MS, Case, measure, scaled
from .report import Report, Target

ROUNDS = 41
ROWS_A_TENANT = 1000
TENANT, NUMBER = "t7", 7

FLOOR = "SQLAlchemy, hand-written WHERE"
GUARDED = "flask_guard, row security and its own WHERE"
APART = "the same, the settings as a statement of their own"
# At most, against the floor of the same query.
TARGETS = {"one row by its key": 1.20, "count of 1,000 rows": 1.10}


def run(report: Report, *, scale: float) -> None:
    """Print the tables of row security."""
    folder = Path(tempfile.mkdtemp(prefix="flask-guard-bench-"))
    folder.chmod(0o755)
    server = PostgresServer(folder)
    rows = int(os.environ.get("BENCH_RLS_ROWS", "100000"))
    try:
        url = server.get_url()
        with contextlib.ExitStack() as stack:
            _measure(report, stack, url, rounds=scaled(ROUNDS, scale), rows=rows)
    except PostgresUnavailable as exc:
        report.note(f"Row security is left out: {exc}.")
    finally:
        server.stop()


def _measure(report: Report, stack: contextlib.ExitStack, url: Any, *, rounds: int, rows: int) -> None:
    process.guard_process()
    docs = _make_table(url, rows=rows)
    floor = _open(stack, url.set(username="bench_plain"))
    guarded, apart = (_open(stack, url.set(username="bench_app")) for _ in range(2))
    apart.dialect.driver = "another"  # what any driver but psycopg 3 gets
    assert isinstance(apart.dialect, PGDialect_psycopg)
    own = docs.c.tenant_id == TENANT
    queries: dict[str, Callable[[], Any]] = {
        "one row by its key": lambda: select(docs.c.title).where(docs.c.id == NUMBER),
        "count of 1,000 rows": lambda: select(func.count(docs.c.title)),
    }
    for what, make in queries.items():
        cases = [
            Case(FLOOR, _asking(floor, lambda make=make: make().where(own)), scene=_unguarded),  # type: ignore[misc]
            Case(GUARDED, _asking(guarded, make), scene=lambda: tenant_scope(TENANT)),
            Case(APART, _asking(apart, make), scene=lambda: tenant_scope(TENANT)),
        ]
        _require_same(cases)
        timing = measure(cases, rounds=rounds, block_ms=2 * BLOCK_MS, clock_ns=time.perf_counter_ns)
        report.heading(f"Row security, {what}, {rows:,} rows, by the wall")
        report.timing(f"Row security, {what}", timing, floor=FLOOR, targets={GUARDED: Target(TARGETS[what])})


def _asking(engine: Engine, make: Callable[[], Any]) -> Callable[[], Any]:
    def ask() -> Any:
        with engine.begin() as connection:
            return connection.execute(make()).scalar_one()

    return ask


@contextlib.contextmanager
def _unguarded() -> Iterator[None]:
    """Have connections made as if nobody had ever imported flask_guard."""
    guarded: Any = Connection.__init__
    Connection.__init__ = guarded.__wrapped__  # type: ignore[method-assign]
    try:
        yield
    finally:
        Connection.__init__ = guarded  # type: ignore[method-assign]


def _require_same(cases: list[Case]) -> None:
    answers = set()
    for case in cases:
        with case.scene():
            answers.add(case.call())
    assert len(answers) == 1, answers


def _open(stack: contextlib.ExitStack, url: Any) -> Engine:
    engine = create_engine(url)
    stack.callback(engine.dispose)
    return engine


def _make_table(url: Any, *, rows: int) -> Table:
    docs = Table(
        "bench_docs",
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("tenant_id", String(20), primary_key=True, info={"guard": "tenant"}),
        Column("title", String(50)),
    )
    tenants = max(1, rows // ROWS_A_TENANT)
    with _superuser(url) as connection:
        docs.create(connection)
        _run(connection, "CREATE ROLE bench_app LOGIN; CREATE ROLE bench_plain LOGIN BYPASSRLS")
        _run(connection, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO bench_app, bench_plain")
        numbers = f"generate_series(1, {rows}) i"
        _run(connection, f"INSERT INTO bench_docs SELECT i, 't' || i % {tenants}, 'title ' || i FROM {numbers}")  # noqa: S608
        apply(connection, [docs])
    with _superuser(url) as connection:
        _run(connection, "ANALYZE")
    return docs


@contextlib.contextmanager
def _superuser(url: Any) -> Iterator[Connection]:
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _run(connection: Connection, statement: str) -> None:
    """Run a statement with the driver alone: it names a protected table."""
    cursor = connection.connection.cursor()
    cursor.execute(statement)
    cursor.close()
