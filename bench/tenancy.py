"""What it costs that no statement reaches another tenant, against SQLAlchemy as it comes and a filter written by hand.

On SQLite in memory, with the session kept and its identity map emptied after each call, so that the time is that of
Python. The unguarded cases run with the guard taken out of the process for their blocks; it is put back after each.
Every case is asked before the clock whether it gives the rows of its tenant and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

from sqlalchemy import Connection, Engine, Select, String, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, SessionTransaction, mapped_column
from sqlalchemy.pool import StaticPool

from flask_guard import tenant_scope
from flask_guard.db import TenantMixin
from flask_guard.tenancy import flush

from .measure import Case, measure, scaled
from .report import Report, Target

ROUNDS = 61
TENANTS = 20
ROWS_OF_TENANT = 100
PAGE = 20
CHANGED = 100
MORE_TABLES = 49
TENANT = "tenant-7"

FLOOR = "filter written by hand"
GUARDED = "flask_guard"
BUILT = Target(1.10)
HELD = Target(1.45)
UPDATES = Target(1.10)
# No dearer; the two ratios come from two measurements, each with a spread of its own.
MORE = Target(1.05)


_WRAPPED: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Connection, ("__init__", "_begin_impl")),
    (Session, ("__init__", "_identity_lookup", "merge")),
    (SessionTransaction, ("_connection_for_bind",)),
)


class Base(DeclarativeBase):
    pass


class Doc(TenantMixin, Base):
    __tablename__ = "bench_docs"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(80))
    body: Mapped[str] = mapped_column(String(200))


def run(report: Report, *, scale: float) -> None:
    """Print the tables of tenancy."""
    rounds = scaled(ROUNDS, scale)
    few = _run_selects(report, "one table of tenants", rounds=rounds)
    for number in range(MORE_TABLES):
        type(f"Doc{number}", (TenantMixin, Base), _columns(f"bench_docs_{number}"))
    many = _run_selects(report, f"{MORE_TABLES + 1} tables of tenants", rounds=rounds)
    rows = []
    for name in few:
        grown = many[name] / few[name]
        rows.append((name, f"{few[name]:.2f}", f"{many[name]:.2f}", *report.judge(f"more tables, {name}", grown, MORE)))
    report.heading(f"The ratios with {MORE_TABLES + 1} tables against those with one")
    report.table(("case", "one", f"{MORE_TABLES + 1}", "target", "verdict"), rows)
    _run_updates(report, rounds=rounds)


def _columns(table_name: str) -> dict[str, Any]:
    return {
        "__tablename__": table_name,
        "__annotations__": {"id": Mapped[int], "title": Mapped[str]},
        "id": mapped_column(primary_key=True),
        "title": mapped_column(String(80)),
    }


# Selects -----------------------------------------------------------------------------------------------


def _run_selects(report: Report, what: str, *, rounds: int) -> dict[str, float]:
    """Print a table for each kind of select and return the guarded ratios by kind."""
    engine = _make_database()
    ids = [row for row in range(1, TENANTS * ROWS_OF_TENANT + 1) if row % TENANTS == 7]
    ratios = {}
    for kind, build, target in (
        ("by id, statement built for each call", _by_id(ids), BUILT),
        (f"a page of {PAGE}, statement built for each call", _page, None),
        (f"a page of {PAGE}, statement held", _held(_page), HELD),
    ):
        cases = [_select_case(engine, build, guarded=guarded) for guarded in (False, True)]
        timing = measure(cases, rounds=rounds)
        title = f"{what}: {kind}"
        report.heading(title)
        report.timing(title, timing, floor=FLOOR, targets={GUARDED: target} if target else {})
        ratios[kind] = timing.ratio(GUARDED, FLOOR).median
    engine.dispose()
    return ratios


def _by_id(ids: list[int]) -> Callable[[bool], Select[Any]]:
    turns = {False: cycle(ids), True: cycle(ids)}

    def build(is_guarded: bool) -> Select[Any]:
        wanted = select(Doc).where(Doc.id == next(turns[is_guarded]))
        return wanted if is_guarded else wanted.where(Doc.tenant_id == TENANT)

    return build


def _page(is_guarded: bool) -> Select[Any]:
    wanted = select(Doc).order_by(Doc.id).limit(PAGE)
    return wanted if is_guarded else wanted.where(Doc.tenant_id == TENANT)


def _held(build: Callable[[bool], Select[Any]]) -> Callable[[bool], Select[Any]]:
    held = {guarded: build(guarded) for guarded in (False, True)}
    return held.__getitem__


def _select_case(engine: Engine, build: Callable[[bool], Select[Any]], *, guarded: bool) -> Case:
    scene = _guarded if guarded else unguarded
    with scene():
        session = Session(engine)

    def call() -> int:
        found = session.scalars(build(guarded)).all()
        session.expunge_all()
        return len(found)

    with scene():
        assert {doc.tenant_id for doc in session.scalars(build(guarded))} == {TENANT}
        session.expunge_all()
        assert call() in (1, PAGE)
    return Case(GUARDED if guarded else FLOOR, call, scene=scene)


# Updates -----------------------------------------------------------------------------------------------


def _run_updates(report: Report, *, rounds: int) -> None:
    engine = _make_database()
    title = f"{CHANGED} objects changed and flushed by the unit of work"
    timing = measure([_update_case(engine, guarded=guarded) for guarded in (False, True)], rounds=rounds, block_ms=40.0)
    report.heading(title)
    report.timing(title, timing, floor=FLOOR, targets={GUARDED: UPDATES})
    engine.dispose()


def _update_case(engine: Engine, *, guarded: bool) -> Case:
    scene = _guarded if guarded else unguarded
    with scene():
        session = Session(engine)
        docs = session.scalars(select(Doc).where(Doc.tenant_id == TENANT).limit(CHANGED)).all()
        assert len(docs) == CHANGED
    titles = cycle(("one", "two"))

    def call() -> None:
        title = next(titles)
        for doc in docs:
            doc.title = title
        session.flush()

    with scene():
        call()
        assert session.scalar(select(Doc.title).where(Doc.id == docs[0].id, Doc.tenant_id == TENANT)) == "one"
    return Case(GUARDED if guarded else FLOOR, call, scene=scene)


# With the guard and without ----------------------------------------------------------------------------


def _make_database() -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with unguarded():
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(
                Doc.__table__.insert(),  # type: ignore[attr-defined]
                [
                    {"tenant_id": f"tenant-{row % TENANTS}", "title": f"title {row}", "body": "x" * 80}
                    for row in range(1, TENANTS * ROWS_OF_TENANT + 1)
                ],
            )
    return engine


@contextmanager
def _guarded() -> Iterator[None]:
    with tenant_scope(TENANT):
        yield


@contextmanager
def unguarded() -> Iterator[None]:
    """Take the guard out of SQLAlchemy until the block ends: its listeners, and what it has put around methods."""
    listeners = [
        (Session, "before_flush", flush._before_flush),
        (Session, "detached_to_persistent", flush._on_brought),
    ]
    wrapped = [(owner, name, getattr(owner, name)) for owner, names in _WRAPPED for name in names]
    for listener in listeners:
        event.remove(*listener)
    for owner, name, method in wrapped:
        setattr(owner, name, method.__wrapped__)
    try:
        yield
    finally:
        for owner, name, method in wrapped:
            setattr(owner, name, method)
        for listener in listeners:
            event.listen(*listener)
