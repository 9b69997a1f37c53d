"""What the unit of work writes: rows of the bound tenant and the principal, which refer to rows that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import ForeignKey, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, make_transient_to_detached, mapped_column, relationship

from flask_guard import Principal, tenant_scope
from flask_guard.db import OwnedMixin, TenantMixin, unscoped
from flask_guard.errors import CrossTenantWrite, ForeignReference, TenantRequired, Unauthorized

from .workshop import Tracker, make_tracker


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def tracker(engine: sa.Engine) -> Tracker:
    """Acme has rows with the number 1, zeta those with the number 2."""
    tracker = make_tracker()
    tracker.Base.metadata.create_all(engine)
    for number, tenant in enumerate(("acme", "zeta"), start=1):
        with tenant_scope(tenant), Session(engine) as session, session.begin():
            rows = [tracker.Project(id=number, name=tenant), tracker.Person(id=number), tracker.Tag(id=number)]
            session.add_all([*rows, tracker.Task(id=number)])
    if engine.dialect.name == "postgresql":  # whose sequences do not learn of numbers that were given
        for table in ("people", "projects", "tags", "tasks"):
            ask(engine, f"SELECT setval('{table}_id_seq', 100)")
    return tracker


@pytest.fixture
def session(engine: sa.Engine, tracker: Tracker) -> Iterator[Session]:
    """A Session of acme's."""
    with tenant_scope("acme"), Session(engine) as session:
        yield session


