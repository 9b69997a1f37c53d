"""Keys between tables of tenants carry the tenant, and relationships go on as they were written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import ForeignKey, event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, configure_mappers, mapped_column, relationship

from flask_guard import tenant_scope
from flask_guard.db import TenantMixin, parent
from flask_guard.tenancy.references import install_references

from .workshop import Tracker, make_tracker

# What Flask-SQLAlchemy's documentation and SQLAlchemy's recommend.
NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def tracker(engine: sa.Engine) -> Tracker:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker = make_tracker()
    tracker.Base.metadata.create_all(engine)
    return tracker


@pytest.fixture(autouse=True)
def acme() -> Iterator[None]:
    with tenant_scope("acme"):
        yield


def keys_of(engine: sa.Engine, table: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the foreign keys that the database has, by their columns."""
    return {tuple(key["constrained_columns"]): dict(key) for key in sa.inspect(engine).get_foreign_keys(table)}


def insert_raw(engine: sa.Engine, statement: str) -> None:
    """Execute SQL past SQLAlchemy and so past every guard but the database's own."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute(statement)
        connection.commit()
    finally:
        connection.close()


def test_the_database_gets_keys_with_the_tenant_and_the_unique_that_they_need(
    engine: sa.Engine, tracker: Tracker
) -> None:
    keys = keys_of(engine, "tasks")
    uniques = [key["column_names"] for key in sa.inspect(engine).get_unique_constraints("projects")]

    assert set(keys) == {
        ("tenant_id", "project_id"),
        ("tenant_id", "author_id"),
        ("tenant_id", "parent_id"),
        ("reviewer_id",),
        ("tenant_id", "reviewer_id"),
    }
    assert keys["tenant_id", "project_id"]["referred_columns"] == ["tenant_id", "id"]
    assert keys["tenant_id", "project_id"]["options"]["ondelete"] == "CASCADE"
    assert ["tenant_id", "id"] in uniques


def test_what_the_metadata_shows_is_what_the_database_gets(tracker: Tracker) -> None:
    table = tracker.Task.__table__
    shown = {tuple(key.column_keys) for key in table.constraints if isinstance(key, sa.ForeignKeyConstraint)}

    assert ("project_id",) not in shown
    assert ("tenant_id", "project_id") in shown
    assert {tuple(key.column_keys) for key in table.foreign_key_constraints} == shown


def test_a_key_keeps_its_name_and_what_is_to_be_broken_by_alter_table(engine: sa.Engine, tracker: Tracker) -> None:
    assert keys_of(engine, "projects")["tenant_id", "lead_task_id"]["name"] == "lead"

    tracker.Base.metadata.drop_all(engine)  # the tables refer to each other

    assert sa.inspect(engine).get_table_names() == []


def test_a_key_keeps_its_deferrability_and_actions() -> None:
    metadata = sa.MetaData()
    tenant = {"info": {"guard": "tenant"}}
    sa.Table("a", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("t", sa.String, **tenant))
    table = sa.Table(
        "b",
        metadata,
        sa.Column("t", sa.String, **tenant),
        sa.Column(
            "a_id",
            ForeignKey("a.id", name="k", onupdate="CASCADE", deferrable=True, initially="DEFERRED", match="FULL"),
        ),
    )

    (key,) = table.foreign_key_constraints

    assert key.column_keys == ["t", "a_id"]
    assert (key.name, key.onupdate, key.ondelete, key.deferrable) == ("k", "CASCADE", None, True)
    assert key.initially == "DEFERRED"
    # With the tenant in it, which is never NULL, FULL would refuse every reference that is.
    assert key.match is None


def test_a_table_that_is_declared_later_is_referred_to_all_the_same() -> None:
    metadata = sa.MetaData()
    tenant = {"info": {"guard": "tenant"}}
    early = sa.Table("early", metadata, sa.Column("t", sa.String, **tenant), sa.Column("late_id", ForeignKey("late.x")))
    assert early.constraints

    late = sa.Table("late", metadata, sa.Column("x", sa.Integer), sa.Column("tt", sa.String, **tenant))

    (key,) = early.foreign_key_constraints
    assert [element.target_fullname for element in key.elements] == ["late.tt", "late.x"]
    assert {"tt", "x"} in [
        {column.name for column in unique.columns}
        for unique in late.constraints
        if isinstance(unique, sa.UniqueConstraint)
    ]


def test_a_column_that_is_appended_later_is_extended_all_the_same(tracker: Tracker) -> None:
    table = tracker.Tag.__table__

    table.append_column(sa.Column("person_id", ForeignKey("people.id")))

    assert [key.column_keys for key in table.foreign_key_constraints] == [["tenant_id", "person_id"]]


def test_a_key_of_several_columns_gets_the_tenant_too() -> None:
    metadata = sa.MetaData()
    tenant = {"info": {"guard": "tenant"}}
    columns = lambda: [sa.Column("t", sa.String, **tenant), sa.Column("x", sa.Integer), sa.Column("y", sa.Integer)]  # noqa: E731
    sa.Table("a", metadata, *columns())

    table = sa.Table("b", metadata, *columns(), sa.ForeignKeyConstraint(["x", "y"], ["a.x", "a.y"]))

    assert [key.column_keys for key in table.foreign_key_constraints] == [["t", "x", "y"]]


def test_a_key_that_has_the_tenant_already_is_left_alone() -> None:
    metadata = sa.MetaData()
    tenant = {"info": {"guard": "tenant"}}
    columns = lambda: [sa.Column("t", sa.String, **tenant), sa.Column("x", sa.Integer)]  # noqa: E731
    sa.Table("a", metadata, *columns(), sa.UniqueConstraint("t", "x"))
    key = sa.ForeignKeyConstraint(["t", "x"], ["a.t", "a.x"])

    table = sa.Table("b", metadata, *columns(), key)

    assert table.foreign_key_constraints == {key}


def test_a_table_of_everybody_is_referred_to_as_before(tracker: Tracker) -> None:
    table = sa.Table(
        "branches",
        tracker.Base.metadata,
        sa.Column("tenant_id", sa.String(255), info={"guard": "tenant"}),
        sa.Column("country", ForeignKey("countries.code")),
    )

    assert [key.column_keys for key in table.foreign_key_constraints] == [["country"]]


def test_a_table_of_the_same_name_that_declares_nothing_is_what_it_says(tracker: Tracker) -> None:
    migration = sa.MetaData()
    names = ("tenant_id", "project_id")
    sa.Table("projects", migration, sa.Column("id", sa.Integer, primary_key=True), sa.Column("tenant_id", sa.Integer))
    key = sa.ForeignKeyConstraint(["project_id"], ["projects.id"])

    table = sa.Table("tasks", migration, *(sa.Column(name, sa.Integer) for name in names), key)

    assert table.foreign_key_constraints == {key}
    assert key in table.constraints


def test_names_of_a_convention_stay_apart(engine: sa.Engine) -> None:
    tracker = make_tracker(naming_convention=NAMING)

    tracker.Base.metadata.create_all(engine)

    names = [key["name"] for key in keys_of(engine, "tasks").values()]
    assert sorted(map(str, names)) == [
        "fk_tasks_author_id_people",
        "fk_tasks_parent_id_tasks",
        "fk_tasks_project_id_projects",
        "fk_tasks_reviewer_id_people",
        "fk_tasks_reviewer_id_people_tenant",
    ]
    uniques = {key["name"] for key in sa.inspect(engine).get_unique_constraints("projects")}
    assert uniques == {"uq_projects_tenant_id", "projects_tenant_id_id_key"}


def test_a_copied_metadata_has_the_same_keys(tracker: Tracker) -> None:
    copied = sa.MetaData()
    for table in tracker.Base.metadata.tables.values():
        table.to_metadata(copied)

    def list_keys(metadata: sa.MetaData) -> dict[str, list[list[str]]]:
        return {
            name: sorted(list(key.column_keys) for key in table.constraints if isinstance(key, sa.ForeignKeyConstraint))
            for name, table in metadata.tables.items()
        }

    assert list_keys(copied) == list_keys(tracker.Base.metadata)


# What the database itself refuses -----------------------------------------------------------------------


@pytest.mark.parametrize("column", ["project_id", "author_id", "reviewer_id", "parent_id"])
def test_the_database_refuses_a_row_of_another_tenant(engine: sa.Engine, tracker: Tracker, column: str) -> None:
    insert_raw(engine, "INSERT INTO projects (id, tenant_id, name) VALUES (7, 'zeta', 'x')")
    insert_raw(engine, "INSERT INTO people (id, tenant_id, name) VALUES (7, 'zeta', 'x')")
    insert_raw(engine, "INSERT INTO tasks (id, tenant_id, title) VALUES (7, 'zeta', 'x')")

    insert = f"INSERT INTO tasks (id, tenant_id, title, {column}) "  # a column of this file

    with pytest.raises(Exception, match=r"(?i)foreign key"):
        insert_raw(engine, insert + "VALUES (8, 'acme', 'x', 7)")
    insert_raw(engine, insert + "VALUES (9, 'zeta', 'x', 7)")


def test_on_delete_set_null_leaves_the_tenant(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        task = tracker.Task(reviewer=tracker.Person())
        session.add(task)
        session.commit()

        session.delete(task.reviewer)
        session.commit()

        assert task.reviewer_id is None
        assert task.tenant_id == "acme"


# What relationships go on doing -------------------------------------------------------------------------


def test_relationships_fill_in_keys_both_ways(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        project = tracker.Project(name="p", tasks=[tracker.Task(tags=[tracker.Tag(), tracker.Tag()])])
        project.lead = project.tasks[0]
        project.tasks[0].children.append(tracker.Task(comments=[tracker.Comment()]))
        session.add(project)
        session.commit()
        session.expire_all()

        (task,) = project.tasks
        assert project.lead is task
        assert task.project_id == project.id
        assert len(task.tags) == 2
        assert task.children[0].parent is task
        assert task.children[0].comments[0].task is task.children[0]


def test_taking_a_parent_away_leaves_the_tenant(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        task = tracker.Task(author=tracker.Person(), project=tracker.Project(name="p"))
        session.add(task)
        session.commit()

        task.author = None
        task.project = None
        task.tags = []
        session.commit()

        assert (task.tenant_id, task.author_id, task.project_id) == ("acme", None, None)


def test_a_parent_in_memory_is_found_without_sql(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        session.add(tracker.Task(id=1, project=tracker.Project(id=1, name="p"), author=tracker.Person(id=1)))
        session.commit()
        project, author = session.get(tracker.Project, 1), session.get(tracker.Person, 1)
        task = session.get(tracker.Task, 1)
        assert task is not None
        statements: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

        assert task.project is project
        assert task.author is author
        assert statements == []


def test_joins_find_their_condition(tracker: Tracker) -> None:
    joined = str(select(tracker.Task).join(tracker.Task.project))
    implied = str(select(tracker.Comment).join(tracker.Task))
    many = str(select(tracker.Tag).join(tracker.Task.tags))

    assert "ON projects.id = tasks.project_id" in joined
    assert "ON tasks.id = comments.task_id" in implied
    assert "ON tasks.id = task_tags_1.task_id" in many


def test_orphans_are_deleted(engine: sa.Engine, tracker: Tracker) -> None:
    with Session(engine) as session:
        project = tracker.Project(name="p", tasks=[tracker.Task(), tracker.Task()])
        session.add(project)
        session.commit()

        project.tasks.pop()
        session.commit()
        assert session.scalar(select(sa.func.count()).select_from(tracker.Task)) == 1
        session.delete(project)
        session.commit()
        assert session.scalar(select(sa.func.count()).select_from(tracker.Task)) == 0


def test_several_keys_and_a_joined_child_map_without_a_warning(engine: sa.Engine) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Base(DeclarativeBase):
            pass

        class Party(TenantMixin, Base):
            __tablename__ = "parties"
            id: Mapped[int] = mapped_column(primary_key=True)
            kind: Mapped[str]
            boss_id: Mapped[int | None] = mapped_column(ForeignKey("parties.id"))
            boss = relationship("Party", remote_side="Party.id", foreign_keys=[boss_id])
            __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "party"}  # noqa: RUF012

        class Firm(Party):
            __tablename__ = "firms"
            __table_args__ = {"info": parent("id")}  # noqa: RUF012
            id: Mapped[int] = mapped_column(ForeignKey("parties.id"), primary_key=True)
            owner_id: Mapped[int | None] = mapped_column(ForeignKey("parties.id"))
            owner = relationship("Party", foreign_keys=[owner_id])
            __mapper_args__ = {  # noqa: RUF012
                "polymorphic_identity": "firm",
                "inherit_condition": id == Party.id,
            }

        configure_mappers()
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        firm = Firm(boss=Party(), owner=Party())
        session.add(firm)
        session.commit()

        assert firm.boss_id is not None
        assert firm.owner_id is not None
        assert firm.tenant_id == "acme"


def test_installing_twice_changes_nothing() -> None:
    before = sa.Table.foreign_key_constraints

    install_references()

    assert sa.Table.foreign_key_constraints is before


def test_the_error_of_the_database_does_not_tell_more_than_that(engine: sa.Engine, tracker: Tracker) -> None:
    insert_raw(engine, "INSERT INTO projects (id, tenant_id, name) VALUES (7, 'zeta', 'x')")

    with sa.orm.Session(engine) as session, pytest.raises(IntegrityError):
        session.execute(sa.insert(tracker.Task).values(project_id=7))
