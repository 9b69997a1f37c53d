"""The tables that random selects are made over: columns of numbers and of text only, so that all may be compared."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ForeignKey, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from flask_guard.db import TenantMixin

OWN, FOREIGN = "own", "foreign"
MARKER = "of somebody else"
AUTHORS, BOOKS_OF_AUTHOR = 3, 2


class Base(DeclarativeBase):
    pass


book_topics = Table(
    "book_topics",
    Base.metadata,
    Column("book_id", ForeignKey("books.id"), primary_key=True),
    Column("topic_id", ForeignKey("topics.id"), primary_key=True),
    Column("note", String(60)),
    info={"guard": {"parent": "book_id"}},
)


class Topic(Base):
    """Everybody's."""

    __tablename__ = "topics"
    __table_args__ = {"info": {"guard": {"global": True}}}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))


class Author(TenantMixin, Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    books: Mapped[list[Book]] = relationship(back_populates="author")


class Book(TenantMixin, Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(60))
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author] = relationship(back_populates="books")
    topics: Mapped[list[Topic]] = relationship(secondary=book_topics)


CLASSES: tuple[Any, ...] = (Author, Book, Topic)
TABLES: tuple[Any, ...] = (Author.__table__, Book.__table__, Topic.__table__, book_topics)
RELATED: tuple[Any, ...] = (Author.books, Book.author, Book.topics)


def make_topics() -> list[Topic]:
    return [Topic(id=number, name=f"topic {number}") for number in (1, 2)]


def make_rows(tenant: str, *, first_id: int, step: int, text: str) -> list[list[dict[str, Any]]]:
    """Return the rows of authors, books and their topics. Ids are first_id, first_id + step, ..."""
    authors, books, topics = [], [], []
    for number in range(AUTHORS):
        author = first_id + number * step
        authors.append({"id": author, "tenant_id": tenant, "name": f"{text} author {number}"})
        for of_author in range(BOOKS_OF_AUTHOR):
            book = first_id + (number * BOOKS_OF_AUTHOR + of_author) * step
            title = f"{text} title {book % 4}"
            books.append({"id": book, "tenant_id": tenant, "title": title, "author_id": author})
            topics.append({"book_id": book, "topic_id": 1 + book % 2, "note": f"{text} note"})
    return [authors, books, topics]