def ask(engine: sa.Engine, statement: str) -> int:
    """Return one number from the database, asked past every guard."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        (number,) = cursor.fetchone()
        connection.commit()
    finally:
        connection.close()
    return int(number)


def count_rows(engine: sa.Engine, table: str) -> int:
    return ask(engine, f"SELECT count(*) FROM {table}")  # noqa: S608  # names of this file


# Whose a row becomes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"tenant_id": None}, {"tenant_id": "acme"}], ids=["unset", "none", "own"])
def test_a_new_row_belongs_to_the_bound_tenant(session: Session, tracker: Tracker, given: dict[str, Any]) -> None:
    session.add(person := tracker.Person(**given))
    session.flush()

    assert person.tenant_id == "acme"


def test_a_row_of_another_tenant_is_refused_before_anything_is_written(
    session: Session, tracker: Tracker, engine: sa.Engine
) -> None:
    session.add_all([tracker.Person(), tracker.Person(tenant_id="zeta"), tracker.Person()])

    with pytest.raises(CrossTenantWrite):
        session.commit()
    session.rollback()

    assert count_rows(engine, "people") == 2


def test_moving_a_row_to_another_tenant_is_refused(session: Session, tracker: Tracker) -> None:
    person = session.get_one(tracker.Person, 1)
    person.tenant_id = "zeta"

    with pytest.raises(CrossTenantWrite):
        session.flush()


def test_a_new_row_without_a_tenant_is_refused(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        session.add(tracker.Person())

        with pytest.raises(TenantRequired):
            session.flush()


def test_in_an_unscoped_block_a_row_says_whose_it_is(engine: sa.Engine, tracker: Tracker) -> None:
    with unscoped(reason="a test"), Session(engine) as session:
        session.add(person := tracker.Person(tenant_id="beta"))
        session.commit()
        assert person.tenant_id == "beta"

        session.add(tracker.Person())
        with pytest.raises(TenantRequired):
            session.commit()


# Owners -------------------------------------------------------------------------------------------------

ADA, BOB, ROOT = Principal("ada"), Principal("bob"), Principal("root", roles=frozenset({"admin"}))


@pytest.fixture
def Note(engine: sa.Engine) -> Any:  # a class
    class Base(DeclarativeBase):
        pass

    class Note(TenantMixin, OwnedMixin, Base):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(default="")

    Base.metadata.create_all(engine)
    return Note


def test_a_new_row_belongs_to_the_principal(engine: sa.Engine, Note: Any) -> None:
    with tenant_scope("acme", principal=ADA), Session(engine) as session:
        session.add(note := Note())
        session.commit()

        assert (note.tenant_id, note.owner_id) == ("acme", "ada")


def test_a_row_of_another_owner_is_neither_seen_nor_written(engine: sa.Engine, Note: Any) -> None:
    with tenant_scope("acme", principal=ADA), Session(engine) as session, session.begin():
        session.add(Note(id=1))

    with tenant_scope("acme", principal=BOB), Session(engine) as session:
        assert session.get(Note, 1) is None
        session.add(Note(owner_id="ada"))
        with pytest.raises(CrossTenantWrite):
            session.flush()
        session.rollback()
        session.add(note := Note(id=2))
        session.flush()
        note.owner_id = "ada"
        with pytest.raises(CrossTenantWrite):
            session.flush()


def test_a_role_above_owners_sees_and_moves_rows_of_its_tenant(engine: sa.Engine, Note: Any) -> None:
    for tenant in ("acme", "zeta"):
        with tenant_scope(tenant, principal=ADA), Session(engine) as session, session.begin():
            session.add(Note())

    with tenant_scope("acme", principal=ROOT), Session(engine) as session:
        note = session.scalars(select(Note)).one()
        note.owner_id = "bob"
        session.add(Note(owner_id="ada"))
        session.commit()

        assert sorted(session.scalars(select(Note.owner_id))) == ["ada", "bob"]


def test_rows_that_have_owners_need_a_principal(engine: sa.Engine, Note: Any) -> None:
    with tenant_scope("acme"), Session(engine) as session:
        with pytest.raises(Unauthorized):
            session.scalars(select(Note)).all()
        session.rollback()
        session.add(Note())
        with pytest.raises(Unauthorized):
            session.flush()


def test_a_class_names_the_roles_that_stand_above_owners(engine: sa.Engine) -> None:
    class Base(DeclarativeBase):
        pass

    class Draft(TenantMixin, OwnedMixin, Base):
        __tablename__ = "drafts"
        __owner_bypass_roles__ = ("editor",)
        id: Mapped[int] = mapped_column(primary_key=True)

    Base.metadata.create_all(engine)
    with tenant_scope("acme", principal=ADA), Session(engine) as session, session.begin():
        session.add(Draft())
    for principal, seen in ((ROOT, 0), (Principal("eve", roles=frozenset({"editor"})), 1)):
        with tenant_scope("acme", principal=principal), Session(engine) as session:
            assert len(session.scalars(select(Draft)).all()) == seen


# References ---------------------------------------------------------------------------------------------

_FOREIGN: dict[str, tuple[Callable[[Session, Tracker], Any], str]] = {
    "a new row": (lambda session, tracker: session.add(tracker.Task(project_id=2)), "/project_id"),
    "a new row, set null": (lambda session, tracker: session.add(tracker.Task(reviewer_id=2)), "/reviewer_id"),
    "a changed row": (
        lambda session, tracker: setattr(session.get(tracker.Task, 1), "author_id", 2),
        "/author_id",
    ),
    "itself": (lambda session, tracker: setattr(session.get(tracker.Task, 1), "parent_id", 2), "/parent_id"),
    "what is not there at all": (lambda session, tracker: session.add(tracker.Task(project_id=99)), "/project_id"),
    "text for a number": (lambda session, tracker: session.add(tracker.Task(project_id="2")), "/project_id"),
    "the parent of a row": (lambda session, tracker: session.add(tracker.Comment(task_id=2)), "/task_id"),
    "beside the parent": (
        lambda session, tracker: session.add(tracker.Comment(task_id=1, author_id=2)),
        "/author_id",
    ),
    "a forged parent": (
        lambda session, tracker: session.add(tracker.Task(project=forge(tracker.Project, id=2))),
        "/project",
    ),
    "a forged parent by number": (
        lambda session, tracker: session.add_all([forge(tracker.Project, id=2), tracker.Task(project_id=2)]),
        "/project_id",
    ),
    "a child of what is forged": (
        lambda session, tracker: append_to_forged(session, forge(tracker.Project, id=2), tracker.Task()),
        "/tasks",
    ),
    "many to many": (
        lambda session, tracker: session.add(tracker.Task(tags=[forge(tracker.Tag, id=2)])),
        "/tags",
    ),
    "merged without loading": (
        lambda session, tracker: session.add(
            tracker.Task(project=session.merge(forge(tracker.Project, id=2), load=False))
        ),
        "/project",
    ),
}


def forge(class_: Any, **values: Any) -> Any:
    """Return an object that claims to be a row of acme's, without having been loaded."""
    forged = class_(tenant_id="acme", **values)
    make_transient_to_detached(forged)
    return forged


def append_to_forged(session: Session, project: Any, task: Any) -> None:
    session.add(project)
    with session.no_autoflush:
        project.tasks.append(task)


@pytest.mark.parametrize(("write", "pointer"), _FOREIGN.values(), ids=_FOREIGN)
def test_a_reference_to_a_row_of_another_tenant_is_refused_and_nothing_is_written(
    session: Session, tracker: Tracker, engine: sa.Engine, write: Callable[..., Any], pointer: str
) -> None:
    def write_all() -> None:
        write(session, tracker)
        session.add(tracker.Person())
        session.commit()

    with pytest.raises(ForeignReference) as refused:
        write_all()
    session.rollback()

    assert pointer in [fault.pointer for fault in refused.value.errors]
    assert {fault.message for fault in refused.value.errors} == {"What this refers to is not there."}
    assert refused.value.status == 422
    assert [count_rows(engine, table) for table in ("people", "tasks", "comments", "task_tags")] == [2, 2, 0, 0]


