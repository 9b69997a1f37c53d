"""Row policies on both databases: who sees what, who may write what, and what no declaration may say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    create_engine,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_guard.db import TenantMixin
from flask_guard.errors import ConfigError, PolicyViolation, TenancyError
from flask_guard.tenancy.facts import adapt, current_claim, current_role, current_tenant, current_uid
from flask_guard.tenancy.policies import enable_rls, policy
from flask_guard.tenancy.scope import tenant_scope, unscoped_block
from flask_guard.values import ANONYMOUS, Claims, Principal


class Base(DeclarativeBase):
    pass


class Page(TenantMixin, Base):
    """Seen by its owner, by everybody when it is shared, by editors of its department; written by its owner."""

    __tablename__ = "policy_pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str] = mapped_column("author_id", String(20))
    shared: Mapped[bool] = mapped_column(Boolean, default=False)
    department: Mapped[str] = mapped_column(String(20), default="")
    body: Mapped[str] = mapped_column(String(50), default="")
    size: Mapped[int] = mapped_column(default=0)


class Tag(Base):
    """Seen with its page, frozen by a restrictive policy."""

    __tablename__ = "policy_tags"
    __table_args__ = {"info": {"guard": {"parent": "page_id"}}}  # noqa: RUF012  as SQLAlchemy wants it
    id: Mapped[int] = mapped_column(primary_key=True)
    page_id: Mapped[int] = mapped_column(ForeignKey("policy_pages.id"))
    name: Mapped[str] = mapped_column(String(20))


class Closed(TenantMixin, Base):
    """Under row security, without a policy."""

    __tablename__ = "policy_closed"
    id: Mapped[int] = mapped_column(primary_key=True)


policy(Page, "own", using=lambda p: p.author == current_uid())
policy(Page, "shared", for_="select", using=lambda p: p.shared)
policy(
    Page,
    "department",
    for_="select",
    roles=["editor"],
    using=lambda p: p.department == current_claim("policy_department"),
)
policy(
    Page,
    "not_secret",
    for_="select",
    restrictive=True,
    using=lambda p: (p.body != "secret") | (current_role() == "admin"),
)
policy(Tag, "any", using=lambda t: True)
policy(
    Tag, "frozen", for_="update", restrictive=True, using=lambda t: t.name != "frozen", check=lambda t: t.name != "bad"
)
enable_rls(Closed)

ANN = Principal("ann")
BEN = Principal("ben")
EDITOR = Principal("eve", roles=frozenset({"editor"}), claims=Claims({"policy_department": "news"}))
ADMIN = Principal("ann", roles=frozenset({"admin"}))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Tables with rows: the policies are our compiler's, because nothing was applied in the database."""
    engine = create_engine(database_url)
    Base.metadata.create_all(engine)
    with unscoped_block("test"), Session(engine) as session:
        session.add_all(
            [
                Page(id=1, tenant_id="a", author="ann"),
                Page(id=2, tenant_id="a", author="ben", shared=True),
                Page(id=3, tenant_id="a", author="ben", department="news"),
                Page(id=4, tenant_id="b", author="ann", shared=True),
                Page(id=5, tenant_id="a", author="ann", body="secret"),
            ]
        )
        session.flush()
        session.add_all(
            [Tag(id=1, page_id=1, name="x"), Tag(id=2, page_id=4, name="y"), Tag(id=3, page_id=2, name="frozen")]
        )
        session.add(Closed(id=1, tenant_id="a"))
        session.commit()
    yield engine
    engine.dispose()


def seen(engine: Engine, principal: Principal, model: Any = Page, tenant: str = "a") -> list[int]:
    with tenant_scope(tenant, principal=principal), Session(engine) as session:
        return list(session.scalars(select(model.id).order_by(model.id)))


@pytest.mark.parametrize(
    ("principal", "expected"),
    [(ANN, [1, 2]), (BEN, [2, 3]), (EDITOR, [2, 3]), (ADMIN, [1, 2, 5]), (ANONYMOUS, [2])],
    ids=["owner", "other owner", "role and claim", "restrictive lifted", "anonymous"],
)
def test_a_row_is_seen_when_one_permissive_policy_holds_and_every_restrictive_one(
    engine: Engine, principal: Principal, expected: list[int]
) -> None:
    assert seen(engine, principal) == expected


def test_one_compiled_statement_serves_everybody(engine: Engine) -> None:
    for _ in range(3):
        assert [seen(engine, each) for each in (ANN, BEN, ANONYMOUS)] == [[1, 2], [2, 3], [2]]


def test_the_rows_of_another_tenant_stay_hidden_whatever_a_policy_permits(engine: Engine) -> None:
    assert seen(engine, ANN, tenant="b") == [4]
    assert seen(engine, ANN, Tag) == [1, 3]


def test_row_security_without_a_policy_shows_and_takes_no_row(engine: Engine) -> None:
    assert seen(engine, ADMIN, Closed) == []
    with tenant_scope("a", principal=ADMIN), Session(engine) as session:
        session.add(Closed(id=2))
        with pytest.raises(PolicyViolation):
            session.commit()


