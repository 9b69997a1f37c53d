"""The models that every leak path is tried on, declared to the guard or, for the control, to nobody.

`declare(guarded=False)` makes the same tables without a word about tenants: what does not leak from those, no test of
ours could catch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, String, Table, Uuid, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

ARCHIVE = "archive"


@dataclass(frozen=True)
class Models:
    """metadata: of all tables. classes: those that leak paths are tried on, by the name of the test."""

    metadata: MetaData
    classes: dict[str, type]


def declare(*, guarded: bool) -> Models:
    """Return new classes with tables of their own."""

    class Base(DeclarativeBase):
        pass

    def tenant(type_: Any = None) -> Any:
        return mapped_column(type_ or String(60), index=True, info={"guard": "tenant"} if guarded else {})

    def declared(**rule: Any) -> dict[str, Any]:
        return {"info": {"guard": rule} if guarded else {}}

    class Country(Base):
        """Everybody's."""

        __tablename__ = "countries"
        __table_args__ = declared(**{"global": True})
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(60))

    class Project(Base):
        """Refers to what is everybody's."""

        __tablename__ = "projects"
        id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
        tenant_id: Mapped[str] = tenant()
        name: Mapped[str] = mapped_column(String(60))
        country_id: Mapped[int | None] = mapped_column(ForeignKey("countries.id"))
        country = relationship("Country")
        tasks = relationship("Task", back_populates="project", passive_deletes=True)

    task_labels = Table(
        "task_labels",
        Base.metadata,
        Column("task_id", ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
        Column("label_id", ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True),
        **declared(parent="task_id"),
    )

    class Task(Base):
        """References of every direction: to a parent, to itself, and through an association table."""

        __tablename__ = "tasks"
        id: Mapped[int] = mapped_column(primary_key=True)
        tenant_id: Mapped[str] = tenant()
        title: Mapped[str] = mapped_column(String(60))
        project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
        after_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
        project = relationship("Project", back_populates="tasks")
        after = relationship("Task", remote_side=[id], foreign_keys=[after_id])
        labels = relationship("Label", secondary=task_labels)

    class Label(Base):
        __tablename__ = "labels"
        id: Mapped[int] = mapped_column(primary_key=True)
        tenant_id: Mapped[str] = tenant()
        name: Mapped[str] = mapped_column(String(60))

    class Document(Base):
        """The base of a joined inheritance; its child has no tenant column of its own."""

        __tablename__ = "documents"
        id: Mapped[int] = mapped_column(primary_key=True)
        tenant_id: Mapped[str] = tenant()
        kind: Mapped[str] = mapped_column(String(20))
        title: Mapped[str] = mapped_column(String(60))
        __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "document"}  # noqa: RUF012

    class Memo(Document):
        __tablename__ = "memos"
        __table_args__ = declared(parent="id")
        id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
        body: Mapped[str] = mapped_column(String(60))
        __mapper_args__ = {"polymorphic_identity": "memo"}  # noqa: RUF012

    class Account(Base):
        """A tenant that is a number, and a reference that no constraint watches over: what old databases hold."""

        __tablename__ = "accounts"
        id: Mapped[int] = mapped_column(primary_key=True)
        tenant_id: Mapped[int] = tenant(Integer)
        name: Mapped[str] = mapped_column(String(60))
        entries = relationship(
            "Entry",
            primaryjoin=lambda: Account.id == Entry.account_id,
            foreign_keys=lambda: [Entry.account_id],
            back_populates="account",
        )

    class Entry(Base):
        __tablename__ = "entries"
        id: Mapped[int] = mapped_column(primary_key=True)
        tenant_id: Mapped[int] = tenant(Integer)
        text: Mapped[str] = mapped_column(String(60))
        account_id: Mapped[int | None]
        account = relationship(
            "Account",
            primaryjoin=lambda: Account.id == Entry.account_id,
            foreign_keys=lambda: [Entry.account_id],
            back_populates="entries",
        )

    class Reading(Base):
        """In a schema of its own, and with a tenant that is a UUID."""

        __tablename__ = "readings"
        __table_args__ = {"schema": ARCHIVE}  # noqa: RUF012
        id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
        tenant_id: Mapped[UUID] = tenant(Uuid)
        unit: Mapped[str] = mapped_column(String(60))

    class Line(Base):
        """Has no tenant column at all: it belongs to the tenant of its project."""

        __tablename__ = "lines"
        __table_args__ = declared(parent="project_id")
        id: Mapped[int] = mapped_column(primary_key=True)
        project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
        text: Mapped[str] = mapped_column(String(60))

    tried = (Project, Task, Document, Memo, Account, Entry, Reading, Line)
    Base.registry.configure()
    return Models(Base.metadata, {one.__name__.lower(): one for one in tried})


def prepare_sqlite(engine: Engine) -> None:
    """Give connections of SQLite the schema that PostgreSQL has, foreign keys, and no wait for the disk."""

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.execute(f"ATTACH '{engine.url.database}-{ARCHIVE}' AS {ARCHIVE}")
        for schema in ("main", ARCHIVE):
            connection.execute(f"PRAGMA {schema}.synchronous = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
