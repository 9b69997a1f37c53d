"""A value is taken when another row has it: through SQL, in the application's Session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from marshmallow import fields
from sqlalchemy import NullPool, Pool, SingletonThreadPool, StaticPool, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_guard.db.unique import SqlUniqueLookup
from flask_guard.errors import Conflict, UniqueCheckFailed
from flask_guard.schemas import GuardSchema, Unique


class Base(DeclarativeBase):
    pass


class Member(Base):
    __tablename__ = "unique_members"
    club: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as opened:
        opened.add_all(
            [Member(club=1, number=1, email="a@example.org"), Member(club=1, number=2, email="B@example.org")]
        )
        opened.commit()
        yield opened
    engine.dispose()


def test_another_row_counts_and_the_row_itself_does_not(session: Session) -> None:
    lookup = SqlUniqueLookup(lambda: session)
    first, second = (session.get_one(Member, (1, number)) for number in (1, 2))

    def is_taken(value: str, existing: object = None, *, ignore_case: bool = False) -> bool:
        return lookup.is_taken(Member.email, value, existing=existing, ignore_case=ignore_case)

    assert is_taken("a@example.org")
    assert not is_taken("a@example.org", first)
    assert is_taken("a@example.org", second)
    assert is_taken("a@example.org", {"club": 1, "number": 1})
    assert is_taken("a@example.org", Member(email="a@example.org"))
    assert not is_taken("c@example.org")
    assert not is_taken("b@example.org")
    assert is_taken("b@EXAMPLE.org", ignore_case=True)


def test_asking_writes_nothing(session: Session) -> None:
    session.add(Member(club=1, number=3, email="c@example.org"))

    SqlUniqueLookup(lambda: session).is_taken(Member.email, "x", existing=None, ignore_case=False)

    assert session.new


def test_a_schema_asks_it(session: Session) -> None:
    lookup = SqlUniqueLookup(lambda: session)
    schema = GuardSchema.from_dict({"email": fields.String(validate=Unique(Member.email, lookup=lookup))})()

    assert schema.load({"email": "a@example.org"}, existing=session.get_one(Member, (1, 1)))
    with pytest.raises(Conflict):
        schema.load({"email": "a@example.org"})


def test_a_database_that_fails_is_not_free() -> None:
    engine = create_engine("sqlite://")
    with Session(engine) as empty:
        unique = Unique(Member.email, lookup=SqlUniqueLookup(lambda: empty))
        schema = GuardSchema.from_dict({"email": fields.String(validate=unique)})()

        with pytest.raises(UniqueCheckFailed) as caught:
            schema.load({"email": "a@example.org"})

    engine.dispose()
    assert "example.org" not in str(caught.value)


@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool, NullPool], ids=lambda pool: pool.__name__)
def test_a_look_up_on_an_engine_never_ends_the_transaction_of_somebody_else(pool: type[Pool], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'members.db'}" if pool is NullPool else "sqlite://"
    engine = create_engine(url, poolclass=pool)
    Base.metadata.create_all(engine)
    lookup = SqlUniqueLookup.on_engine(engine)

    def is_taken(value: str) -> bool:
        return lookup.is_taken(Member.email, value, existing=None, ignore_case=False)

    with Session(engine) as session:
        assert not is_taken("a@example.org")
        session.add(Member(club=1, number=1, email="a@example.org"))
        session.flush()
        if pool is NullPool:
            assert not is_taken("a@example.org")
        else:
            with pytest.raises(UniqueCheckFailed, match="one connection"):
                is_taken("a@example.org")
        session.commit()
    assert is_taken("a@example.org")
    engine.dispose()
