"""A name from outside is quoted so that it stays one name, or it is a column that the model has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, column_property, mapped_column, relationship
from sqlalchemy.pool import NullPool
from werkzeug.datastructures import MultiDict

from flask_guard.db.identifiers import quote_identifier, safe_column, safe_table
from flask_guard.errors import ConfigError, InvalidQuery
from flask_guard.queries import parse_list_query
from flask_guard.tenancy.scope import unscoped_block


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column("note_title")
    pin: Mapped[str] = mapped_column(info={"guard_write_only": True})
    parent_id: Mapped[int | None]
    parent: Mapped[Note | None] = relationship(
        primaryjoin="foreign(Note.parent_id) == Note.id", remote_side="Note.id", viewonly=True
    )


Note.shouted = column_property(func.upper(Note.title))  # type: ignore[attr-defined]
Note.pin_copy = column_property(func.lower(Note.__table__.c.pin))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "dialect", "quoted"),
    [
        ("title", "postgresql", '"title"'),
        ('a"b', "postgresql", '"a""b"'),
        ('"; DROP TABLE notes; --', "sqlite", '"""; DROP TABLE notes; --"'),
        ("select", "sqlite", '"select"'),
        ("a`b", "mysql", "`a``b`"),
        ('a"b', "mariadb", '`a"b`'),
        ("é" * 31, "postgresql", '"' + "é" * 31 + '"'),
        ("x" * 63, "postgresql", '"' + "x" * 63 + '"'),
    ],
)
def test_a_name_is_quoted(name: str, dialect: str, quoted: str) -> None:
    assert quote_identifier(name, dialect=dialect) == quoted


@pytest.mark.parametrize(
    "name",
    ["", "a\x00b", "x" * 64, "é" * 32, "\ud800", None, b"title", 1, ["title"]],
    ids=["empty", "nul", "long", "long-in-bytes", "surrogate", "none", "bytes", "number", "list"],
)
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="identifier"):
        quote_identifier(name)


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ValueError, match="dialect"):
        quote_identifier("title", dialect="oracle")


NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=15)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_the_database_reads_a_quoted_name_as_that_name(postgres_url: str, name: str) -> None:
    for url in ("sqlite://", postgres_url):
        with create_engine(url, poolclass=NullPool).connect() as connection:
            quoted = quote_identifier(name, dialect=connection.dialect.name)
            [column] = connection.execute(text(f"SELECT 1 AS {quoted.replace(':', chr(92) + ':')}")).keys()
        assert column == name


@pytest.mark.parametrize("model", [Note, aliased(Note)], ids=["class", "alias"])
def test_a_column_is_found_by_its_name_in_python(model: Any) -> None:
    assert str(select(safe_column(model, "title"))).startswith("SELECT notes")
    assert safe_column(model, "shouted") is not None


def test_a_table_of_core_has_columns_too() -> None:
    assert safe_column(Note.__table__, "note_title") is Note.__table__.c.note_title


@pytest.mark.parametrize("model", [Note, aliased(Note), Note.__table__], ids=["class", "alias", "table"])
@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "pin",
        "parent",
        "metadata",
        "__table__",
        "registry",
        "title; DROP TABLE notes",
        "",
        "x" * 9000,
        None,
        3,
    ],
    ids=lambda name: str(name)[:30],
)
def test_every_other_name_is_400_and_says_the_same(model: Any, name: Any) -> None:
    with pytest.raises(InvalidQuery) as caught:
        safe_column(model, name)

    assert caught.value.status == 400
    assert caught.value.text == InvalidQuery.public
    assert len(caught.value.detail) < 200


def test_an_expression_over_a_write_only_column_is_write_only_too() -> None:
    with pytest.raises(InvalidQuery):
        safe_column(Note, "pin_copy")


@pytest.mark.parametrize("model", ["notes", object(), Base.metadata], ids=["text", "object", "metadata"])
def test_what_is_no_model_is_a_fault_of_the_program(model: Any) -> None:
    with pytest.raises(ConfigError, match="takes a mapped class"):
        safe_column(model, "title")


def test_a_table_is_found_by_its_name() -> None:
    metadata = MetaData()
    elsewhere = Table("notes", metadata, Column("id", Integer), schema="app")

    assert safe_table(Base, "notes") is Note.__table__
    assert safe_table(metadata, "app.notes") is elsewhere


@pytest.mark.parametrize("name", ["notes; --", "NOTES", "sqlite_master", "pg_catalog.pg_authid", None, ["notes"]])
def test_every_other_table_is_400(name: Any) -> None:
    with pytest.raises(InvalidQuery):
        safe_table(Base, name)


def test_what_holds_no_tables_is_a_fault_of_the_program() -> None:
    with pytest.raises(ConfigError, match="safe_table"):
        safe_table("notes", "notes")


def test_a_parsed_query_becomes_a_statement(database_url: str) -> None:
    query = parse_list_query(
        MultiDict([("title", "b' OR 1=1 --"), ("sort", "-title,id")]), filters={"title"}, sorts={"title", "id"}
    )
    with unscoped_block("other tests have tables of tenants of this name"):
        engine = create_engine(database_url, poolclass=NullPool)
        Base.metadata.create_all(engine)
        with Session(engine) as session, session.begin():
            session.add_all([Note(title="b' OR 1=1 --", pin="1"), Note(title="c", pin="2")])

        statement = select(Note.title).where(
            *(safe_column(Note, name) == value for name, value in query.filters.items())
        )
        for name, is_descending in query.sort:
            column = safe_column(Note, name)
            statement = statement.order_by(column.desc() if is_descending else column)
        with Session(engine) as session:
            titles = session.scalars(statement.limit(query.limit)).all()

    assert titles == ["b' OR 1=1 --"]