def test_an_unscoped_block_sees_everything(engine: Engine) -> None:
    with unscoped_block("test"), Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(Page)) == 5
        assert session.scalar(select(func.count()).select_from(Closed)) == 1


# -- writing


def stored(engine: Engine) -> dict[int, tuple[str, str]]:
    with unscoped_block("test"), Session(engine) as session:
        return {page.id: (page.author, page.body) for page in session.scalars(select(Page))}


def _work_and_commit(session: Session, work: Callable[[Session], object]) -> None:
    work(session)
    session.commit()


def refuse(engine: Engine, principal: Principal, work: Callable[[Session], object], error: type[Exception]) -> None:
    """Assert that the work of a session is refused and that nothing of it is there afterwards."""
    before = stored(engine)
    with tenant_scope("a", principal=principal), Session(engine) as session, pytest.raises(error):
        _work_and_commit(session, work)
    assert stored(engine) == before


def test_an_object_that_its_check_lets_be_is_written(engine: Engine) -> None:
    with tenant_scope("a", principal=ANN), Session(engine) as session:
        session.add(Page(id=9, author="ann", body="new"))
        page = session.get_one(Page, 1)
        page.body = "changed"
        session.commit()

    assert stored(engine)[9] == ("ann", "new")
    assert stored(engine)[1] == ("ann", "changed")


def _change_author(session: Session) -> None:
    session.get_one(Page, 1).author = "ben"


def _change_shared(session: Session) -> None:
    session.get_one(Page, 2).body = "x"


@pytest.mark.parametrize(
    "work",
    [
        lambda session: session.add(Page(id=9, author="ben")),
        lambda session: session.add_all([Page(id=9, author="ann"), Page(id=10, author="ben")]),
        _change_author,
    ],
    ids=["insert", "one of two", "update"],
)
def test_an_object_that_fails_its_check_ends_the_transaction(engine: Engine, work: Callable[[Session], object]) -> None:
    refuse(engine, ANN, work, PolicyViolation)


def test_a_row_that_may_be_seen_and_not_changed_is_not_there_for_an_update(engine: Engine) -> None:
    refuse(engine, ANN, _change_shared, Exception)


def test_deleting_and_updating_many_touches_own_rows_only(engine: Engine) -> None:
    with unscoped_block("test"), Session(engine) as session:
        session.query(Tag).delete()
        session.commit()
    with tenant_scope("a", principal=ANN), Session(engine) as session:
        session.execute(update(Page).values(body="bulk"))
        session.commit()
        assert session.query(Page).delete() == 1  # number 5 is secret to ann
        session.commit()

    assert {number: body for number, (_, body) in stored(engine).items()} == {2: "", 3: "", 4: "", 5: "secret"}


@pytest.mark.parametrize(
    "statement",
    [
        update(Page).values(author="ben"),
        update(Page.__table__).values(author_id="ben"),
        update(Page).values({Page.author: func.lower("BEN")}),
        update(Page).where(Page.id == 1).values(author=Page.body),
        update(Page).values(body="secret"),
        update(Tag).values(name="bad"),
    ],
    ids=["orm", "core", "expression", "other column", "no more seen", "check of its own"],
)
def test_an_update_of_many_that_would_fail_a_check_is_refused(engine: Engine, statement: Any) -> None:
    refuse(engine, ANN, lambda session: session.execute(statement), PolicyViolation)


def test_an_update_of_many_passes_over_what_its_policy_is_not_for(engine: Engine) -> None:
    with tenant_scope("a", principal=ANN), Session(engine) as session:
        session.execute(update(Tag).values(name=Tag.name + "!"))
        session.commit()
        assert list(session.scalars(select(Tag.name).order_by(Tag.id))) == ["x!", "frozen"]


@pytest.mark.parametrize(
    "work",
    [
        lambda session: session.execute(insert(Page.__table__).values(id=9, tenant_id="a", author_id="ann")),
        lambda session: session.execute(insert(Page), [{"id": 9, "author": "ann"}]),
        lambda session: session.execute(insert(Page).from_select(["id", "author"], select(Page.id + 100, Page.author))),
        lambda session: session.bulk_save_objects([Page(id=9, author="ben")]),
        lambda session: session.bulk_insert_mappings(Page, [{"id": 9, "author": "ben"}]),
        lambda session: session.bulk_update_mappings(Page, [{"id": 1, "author": "ben"}]),
        lambda session: session.execute(update(Page), [{"id": 1, "author": "ben"}]),
    ],
    ids=["core", "orm bulk", "from select", "save objects", "insert mappings", "update mappings", "update by key"],
)
def test_what_cannot_be_held_against_a_check_is_refused(engine: Engine, work: Callable[[Session], object]) -> None:
    refuse(engine, ANN, work, TenancyError)


def test_values_that_decide_on_no_policy_may_be_given_as_parameters(engine: Engine) -> None:
    with tenant_scope("a", principal=ADMIN), Session(engine) as session:
        session.execute(update(Page), [{"id": 1, "size": 3}])
        session.commit()
        assert session.get_one(Page, 1).size == 3


