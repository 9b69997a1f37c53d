"""A commit that SQLite refuses leaves the transaction open, and the connection goes back to the pool with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, ForeignKey, create_engine, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_guard import tenant_scope
from flask_guard.db import TenantMixin


class Base(DeclarativeBase):
    pass


class Shelf(TenantMixin, Base):
    __tablename__ = "shelves_of_failed_commits"
    id: Mapped[int] = mapped_column(primary_key=True)


class Jar(TenantMixin, Base):
    """Its reference is checked at the end of the transaction."""

    __tablename__ = "jars_of_failed_commits"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey(Shelf.id, deferrable=True, initially="DEFERRED"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'jars.db'}", pool_size=1, max_overflow=0)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def test_what_a_refused_commit_wrote_is_not_committed_by_whoever_comes_next(engine: Engine) -> None:
    with tenant_scope("globex"), Session(engine) as session:
        session.add(Shelf(id=1))
        session.commit()
    with tenant_scope("acme"), Session(engine) as session:
        session.add(Jar(id=1))
        session.flush()
        session.execute(update(Jar).values(shelf_id=1))
        with pytest.raises(IntegrityError):
            session.commit()

    with tenant_scope("globex"), Session(engine) as session:
        session.add(Shelf(id=2))
        session.commit()

    with tenant_scope("acme"), Session(engine) as session:
        assert session.scalar(select(func.count(Jar.id))) == 0
