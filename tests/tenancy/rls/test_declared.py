"""Declared policies as PostgreSQL holds them: the same rows as our compiler shows, and nothing written past them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, ForeignKey, String, exists, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_guard.db import OwnedMixin, TenantMixin
from flask_guard.errors import PolicyViolation
from flask_guard.tenancy.facts import current_claim, current_role, current_tenant, current_uid
from flask_guard.tenancy.policies import policy
from flask_guard.tenancy.rls.apply import apply
from flask_guard.tenancy.rls.wanted import list_tables
from flask_guard.tenancy.scope import tenant_scope
from flask_guard.values import ANONYMOUS, Claims, Principal

from .world import World


class Base(DeclarativeBase):
    pass


class Paper(TenantMixin, Base):
    __tablename__ = "declared_papers"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    author: Mapped[int]
    reviewer: Mapped[uuid.UUID | None]
    department: Mapped[str] = mapped_column(String(20))
    body: Mapped[str] = mapped_column(String(50))


class Reader(TenantMixin, Base):
    __tablename__ = "declared_readers"
    paper_id: Mapped[int] = mapped_column(ForeignKey("declared_papers.id"), primary_key=True)
    who: Mapped[str] = mapped_column(String(20), primary_key=True)


class Own(OwnedMixin, TenantMixin, Base):
    __tablename__ = "declared_own"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


REVIEWER = uuid.UUID("12345678-1234-5678-1234-567812345678")
policy(Paper, "author", using=lambda p: p.author == current_uid())
policy(Paper, "reviewer", for_="select", using=lambda p: current_uid() == p.reviewer)
policy(
    Paper, "reader", for_="select", using=lambda p: exists().where(Reader.paper_id == p.id, Reader.who == current_uid())
)
policy(
    Paper,
    "claim",
    for_="select",
    roles=["editor"],
    using=lambda p: p.department == current_claim("declared_department"),
)
policy(Paper, "quoted", for_="select", using=lambda p: (p.body == "50% 'off' \\ \n:x") & (current_role() == "bargain"))
policy(Paper, "sealed", restrictive=True, using=lambda p: (p.body != "sealed") | current_role().in_(["admin", "boss"]))
policy(Paper, "tenant", for_="select", restrictive=True, using=lambda p: p.tenant_id == current_tenant())

ROWS = f"""
INSERT INTO declared_papers (id, tenant_id, author, reviewer, department, body) VALUES
    (1, 'a', 7, NULL, 'x', ''), (2, 'a', 8, '{REVIEWER}', 'x', ''), (3, 'a', 8, NULL, 'news', ''),
    (4, 'a', 7, NULL, 'x', 'sealed'), (5, 'b', 7, NULL, 'news', ''), (6, 'a', 9, NULL, 'x', E'50% ''off'' \\\\ \\n:x');
INSERT INTO declared_readers (tenant_id, paper_id, who) VALUES ('a', 3, 'rita'), ('b', 5, 'rita');
INSERT INTO declared_own (id, tenant_id, owner_id) VALUES (1, 'a', '7'), (2, 'a', '8'), (3, 'b', '7')
"""  # noqa: S608
EDITOR = Principal("ed", roles=frozenset({"editor"}), claims=Claims({"declared_department": "news"}))
PRINCIPALS = {
    "author": (Principal("7"), [1]),
    "boss": (Principal("7", roles=frozenset({"boss"})), [1, 4]),
    "reviewer": (Principal(str(REVIEWER)), [2]),
    "reader": (Principal("rita"), [3]),
    "role and claim": (EDITOR, [3]),
    "claim without the role": (Principal("ed", claims=EDITOR.claims), []),
    "another claim": (Principal("ed", roles=EDITOR.roles, claims=Claims({"declared_department": ["news"]})), []),
    "literal": (Principal("x", roles=frozenset({"bargain"})), [6]),
    "anonymous": (ANONYMOUS, []),
    "no number": (Principal("7; --"), []),
}


@pytest.fixture
def engine(bare_world: World) -> Iterator[Engine]:
    """As the application, with everything applied."""
    with bare_world.engine(bare_world.owner) as owner:
        Base.metadata.create_all(owner)
        bare_world.execute(ROWS)
        with owner.connect() as connection:
            apply(connection, list_tables(Base.metadata))
    bare_world.execute(
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {bare_world.application}"
    )
    with bare_world.engine(bare_world.application) as application:
        yield application


def natively(session: Session, table: str) -> list[Any]:
    cursor = session.connection().connection.cursor()
    cursor.execute(f"SELECT id FROM {table} ORDER BY id")  # noqa: S608
    return [row[0] for row in cursor.fetchall()]


def test_both_walls_show_the_same_rows(engine: Engine) -> None:
    for name, (principal, expected) in PRINCIPALS.items():
        with tenant_scope("a", principal=principal), Session(engine) as session:
            assert list(session.scalars(select(Paper.id).order_by(Paper.id))) == expected, name
            assert natively(session, "declared_papers") == expected, name


def test_rows_that_have_owners_are_theirs_in_the_database_too(engine: Engine) -> None:
    for principal, expected in [
        (Principal("7"), [1]),
        (Principal("8"), [2]),
        (Principal("8", roles=frozenset({"admin"})), [1, 2]),
    ]:
        with tenant_scope("a", principal=principal), Session(engine) as session:
            assert natively(session, "declared_own") == expected
            assert list(session.scalars(select(Own.id).order_by(Own.id))) == expected
    with tenant_scope("a"), Session(engine) as session:
        assert natively(session, "declared_own") == []


@pytest.mark.parametrize(("author", "is_refused"), [(7, False), (8, True)])
def test_an_insert_that_only_postgresql_can_check_is_left_to_it(engine: Engine, author: int, is_refused: bool) -> None:
    row = {"id": 9, "tenant_id": "a", "author": author, "department": "", "body": ""}
    with tenant_scope("a", principal=Principal("7")), Session(engine) as session:
        if is_refused:
            with pytest.raises(PolicyViolation):
                session.execute(insert(Paper.__table__), [row])
            return
        session.execute(insert(Paper.__table__), [row])
        session.commit()
        assert list(session.scalars(select(Paper.id).order_by(Paper.id))) == [1, 9]


def test_a_row_that_a_native_policy_refuses_is_a_policy_violation(engine: Engine) -> None:
    with tenant_scope("a", principal=Principal("7")), Session(engine) as session:
        session.add(Paper(id=9, author=8, department="", body=""))
        with pytest.raises(PolicyViolation):
            session.commit()
    with tenant_scope("a", principal=Principal("7")), Session(engine) as session:
        with pytest.raises(PolicyViolation):
            session.execute(update(Paper).values(author=8))
        session.rollback()
        assert session.execute(update(Paper).values(department="y")).rowcount == 1
