"""Roads to rows of another tenant beside the plain forms of statements, and honest programs that must not suffer."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any, cast

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from psycopg import sql
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    column,
    create_engine,
    func,
    insert,
    literal_column,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.sql import quoted_name

from flask_guard.db import TenantMixin, force_filter, parent, shared, unscoped
from flask_guard.errors import TenancyError
from flask_guard.tenancy.policies import enable_rls, policy
from flask_guard.tenancy.rules import find_undeclared
from flask_guard.tenancy.scope import NOBODY, find_identity, find_unscoped, tenant_scope
from tests.services.postgres_server import fresh_database

OWN, FOREIGN = "acme", "globex"
TENANT = {"guard": "tenant"}


class Base(DeclarativeBase):
    pass


class Page(TenantMixin, Base):
    __tablename__ = "roads_pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None]


class Kind(Base):
    __tablename__ = "roads_kinds"
    __table_args__ = {"info": shared()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None]


class Listed(TenantMixin, Base):
    """A table whose filter takes a list."""

    __tablename__ = "roads_listed"
    id: Mapped[int] = mapped_column(primary_key=True)
    region: Mapped[str]
    title: Mapped[str | None]


class Governed(TenantMixin, Base):
    """A table whose policies have lists in them."""

    __tablename__ = "roads_governed"
    id: Mapped[int] = mapped_column(primary_key=True)
    region: Mapped[str]
    title: Mapped[str | None]


force_filter(Listed, "region", "in", lambda: ["north", "south"])
policy(Governed, "some", using=lambda row: row.region.in_(["north", "south"]))
policy(Governed, "none", using=lambda row: row.region.in_([]))
pages = cast(Table, Page.__table__)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "sqlite":
        yield from _filled(create_engine("sqlite://"))
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        yield from _filled(create_engine(url))


@pytest.fixture
def sqlite() -> Iterator[Engine]:
    yield from _filled(create_engine("sqlite://"))


def _filled(engine: Engine) -> Iterator[Engine]:
    Base.metadata.create_all(engine)
    for tenant, number in ((OWN, 1), (FOREIGN, 2)):
        with tenant_scope(tenant), Session(engine) as session:
            session.add(Page(id=number, title=tenant))
            session.commit()
    yield engine
    engine.dispose()


def read(engine: Engine, statement: Any) -> list[Any]:
    with tenant_scope(OWN), engine.connect() as connection:
        return list(connection.execute(statement).scalars())


def refuse(engine: Engine, statement: Any, message: str) -> None:
    with pytest.raises(TenancyError, match=message):
        read(engine, statement)


# -- names


@pytest.mark.parametrize("name", ["{}.roads_pages", "roads_pages AS roads", "(SELECT * FROM roads_pages) AS roads"])
def test_a_name_that_is_not_to_be_quoted_is_read_as_text(engine: Engine, name: str) -> None:
    name = name.format("main" if engine.dialect.name == "sqlite" else "public")
    lightweight = table(quoted_name(name, False), column("title"), column("tenant_id"))

    refuse(engine, select(lightweight.c.title), "names the table 'roads_pages'")
    refuse(engine, insert(lightweight).values(title="x", tenant_id=FOREIGN), "names the table 'roads_pages'")
    refuse(engine, update(lightweight).values(title="x"), "names the table 'roads_pages'")


def test_a_table_whose_own_name_is_not_to_be_quoted_is_filtered(sqlite: Engine) -> None:
    unquoted = table(quoted_name("roads_pages", False), column("title"), column("tenant_id"))

    assert read(sqlite, select(unquoted.c.title)) == [OWN]


def test_a_name_that_postgresql_cuts_off_is_that_of_the_table(engine: Engine) -> None:
    long = Table("r" * 63, MetaData(), Column("tenant_id", String, info=TENANT))
    longer = table("r" * 63 + "oads", column("id"))

    refuse(engine, select(longer.c.id), "lacks the column 'tenant_id'")
    assert long.info == {"guard": {"tenant": "tenant_id"}}


def test_a_byte_order_mark_hides_no_name_from_sqlite(sqlite: Engine) -> None:
    refuse(sqlite, text("SELECT title FROM \ufeffroads_pages"), "names the table 'roads_pages'")


# -- functions that run SQL


@pytest.mark.parametrize(
    "call",
    [
        "\"query_to_xml\"('SELECT * FROM roads_pages', true, true, '')",
        "pg_catalog.\"query_to_xml\"('SELECT * FROM roads_pages', true, true, '')",
        "ts_rewrite('a', 'SELECT tsquery ''a'', title::tsquery FROM roads_pages')",
        "connectby('roads_pages', 'id', 'parent_id', '1', 0)",
        "xpath_table('id', 'title', 'roads_pages', '/', 'true')",
    ],
)
def test_a_function_that_runs_sql_is_refused_however_it_is_written(postgres_engine: Engine, call: str) -> None:
    refuse(postgres_engine, text(f"SELECT {call}"), "in a string")


@pytest.fixture
def postgres_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = create_engine(request.getfixturevalue("postgres_db"))
    yield engine
    engine.dispose()


# -- what is written


@pytest.mark.parametrize("make", [text, literal_column])
def test_text_in_set_sets_no_other_column(engine: Engine, make: Any) -> None:
    stolen = make(f"'x', tenant_id = '{FOREIGN}'")

    refuse(engine, update(pages).values(title=stolen), "commas")
    refuse(engine, update(pages).ordered_values(("title", stolen)), "commas")


def test_text_in_an_upsert_sets_no_other_column(engine: Engine) -> None:
    statement = upsert(pages).values(id=1, tenant_id=OWN, title="x")
    statement = statement.on_conflict_do_update(
        index_elements=["id"], set_={"title": literal_column(f"'x', tenant_id = '{FOREIGN}'")}
    )
    refuse(engine, statement, "commas")


def test_text_of_one_expression_is_set(engine: Engine) -> None:
    with tenant_scope(OWN), engine.begin() as connection:
        connection.execute(update(pages).values(title=text("coalesce(title, 'x') || ', y'")))

    assert read(engine, select(Page.title)) == [f"{OWN}, y"]


@pytest.mark.parametrize("part", ["primary key", "unique"])
def test_a_table_that_replaces_what_is_in_the_way_is_not_written(sqlite: Engine, part: str) -> None:
    options: dict[str, Any] = {"sqlite_on_conflict_primary_key": "REPLACE"} if part == "primary key" else {}
    extra = [UniqueConstraint("title", sqlite_on_conflict="replace")] if part == "unique" else []
    columns = [Column("id", Integer, primary_key=True, **options), Column("tenant_id", String, info=TENANT)]
    replacing = Table("roads_replacing", MetaData(), *columns, Column("title", String), *extra)
    replacing.create(sqlite)

    refuse(sqlite, insert(replacing).values(id=1, tenant_id=OWN, title="x"), "deletes rows of others")
    refuse(sqlite, update(replacing).values(title="x"), "deletes rows of others")


@pytest.fixture(autouse=True)
def forgotten_tables() -> Iterator[None]:
    """Free the tables of a test: what is left of them would be looked at when an application starts."""
    yield
    gc.collect()


# -- rules that come late


def test_a_filter_of_a_reflected_table_does_not_take_the_place_of_its_tenant(sqlite: Engine) -> None:
    reflected = Table("roads_pages", MetaData(), autoload_with=sqlite)

    with pytest.raises(TenancyError, match="taken for another one"):
        force_filter(reflected, "title", "ne", lambda: "x")
    for _ in range(2):
        with pytest.raises(TenancyError, match="taken for another one"):
            enable_rls(reflected)

    assert read(sqlite, select(reflected.c.title)) == [OWN]
    assert read(sqlite, select(Page.title)) == [OWN]


@pytest.mark.parametrize("way", ["a namesake", "info", "a filter"])
def test_a_rule_holds_for_statements_that_were_compiled_before_there_was_one(sqlite: Engine, way: str) -> None:
    name = f"roads_late_{way[-4:]}"
    early = Table(name, MetaData(), Column("id", Integer), Column("tenant_id", String))
    early.create(sqlite)
    with sqlite.begin() as connection:
        connection.execute(insert(early), [{"id": 1, "tenant_id": OWN}, {"id": 2, "tenant_id": FOREIGN}])
    assert read(sqlite, select(early.c.id)) == [1, 2]

    late = early
    if way == "a namesake":
        late = Table(name, MetaData(), Column("id", Integer), Column("tenant_id", String, info=TENANT))
    elif way == "info":
        early.info["guard"] = {"tenant": "tenant_id"}
        assert find_undeclared(early.metadata) == []  # what looks at the tables at start
    else:
        force_filter(early, "id", "eq", lambda: 1)

    assert read(sqlite, select(early.c.id)) == [1]
    assert late.name == name


# -- honest programs


@pytest.mark.parametrize(("model", "expected"), [(Listed, 3), (Governed, 3)], ids=["a filter", "a policy"])
def test_a_session_flushes_many_rows_of_a_table_whose_conditions_have_lists(
    engine: Engine, model: Any, expected: int
) -> None:
    with tenant_scope(OWN), Session(engine) as session:
        session.add_all([model(id=number, region="north") for number in range(expected)])
        session.commit()
        for row in session.scalars(select(model)):
            row.title = "changed"
        session.commit()
        assert session.scalar(select(func.count()).where(model.title == "changed")) == expected
        for row in session.scalars(select(model)):
            session.delete(row)
        session.commit()
        assert session.scalar(select(func.count()).select_from(model)) == 0


def test_a_literal_of_the_name_of_a_table_is_a_value(engine: Engine) -> None:
    assert read(engine, select(literal_column("'roads_pages'"))) == ["roads_pages"]


def test_what_psycopg_composes_is_read_and_executed(postgres_engine: Engine) -> None:
    statement: Any = sql.SQL("SELECT 1 AS {}").format(sql.Identifier("one"))
    with postgres_engine.connect() as connection:
        assert connection.exec_driver_sql(statement).scalar_one() == 1

    stolen: Any = sql.SQL("SELECT * FROM {}").format(sql.Identifier("roads_pages"))
    with postgres_engine.connect() as connection, pytest.raises(TenancyError, match="names the table"):
        connection.exec_driver_sql(stolen)


# -- migrations on SQLite


class Shelf(TenantMixin, Base):
    __tablename__ = "roads_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)


class Book(Base):
    __tablename__ = "roads_books"
    __table_args__ = {"info": parent("shelf_id")}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("roads_shelves.id", ondelete="CASCADE"))


@pytest.fixture
def library(sqlite: Engine) -> Engine:
    for tenant, number in ((OWN, 1), (FOREIGN, 2)):
        with tenant_scope(tenant), Session(sqlite) as session:
            session.add(Shelf(id=number))
            session.flush()
            session.add(Book(id=number, shelf_id=number))
            session.commit()
    return sqlite


def count(engine: Engine) -> list[int]:
    with unscoped(reason="a look"), Session(engine) as session:
        return [session.scalar(select(func.count()).select_from(model)) or 0 for model in (Shelf, Book)]


def migrate(connection: sa.Connection, name: str) -> None:
    with Operations(MigrationContext.configure(connection)).batch_alter_table(name, recreate="always") as batch:
        batch.add_column(Column("note", String))


def test_a_batch_copies_the_rows_of_all_tenants_or_none(library: Engine) -> None:
    with tenant_scope(OWN), pytest.raises(TenancyError, match="one tenant only"), library.begin() as connection:
        migrate(connection, "roads_shelves")

    assert count(library) == [2, 2]


def test_a_batch_does_not_delete_what_refers_to_its_table(library: Engine) -> None:
    with unscoped(reason="a migration"), library.connect() as connection:
        with pytest.raises(TenancyError, match="foreign_keys = OFF"):
            migrate(connection, "roads_shelves")
        connection.rollback()

    assert count(library) == [2, 2]


def test_a_batch_runs_when_references_are_not_enforced(library: Engine) -> None:
    with unscoped(reason="a migration"), library.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.commit()
        migrate(connection, "roads_shelves")
        connection.commit()

    assert count(library) == [2, 2]


def test_a_batch_of_a_table_of_everybody_needs_no_block(sqlite: Engine) -> None:
    with sqlite.begin() as connection:
        connection.execute(insert(Kind).values(id=1, title="x"))
        migrate(connection, "roads_kinds")

    assert read(sqlite, select(Kind.title)) == ["x"]


# -- scopes that end in another order than they began


def hold(scope: AbstractContextManager[object]) -> Iterator[None]:
    with scope:
        yield


@pytest.mark.parametrize("second", ["a tenant", "a block"])
@pytest.mark.parametrize("first", ["a tenant", "a block"])
def test_scopes_of_generators_leave_nothing_behind_in_whatever_order_they_end(first: str, second: str) -> None:
    held = []
    for kind in (first, second):
        generator = hold(tenant_scope(OWN) if kind == "a tenant" else unscoped(reason="a job"))
        next(generator)
        held.append(generator)
    for generator in held:
        with suppress(StopIteration):
            next(generator)

    assert find_identity() is NOBODY
    assert find_unscoped() is None