def test_all_faulty_references_of_a_flush_are_told_at_once(session: Session, tracker: Tracker) -> None:
    session.add_all([tracker.Task(project_id=2, author_id=99, parent_id=1), tracker.Comment(task_id=2)])

    with pytest.raises(ForeignReference) as refused:
        session.flush()

    assert [fault.pointer for fault in refused.value.errors] == ["/author_id", "/project_id", "/task_id"]


_OWN: dict[str, Callable[[Session, Tracker], Any]] = {
    "by number": lambda session, tracker: session.add(tracker.Task(project_id=1, author_id=1, parent_id=1)),
    "text for a number": lambda session, tracker: session.add(tracker.Task(project_id="1")),
    "made in the same flush": lambda session, tracker: session.add_all(
        [tracker.Project(id=7, name="x"), tracker.Task(project_id=7)]
    ),
    "no reference": lambda session, tracker: session.add(tracker.Task(project_id=None)),
    "brought in from another session": lambda session, tracker: session.add(
        tracker.Task(project=forge(tracker.Project, id=1), tags=[forge(tracker.Tag, id=1)])
    ),
    "a subquery": lambda session, tracker: session.add(
        tracker.Task(project_id=select(sa.func.max(tracker.Project.id)).scalar_subquery())
    ),
}


@pytest.mark.parametrize("write", _OWN.values(), ids=_OWN)
def test_a_reference_to_an_own_row_is_written(session: Session, tracker: Tracker, write: Callable[..., Any]) -> None:
    write(session, tracker)
    session.commit()

    assert len(session.scalars(select(tracker.Task)).all()) == 2


def test_a_subquery_finds_own_rows_only(session: Session, tracker: Tracker) -> None:
    session.add(task := tracker.Task(project_id=select(sa.func.max(tracker.Project.id)).scalar_subquery()))
    session.commit()

    assert task.project_id == 1


def test_what_is_in_the_session_is_not_asked_for(session: Session, tracker: Tracker, engine: sa.Engine) -> None:
    project, person = session.get(tracker.Project, 1), session.get(tracker.Person, 1)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    session.add(tracker.Task(project=project, author_id=1, parent=tracker.Task(project_id=1)))
    session.flush()

    assert person is not None
    assert [statement.split()[0] for statement in statements] == ["INSERT"] * len(statements)


def test_many_references_are_asked_for_together(session: Session, tracker: Tracker, engine: sa.Engine) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    session.add_all([tracker.Task(project_id=1, author_id=1) for _ in range(20)])
    session.flush()

    assert sum(statement.startswith("SELECT") for statement in statements) == 2


def test_a_schema_with_keys_of_one_column_is_covered_by_the_look_up(engine: sa.Engine) -> None:
    class Base(DeclarativeBase):
        pass

    class Folder(TenantMixin, Base):
        __tablename__ = "folders"
        id: Mapped[int] = mapped_column(primary_key=True)

    class File(TenantMixin, Base):
        __tablename__ = "files"
        id: Mapped[int] = mapped_column(primary_key=True)
        folder_id: Mapped[int] = mapped_column(ForeignKey("folders.id"))
        folder = relationship(Folder)

    old = sa.MetaData()
    id_, tenant = (lambda: sa.Column("id", sa.Integer, primary_key=True)), (lambda: sa.Column("tenant_id", sa.String))
    sa.Table("folders", old, id_(), tenant())
    sa.Table("files", old, id_(), tenant(), sa.Column("folder_id", ForeignKey("folders.id")))
    old.create_all(engine)
    with tenant_scope("zeta"), Session(engine) as session, session.begin():
        session.add(Folder(id=2))

    with tenant_scope("acme"), Session(engine) as session:
        session.add(File(folder_id=2))
        with pytest.raises(ForeignReference):
            session.flush()
        session.rollback()
        session.add(File(folder=Folder(id=1)))
        session.commit()


def test_the_columns_of_a_joined_child_are_looked_at(engine: sa.Engine) -> None:
    class Base(DeclarativeBase):
        pass

    class Party(TenantMixin, Base):
        __tablename__ = "parties"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "party"}  # noqa: RUF012

    class Firm(Party):
        __tablename__ = "firms"
        __table_args__ = {"info": {"guard": {"parent": "id"}}}  # noqa: RUF012
        id: Mapped[int] = mapped_column(ForeignKey("parties.id"), primary_key=True)
        holding_id: Mapped[int | None] = mapped_column(ForeignKey("firms.id"))
        __mapper_args__ = {"polymorphic_identity": "firm"}  # noqa: RUF012

    Base.metadata.create_all(engine)
    with tenant_scope("zeta"), Session(engine) as session, session.begin():
        session.add(Firm(id=2))

    with tenant_scope("acme"), Session(engine) as session:
        session.add(Firm(holding_id=2))
        with pytest.raises(ForeignReference):
            session.flush()
        session.rollback()
        session.add(firm := Firm(id=3))
        session.commit()
        session.add(Firm(holding_id=3))
        session.commit()
        assert firm.tenant_id == "acme"
