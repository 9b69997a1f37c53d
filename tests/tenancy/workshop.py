"""Tables of a small tracker, made anew for each test, and a database to keep them in."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, configure_mappers, mapped_column, relationship

from flask_guard.db import TenantMixin, parent, shared


@dataclass
class Tracker:
    """Mapped classes that belong together."""

    Base: type[DeclarativeBase]
    Project: Any
    Task: Any
    Person: Any
    Tag: Any
    Comment: Any
    Country: Any
    task_tags: sa.Table


def make_tracker(**metadata_options: Any) -> Tracker:
    """Return new classes: every way in which rows of tenants refer to each other."""

    class Base(DeclarativeBase):
        metadata = sa.MetaData(**metadata_options)

    class Person(TenantMixin, Base):
        __tablename__ = "people"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(default="")

    class Project(TenantMixin, Base):
        __tablename__ = "projects"
        __table_args__ = (sa.UniqueConstraint("tenant_id", "name"),)
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str | None]
        lead_task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id", use_alter=True, name="lead"))
        tasks: Mapped[list["Task"]] = relationship(
            back_populates="project", foreign_keys="Task.project_id", cascade="all, delete-orphan"
        )
        lead: Mapped["Task | None"] = relationship(foreign_keys=[lead_task_id], post_update=True)

    class Task(TenantMixin, Base):
        __tablename__ = "tasks"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(default="")
        project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
        author_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
        reviewer_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
        parent_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id"))
        project: Mapped[Project | None] = relationship(back_populates="tasks", foreign_keys=[project_id])
        author: Mapped[Person | None] = relationship(foreign_keys=[author_id])
        reviewer: Mapped[Person | None] = relationship(foreign_keys=[reviewer_id])
        parent: Mapped["Task | None"] = relationship(remote_side=[id], back_populates="children")
        children: Mapped[list["Task"]] = relationship(back_populates="parent")
        tags: Mapped[list["Tag"]] = relationship(secondary="task_tags")
        comments: Mapped[list["Comment"]] = relationship(back_populates="task")

    class Tag(TenantMixin, Base):
        __tablename__ = "tags"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Comment(Base):
        __tablename__ = "comments"
        __table_args__ = {"info": parent("task_id")}  # noqa: RUF012
        id: Mapped[int] = mapped_column(primary_key=True)
        task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"))
        author_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
        task: Mapped[Task] = relationship(back_populates="comments")

    class Country(Base):
        __tablename__ = "countries"
        __table_args__ = {"info": shared()}  # noqa: RUF012
        code: Mapped[str] = mapped_column(primary_key=True)

    task_tags = sa.Table(
        "task_tags",
        Base.metadata,
        sa.Column("task_id", ForeignKey("tasks.id"), primary_key=True),
        sa.Column("tag_id", ForeignKey("tags.id"), primary_key=True),
        info=parent("task_id"),
    )
    configure_mappers()
    return Tracker(Base, Project, Task, Person, Tag, Comment, Country, task_tags)
