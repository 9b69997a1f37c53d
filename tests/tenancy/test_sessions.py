"""A Session belongs to one tenant while there is anything in it; whoever else uses it is refused, SQL or none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from contextvars import copy_context
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from flask_guard import Principal, tenant_scope
from flask_guard.db import OwnedMixin, TenantMixin, unscoped
from flask_guard.errors import TenancyError, TenantRequired
from flask_guard.tenancy.sessions import SessionPinned, install_sessions

from .workshop import Tracker, make_tracker

ELSEWHERE = "holds rows or a transaction of the tenant 'acme' and is used for"


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def tracker(engine: sa.Engine) -> Tracker:
    """Each tenant has a project of the name of its tenant, with a task."""
    tracker = make_tracker()
    tracker.Base.metadata.create_all(engine)
    for number, tenant in enumerate(("acme", "zeta"), start=1):
        with tenant_scope(tenant), Session(engine) as session, session.begin():
            project = tracker.Project(id=number, name=tenant)
            session.add(tracker.Task(id=number, title=tenant, project=project))
    return tracker


# What needs no SQL --------------------------------------------------------------------------------------

_USES: dict[str, Callable[[Session, Tracker, Any], Any]] = {
    "get": lambda session, tracker, _task: session.get(tracker.Project, 1),
    "get_one": lambda session, tracker, _task: session.get_one(tracker.Project, 1),
    "legacy Query.get": lambda session, tracker, _task: session.query(tracker.Project).get(1),
    "a many-to-one attribute": lambda _session, _tracker, task: task.project,
    "merge of a known key": lambda session, tracker, _task: session.merge(tracker.Project(id=1, name="forged")),
    "merge without loading": lambda session, _tracker, task: session.merge(task, load=False),
    "select": lambda session, tracker, _task: session.execute(select(tracker.Task)).all(),
    "select of nothing that is protected": lambda session, tracker, _task: session.scalars(
        select(tracker.Country)
    ).all(),
    "core select": lambda session, tracker, _task: session.execute(select(tracker.Task.__table__)).all(),
    "refresh": lambda session, _tracker, task: session.refresh(task),
    "a collection": lambda _session, _tracker, task: list(task.children),
    "flush": lambda session, tracker, _task: (session.add(tracker.Person()), session.flush()),
    "commit of a change": lambda session, _tracker, task: (setattr(task, "title", "new"), session.commit()),
    "bulk_save_objects": lambda session, tracker, _task: session.bulk_save_objects([tracker.Person()]),
    "bulk_insert_mappings": lambda session, tracker, _task: session.bulk_insert_mappings(tracker.Person, [{}]),
    "connection": lambda session, _tracker, _task: session.connection(),
    "begin_nested": lambda session, _tracker, _task: session.begin_nested().session.connection(),
}


@pytest.mark.filterwarnings("ignore:The Query.get:sqlalchemy.exc.LegacyAPIWarning")
@pytest.mark.parametrize("used_for", ["zeta", None])
@pytest.mark.parametrize("use", _USES.values(), ids=_USES)
def test_a_session_refuses_whoever_else_uses_it(
    engine: sa.Engine, tracker: Tracker, use: Callable[..., Any], used_for: str | None
) -> None:
    with Session(engine) as session:
        with tenant_scope("acme"):
            task = session.scalars(select(tracker.Task)).one()
            assert session.get(tracker.Project, 1) is not None

        scope = tenant_scope(used_for) if used_for else nullcontext()
        with scope, pytest.raises(TenancyError, match=ELSEWHERE) as refused:
            use(session, tracker, task)

        assert isinstance(refused.value, SessionPinned)
        assert (f"the tenant {used_for!r}" if used_for else "no tenant") in str(refused.value)
        session.rollback()  # ending is always allowed


@pytest.mark.filterwarnings("ignore:The Query.get:sqlalchemy.exc.LegacyAPIWarning")
@pytest.mark.parametrize("use", _USES.values(), ids=_USES)
def test_a_session_serves_its_tenant(engine: sa.Engine, tracker: Tracker, use: Callable[..., Any]) -> None:
    with Session(engine) as session, tenant_scope("acme"):
        task = session.scalars(select(tracker.Task)).one()
        assert session.get(tracker.Project, 1) is not None

        use(session, tracker, task)


def test_the_identity_map_is_asked_by_the_method_that_is_guarded(
    engine: sa.Engine, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If SQLAlchemy finds another way to its identity map, this fails and `tenancy.sessions` has to follow."""
    asked: list[str] = []
    original = Session._identity_lookup

    def look_up(self: Session, mapper: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(mapper.class_.__name__)
        return original(self, mapper, *arguments, **options)

    monkeypatch.setattr(Session, "_identity_lookup", look_up)
    with Session(engine) as session, tenant_scope("acme"):
        task = session.scalars(select(tracker.Task)).one()

        session.get(tracker.Project, 1)
        _ = task.project

    assert asked == ["Project", "Project"]


def test_installing_twice_wraps_once() -> None:
    before = Session._identity_lookup, Session.__init__

    install_sessions()

    assert (Session._identity_lookup, Session.__init__) == before


# When a Session may have another tenant -----------------------------------------------------------------


@pytest.mark.parametrize(
    "empty", [lambda session: session.close(), lambda session: (session.expunge_all(), session.rollback())]
)
def test_an_empty_session_may_be_used_for_another_tenant(
    engine: sa.Engine, tracker: Tracker, empty: Callable[[Session], Any]
) -> None:
    with Session(engine) as session:
        with tenant_scope("acme"):
            held = session.scalars(select(tracker.Project)).one()
        empty(session)

        with tenant_scope("zeta"):
            assert session.scalars(select(tracker.Project.name)).all() == ["zeta"]
            assert session.get(tracker.Project, 1) is None
        assert held.name == "acme"


def test_a_committed_session_with_nothing_in_it_may_be_used_for_another_tenant(
    engine: sa.Engine, tracker: Tracker
) -> None:
    with Session(engine) as session:
        for tenant in ("acme", "zeta", "acme"):
            with tenant_scope(tenant):
                assert session.scalars(select(tracker.Project.name)).all() == [tenant]
                session.commit()


def test_a_session_with_a_transaction_and_nothing_else_is_pinned(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        with tenant_scope("acme"):
            session.execute(select(tracker.Project.name)).all()

        with tenant_scope("zeta"), pytest.raises(SessionPinned):
            session.execute(select(tracker.Project.name)).all()


@pytest.mark.parametrize("what", ["a new object", "a deleted object"])
def test_what_waits_to_be_written_pins_a_session(engine: sa.Engine, tracker: Tracker, what: str) -> None:
    with Session(engine) as session, tenant_scope("acme"):
        if what == "a new object":
            session.add(tracker.Project(name="mine"))
            session.connection()
        else:
            session.delete(session.get(tracker.Project, 1))

        with tenant_scope("zeta"), pytest.raises(SessionPinned):
            session.commit()
        session.rollback()

    with Session(engine) as session, tenant_scope("zeta"):
        assert session.scalars(select(tracker.Project.name)).all() == ["zeta"]


def test_a_session_that_served_nobody_may_get_a_tenant(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        session.scalars(select(tracker.Country)).all()

        with tenant_scope("acme"):
            assert session.scalars(select(tracker.Project.name)).all() == ["acme"]


def test_without_a_tenant_rows_of_tenants_are_an_error(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        with pytest.raises(TenantRequired):
            session.scalars(select(tracker.Project)).all()
        with pytest.raises(TenantRequired):
            session.get(tracker.Project, 1)
        session.add(tracker.Project(name="whose"))
        with pytest.raises(TenantRequired):
            session.flush()


# Several principals -------------------------------------------------------------------------------------


def test_rows_that_have_owners_are_not_answered_from_memory_to_another_principal(engine: sa.Engine) -> None:
    class Base(sa.orm.DeclarativeBase):
        pass

    class Note(TenantMixin, OwnedMixin, Base):
        __tablename__ = "notes"
        id: sa.orm.Mapped[int] = sa.orm.mapped_column(primary_key=True)

    Base.metadata.create_all(engine)
    ada, bob = Principal("ada"), Principal("bob")
    with Session(engine) as session:
        with tenant_scope("acme", principal=ada):
            session.add(held := Note(id=1))
            session.commit()
            assert session.get(Note, 1) is held

        with tenant_scope("acme", principal=bob):
            assert session.scalars(select(Note)).all() == []
            with pytest.raises(SessionPinned, match="Several principals"):
                session.get(Note, 1)


# Unscoped blocks ----------------------------------------------------------------------------------------


def test_a_session_opened_in_an_unscoped_block_sees_all_tenants(engine: sa.Engine, tracker: Tracker) -> None:
    with unscoped(reason="a test"), Session(engine) as session:
        assert set(session.scalars(select(tracker.Project.name))) == {"acme", "zeta"}
        assert session.get(tracker.Project, 2).name == "zeta"  # type: ignore[union-attr]


def test_a_session_opened_before_the_block_stays_guarded_inside(engine: sa.Engine, tracker: Tracker) -> None:
    with tenant_scope("acme"), Session(engine) as session, unscoped(reason="a test"):
        assert session.scalars(select(tracker.Project.name)).all() == ["acme"]
        assert session.get(tracker.Project, 2) is None
        with Session(engine) as other:
            assert set(other.scalars(select(tracker.Project.name))) == {"acme", "zeta"}


def test_a_tenant_bound_inside_the_block_changes_nothing_for_its_sessions(engine: sa.Engine, tracker: Tracker) -> None:
    with unscoped(reason="a test"), Session(engine) as session, tenant_scope("acme"):
        assert set(session.scalars(select(tracker.Project.name))) == {"acme", "zeta"}
        with Session(engine) as inner:
            assert inner.scalars(select(tracker.Project.name)).all() == ["acme"]


@pytest.mark.parametrize("tenant", ["acme", None])
def test_a_session_does_not_outlive_its_block(engine: sa.Engine, tracker: Tracker, tenant: str | None) -> None:
    with unscoped(reason="a test"):
        session = Session(engine)
        project = session.get(tracker.Project, 1)

    scope = tenant_scope(tenant) if tenant else nullcontext()
    with scope, pytest.raises(SessionPinned, match="an unscoped block that has ended"):
        session.get(tracker.Project, 1)
    assert project is not None
    session.close()
    with tenant_scope("zeta"):
        assert session.scalars(select(tracker.Project.name)).all() == ["zeta"]


def test_privileged_work_leaves_nothing_for_guarded_sessions_of_the_same_shape(
    engine: sa.Engine, tracker: Tracker
) -> None:
    statement = select(tracker.Project).order_by(tracker.Project.id)
    for _round in range(3):
        with unscoped(reason="a test"), Session(engine) as session:
            projects = session.scalars(statement).all()
            assert [project.name for project in projects] == ["acme", "zeta"]
            for project in projects:
                project.lead_task_id = None if project.lead_task_id else project.id
            session.commit()
        for number, tenant in enumerate(("acme", "zeta"), start=1):
            with tenant_scope(tenant), Session(engine) as session:
                assert [project.name for project in session.scalars(statement)] == [tenant]
                forged = tracker.Project(id=3 - number, tenant_id=tenant, name="forged")
                sa.orm.make_transient_to_detached(forged)
                session.add(forged)
                forged.lead_task_id = None
                forged.name = "stolen"
                with pytest.raises(sa.orm.exc.StaleDataError):
                    session.flush()


# What leaks nowhere -------------------------------------------------------------------------------------


def test_threads_inherit_no_tenant(engine: sa.Engine, tracker: Tracker) -> None:
    found: list[Any] = []

    def work() -> None:
        try:
            with Session(engine) as session:
                found.append(session.scalars(select(tracker.Project.name)).all())
        except TenantRequired as refused:
            found.append(type(refused).__mro__[1])

    with tenant_scope("acme"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert found == [TenantRequired]


def test_threads_with_tenants_of_their_own_share_a_factory(engine: sa.Engine, tracker: Tracker) -> None:
    sessions = scoped_session(sessionmaker(engine))
    barrier, found = threading.Barrier(2), {}

    def work(tenant: str) -> None:
        with tenant_scope(tenant):
            barrier.wait()
            found[tenant] = [sessions.scalars(select(tracker.Project.name)).all() for _ in range(20)]
            sessions.remove()

    threads = [threading.Thread(target=work, args=(tenant,)) for tenant in ("acme", "zeta")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {tenant: [[tenant]] * 20 for tenant in ("acme", "zeta")}


def test_tasks_with_tenants_of_their_own_take_turns(engine: sa.Engine, tracker: Tracker) -> None:
    async def work(tenant: str) -> list[list[str]]:
        found = []
        with tenant_scope(tenant), Session(engine) as session:
            for _ in range(5):
                found.append(list(session.scalars(select(tracker.Project.name))))
                await asyncio.sleep(0)
        return found

    async def both() -> list[list[list[str]]]:
        return list(await asyncio.gather(work("acme"), work("zeta")))

    assert asyncio.run(both()) == [[["acme"]] * 5, [["zeta"]] * 5]


def test_greenlets_with_tenants_of_their_own_take_turns(engine: sa.Engine, tracker: Tracker) -> None:
    greenlet = pytest.importorskip("greenlet")
    found: list[tuple[str, list[str]]] = []

    def work(tenant: str) -> None:
        with tenant_scope(tenant), Session(engine) as session:
            for _ in range(3):
                found.append((tenant, list(session.scalars(select(tracker.Project.name)))))
                greenlet.getcurrent().parent.switch()

    workers = [greenlet.greenlet(work) for _ in range(2)]
    for worker in workers:
        worker.gr_context = copy_context()
    for _ in range(3):
        for worker, tenant in zip(workers, ("acme", "zeta"), strict=True):
            worker.switch(tenant) if not worker else worker.switch()

    assert found == [(tenant, [tenant]) for _ in range(3) for tenant in ("acme", "zeta")]


def test_an_error_leaves_the_session_pinned(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        with pytest.raises(ZeroDivisionError), tenant_scope("acme"):
            _ = (held := session.get(tracker.Project, 1)) and 1 / 0
        with tenant_scope("zeta"), pytest.raises(SessionPinned):
            session.get(tracker.Project, 1)
        assert held is not None
