"""A PostgreSQL database with the three roles, an application's tables under row security, and two tenants in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL, Engine, ForeignKey, String, create_engine, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_guard.tenancy import engines
from flask_guard.tenancy.rls import context
from flask_guard.tenancy.rls.apply import apply
from flask_guard.tenancy.rls.wanted import list_tables


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "rls_notes"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[str] = mapped_column(String(20), info={"guard": "tenant"})
    body: Mapped[str]


class Line(Base):
    """Belongs to the tenant of its note."""

    __tablename__ = "rls_lines"
    __table_args__ = {"info": {"guard": {"parent": "note_id"}}}  # noqa: RUF012  as SQLAlchemy wants it
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    note_id: Mapped[int] = mapped_column(ForeignKey("rls_notes.id"))


class Color(Base):
    """Everybody's."""

    __tablename__ = "rls_colors"
    __table_args__ = {"info": {"guard": {"global": True}}}  # noqa: RUF012  as SQLAlchemy wants it
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


TABLES = list_tables(Base.metadata)
ROWS = """
INSERT INTO rls_notes VALUES (1, 'a', 'a-1'), (2, 'a', 'a-2'), (3, 'b', 'b-1');
INSERT INTO rls_lines VALUES (11, 1), (13, 3);
INSERT INTO rls_colors VALUES (7)
"""


@dataclass(frozen=True)
class World:
    """url: of the superuser. owner, application, system: names of roles that no other test has."""

    url: URL
    owner: str
    application: str
    system: str
    password: str

    def url_of(self, role: str) -> URL:
        return self.url.set(username=role, password=self.password)

    def connect(self, role: str | None = None) -> psycopg.Connection[Any]:
        """Connect with the driver alone, past everything of ours; as the superuser without a role."""
        url = self.url if role is None else self.url_of(role)
        return psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True)

    def execute(self, statement: str) -> None:
        with self.connect() as connection:
            connection.execute(statement)

    @contextmanager
    def engine(self, role: str | None = None, **options: Any) -> Iterator[Engine]:
        engine = create_engine(self.url if role is None else self.url_of(role), **options)
        try:
            yield engine
        finally:
            engine.dispose()


def make_world(url: str) -> World:
    """Make the roles and an empty database of theirs."""
    mark = secrets.token_hex(6)
    world = World(make_url(url), f"rls_owner_{mark}", f"rls_app_{mark}", f"rls_system_{mark}", secrets.token_hex(16))
    password = sql.Literal(world.password).as_string()
    world.execute(
        f"CREATE ROLE {world.owner} LOGIN PASSWORD {password};"
        f"CREATE ROLE {world.application} LOGIN NOINHERIT PASSWORD {password};"
        f"CREATE ROLE {world.system} NOLOGIN BYPASSRLS;"
        f"GRANT ALL ON SCHEMA public TO {world.owner};"
        f"GRANT CREATE ON DATABASE {world.url.database} TO {world.owner}"
    )
    return world


def fill(world: World) -> None:
    """Make the tables of the models, with their rows, and put them under row security."""
    guard()
    with world.engine(world.owner) as engine, engine.begin() as connection:
        Base.metadata.create_all(connection)
    world.execute(ROWS)
    world.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {world.application}")
    world.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {world.system}")
    with world.engine(world.owner) as engine, engine.connect() as connection:
        assert apply(connection, TABLES)


def remove_roles(world: World) -> None:
    """Drop the roles with whatever they own in their database."""
    for role in (world.owner, world.application, world.system):
        world.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def guard() -> None:
    """What declaring a model with a mixin does."""
    engines.install()
    context.install()