def test_after_a_flush_that_failed_bulk_writes_are_refused_as_before(engine: Engine) -> None:
    with tenant_scope("a", principal=ANN), Session(engine) as session:
        session.add(Page(id=9, author="ben"))
        with pytest.raises(PolicyViolation):
            session.flush()
        session.rollback()
        with pytest.raises(TenancyError):
            session.bulk_insert_mappings(Page, [{"id": 9, "author": "ben"}])


# -- declarations


def make_table() -> Table:
    return Table("policy_declared", MetaData(), Column("id", Integer, primary_key=True), Column("mail", String))


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda t: policy(t, "p", using=lambda r: r.nothing == 1), "no column 'nothing'"),
        (lambda t: policy(t, "p", using=lambda r: "id = 1"), "str and no SQL condition"),
        (lambda t: policy(t, "p", using=lambda r, me="ann": r.mail == me), "one argument"),
        (lambda t: policy(t, "p", using="mail = 'x'"), "one argument"),
        (lambda t: policy(t, "p", for_="upsert", using=lambda r: True), "'upsert'"),
        (lambda t: policy(t, "p", for_="insert", using=lambda r: True), "write check="),
        (lambda t: policy(t, "p", for_="select", check=lambda r: True), "write using="),
        (lambda t: policy(t, "p", for_="delete", using=lambda r: True, check=lambda r: True), "write using="),
        (lambda t: policy(t, "p", for_="update", check=lambda r: True), "which rows"),
        (lambda t: policy(t, "p"), "says nothing"),
        (lambda t: policy(t, "", using=lambda r: True), "needs a name"),
        (lambda t: policy(t, "p" * 64, using=lambda r: True), "63 bytes"),
        (lambda t: policy(t, "guard_tenant", using=lambda r: True), "Guard's own"),
        (lambda t: policy(t, "p", using=lambda r: True, roles=[""]), "names"),
        (lambda t: policy(t, "p", using=lambda r: current_role() > "x"), "cannot be built"),
        (lambda t: policy("notes", "p", using=lambda r: True), "neither a mapped class"),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(declare: Callable[[Table], object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        declare(make_table())


@pytest.mark.parametrize("is_child", [True, False], ids=["a table that belongs to it", "its own table"])
def test_a_policy_that_would_ask_itself_is_refused(is_child: bool) -> None:
    metadata = MetaData()
    table = Table("policy_circle", metadata, Column("id", Integer, primary_key=True), info={"guard": {"global": True}})
    reference = Column("circle_id", ForeignKey("policy_circle.id"))
    child = Table("policy_circle_child", metadata, reference, info={"guard": {"parent": "circle_id"}})
    asked = select(child.c.circle_id) if is_child else select(table.alias().c.id)

    with pytest.raises(ConfigError, match="asks itself"):
        policy(table, "circle", using=lambda row: row.id.in_(asked))


def test_a_name_is_declared_once() -> None:
    table = make_table()
    policy(table, "p", using=lambda r: True)
    with pytest.raises(ConfigError, match="declared twice"):
        policy(table, "p", using=lambda r: True)


def test_a_policy_that_is_declared_after_a_statement_was_compiled_is_not_overlooked() -> None:
    table = make_table()
    enable_rls(table)
    policy(table, "none", using=lambda r: r.mail == "nobody")
    engine = create_engine("sqlite://")
    table.create(engine)
    with unscoped_block("test"), engine.begin() as connection:
        connection.execute(table.insert().values(id=1, mail="x"))
    query = select(table.c.id)
    with tenant_scope("a"), engine.connect() as connection:
        assert connection.scalars(query).all() == []

    policy(table, "all", using=lambda r: True)

    with tenant_scope("a"), engine.connect() as connection:
        assert connection.scalars(query).all() == [1]


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        ("7", Integer(), 7),
        ("7x", Integer(), None),
        ("9" * 19, Integer(), None),
        ("x", Uuid(), None),
        ("x", String(1), "x"),
    ],
)
def test_a_fact_that_a_column_cannot_hold_is_no_fact(value: str, type_: Any, expected: object) -> None:
    assert adapt(value, type_) == expected


def test_a_fact_takes_the_type_of_what_it_stands_beside_on_either_side(database_url: str) -> None:
    table = Table("policy_numbers", MetaData(), Column("id", Integer, primary_key=True), Column("owner", Integer))
    policy(table, "left", for_="select", using=lambda r: current_uid() == r.owner)
    policy(table, "right", for_="select", using=lambda r: (r.owner == current_tenant()) & exists(select(1)))
    engine = create_engine(database_url)
    table.create(engine)
    with unscoped_block("test"), engine.begin() as connection:
        connection.execute(table.insert(), [{"id": 1, "owner": 7}, {"id": 2, "owner": 8}, {"id": 3, "owner": 9}])

    with tenant_scope("8", principal=Principal("7")), engine.connect() as connection:
        assert connection.scalars(select(table.c.id).order_by(table.c.id)).all() == [1, 2]
    with tenant_scope("acme", principal=Principal("ak_7")), engine.connect() as connection:
        assert connection.scalars(select(table.c.id)).all() == []
    engine.dispose()
