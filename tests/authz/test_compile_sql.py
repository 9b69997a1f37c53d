"""A policy as the filter of a list lets through the rows that it would say yes to, one by one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Date, Engine, ForeignKey, create_engine, false, func, select, true
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column
from sqlalchemy.pool import NullPool

from flask_guard import ConfigError, Decision, Policy, Principal, tenant_scope
from flask_guard.authz import compile_sql  # noqa: F401  reads what is declared of tables
from flask_guard.authz.policies import AllOf, Role
from flask_guard.policies import authenticated, fresh, owner, role, scope, tenant
from flask_guard.tenancy.scope import unscoped_block
from flask_guard.values import ANONYMOUS

NOW = 1_700_000_000.0
ALICE, BOB = "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


class Base(DeclarativeBase):
    pass


class Paper(Base):
    """The columns that a policy may compare, each of them empty in some rows."""

    __tablename__ = "papers"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str | None] = mapped_column(info={"guard": "tenant"})
    owner_id: Mapped[str | None]
    number: Mapped[int | None] = mapped_column("owner_number")
    big: Mapped[int | None] = mapped_column(BigInteger)
    key: Mapped[uuid.UUID | None]
    day: Mapped[Any] = mapped_column(Date, nullable=True)
    status: Mapped[str | None]


class Country(Base):
    __tablename__ = "countries"
    __table_args__ = ({"info": {"guard": {"global": True}}},)

    id: Mapped[int] = mapped_column(primary_key=True)


class Page(Base):
    __tablename__ = "pages"
    __table_args__ = ({"info": {"guard": {"parent": "paper_id"}}},)

    id: Mapped[int] = mapped_column(primary_key=True)
    paper_id: Mapped[int] = mapped_column(ForeignKey("papers.id"))


class Open(Policy):
    """A policy of an application's own: the status of the row is "open". A NULL is not."""

    def __init__(self, status: object = None) -> None:
        self.status = status

    def decide(self, principal: Principal, *, now: float) -> Decision:
        return Decision(self.status == "open", "closed")

    def about(self, subject: Any) -> Policy:
        return Open(subject.status)

    def where(self, model: Any, **_options: Any) -> Any:
        return model.status == "open"

    def describe(self) -> str:
        return "open"


class Silent(Policy):
    """A policy that says nothing about rows."""

    def decide(self, principal: Principal, *, now: float) -> Decision:
        return Decision(True, "yes")

    def describe(self) -> str:
        return "silent"


def make_principal(id: str, tenant_id: str | None, **fields: Any) -> Principal:
    return Principal(id=id, kind="user", tenant=tenant_id, **fields)


IDS = [ALICE, BOB, "7", "07", "-7", "8", str(2**40), str(10**30), "²", "a\x00b", "\ud800", "anonymous", ""]
LEAVES = st.sampled_from(
    [
        role("admin"), role("a", "b", all=True), scope("notes:read"), authenticated(), fresh("1h"),
        fresh("1h", mfa=True), tenant(), owner(), owner("number"), owner("big"), owner("key"), Open(),
    ]
)  # fmt: skip
POLICIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda a: ~a),
    ),
    max_leaves=6,
)
PRINCIPALS = st.one_of(
    st.just(ANONYMOUS),
    st.builds(
        make_principal,
        st.sampled_from(IDS),
        st.sampled_from([None, "acme", "other", ""]),
        roles=st.frozensets(st.sampled_from(["admin", "a", "b"])),
        scopes=st.frozensets(st.sampled_from(["notes:*", "notes:read", "x"])),
        authenticated_at=st.sampled_from([None, datetime.fromtimestamp(NOW - 10, UTC), datetime.fromtimestamp(1, UTC)]),
        mfa=st.booleans(),
    ),
)


@contextmanager
def asking(principal: Principal) -> Iterator[None]:
    """Have the principal ask, with all tenants in sight: what is left out is left out by the policy."""
    with tenant_scope("whatever", principal=principal), unscoped_block("a test"):
        yield


def make_papers() -> list[Paper]:
    return [
        Paper(customer=customer, owner_id=owned_by, number=number, big=big, key=key, status=status)
        for customer in ("acme", "other", None)
        for owned_by, key in (
            (ALICE, uuid.UUID(ALICE)),
            (BOB, None),
            ("7", uuid.UUID(BOB)),
            ("anonymous", None),
            (None, None),
        )
        for number, big, status in ((7, 2**40, "open"), (None, None, None), (-7, 8, "closed"))
    ]


@pytest.fixture(scope="module")
def engines(postgres_url: str) -> Iterator[list[Engine]]:
    """A SQLite and a PostgreSQL database with the same rows."""
    opened = [create_engine(url, poolclass=pool) for url, pool in (("sqlite://", None), (postgres_url, NullPool))]
    for engine in opened:
        Base.metadata.create_all(engine)
        with unscoped_block("a test"), Session(engine) as session, session.begin():
            session.add_all(make_papers())
    yield opened
    for engine in opened:
        Base.metadata.drop_all(engine)
        engine.dispose()


def select_ids(engine: Engine, policy: Policy) -> set[int]:
    with Session(engine) as session:
        return set(session.scalars(select(Paper.id).where(policy.where(Paper, clock=lambda: NOW))))


def decide_ids(engine: Engine, policy: Policy, principal: Principal) -> set[int]:
    with unscoped_block("a test"), Session(engine) as session:
        papers = session.scalars(select(Paper)).all()
        return {paper.id for paper in papers if policy.about(paper).decide(principal, now=NOW)}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policy=POLICIES, principal=PRINCIPALS)
def test_a_list_has_the_rows_that_the_policy_says_yes_to(
    engines: list[Engine], policy: Policy, principal: Principal
) -> None:
    for engine in engines:
        with asking(principal):
            selected = select_ids(engine, policy)
        assert selected == decide_ids(engine, policy, principal)


def test_the_rows_are_not_always_all_or_none(engines: list[Engine]) -> None:
    """What the property above compares has something to compare."""
    policy = (role("admin") | owner()) & tenant()

    with asking(make_principal(ALICE, "acme")):
        assert len(select_ids(engines[0], policy)) == 3
    with asking(make_principal(ALICE, "acme", roles=frozenset({"admin"}))):
        assert len(select_ids(engines[0], policy)) == 15
    with asking(make_principal(ALICE, "acme")):
        assert len(select_ids(engines[0], ~owner())) == 36


def test_a_statement_that_is_held_is_right_for_whoever_asks(engines: list[Engine]) -> None:
    held = select(func.count()).select_from(Paper).where((role("admin") | owner()).where(Paper))
    counts = []

    for engine in engines:
        for principal in (
            ANONYMOUS,
            make_principal(ALICE, None),
            make_principal("x", None, roles=frozenset({"admin"})),
        ):
            with asking(principal), Session(engine) as session:
                counts.append(session.scalar(held))

    assert counts == [0, 9, 45] * 2


def test_nobody_is_asked_before_the_statement_runs() -> None:
    statement = select(Paper).where(tenant().where(Paper) & owner().where(Paper))

    assert "customer = " in str(statement)
    assert "owner_id = " in str(statement)


def test_an_alias_is_filtered_by_its_own_columns(engines: list[Engine]) -> None:
    other = aliased(Paper)
    statement = select(func.count()).select_from(other).where(owner().where(other))

    with asking(make_principal(BOB, None)), Session(engines[0]) as session:
        assert session.scalar(statement) == 9
    assert "papers_1.owner_id" in str(statement)


def test_rows_that_are_there_for_all_tenants_need_the_tenant_of_the_credential_only(engines: list[Engine]) -> None:
    statement = select(tenant().where(Country), (~tenant()).where(Country))
    answers = []

    for principal in (make_principal("x", "acme"), make_principal("x", None)):
        with asking(principal), Session(engines[1]) as session:
            answers.append(tuple(session.execute(statement).one()))

    assert answers == [(True, False), (False, True)]
    assert tenant().about(Country()).decide(make_principal("x", "acme"), now=NOW)


class Stricter(Role):
    def decide(self, principal: Principal, *, now: float) -> Decision:
        return Decision(False, "never")


class Several(AllOf):
    pass


@pytest.mark.parametrize(
    "policy",
    [
        Silent(), ~Silent(), role("admin") | Silent(), role("admin") & ~(owner() & Silent()),
        Stricter(frozenset({"admin"})), Several((role("admin"),)),
    ],
    ids=["alone", "not", "or", "deep", "subclass", "combination"],
)  # fmt: skip
def test_a_policy_without_sql_of_its_own_cannot_filter_a_list(policy: Policy) -> None:
    with pytest.raises(ConfigError, match="cannot filter a list"):
        policy.where(Paper)


@pytest.mark.parametrize(
    ("policy", "model", "match"),
    [
        (tenant(), Page, "Page has no tenant column"),
        (owner(), Page, "asks Page for 'owner_id', which is not a column"),
        (owner("metadata"), Paper, "asks Paper for 'metadata'"),
        (owner("day"), Paper, "text, integer and UUID columns"),
        (role("admin"), Paper.__table__, "lists of a mapped class"),
        (role("admin"), "papers", "lists of a mapped class"),
        (role("admin"), object(), "lists of a mapped class"),
    ],
    ids=["no-tenant", "no-owner", "no-column", "date", "table", "text", "object"],
)
def test_a_list_that_a_policy_says_nothing_about_is_refused(policy: Policy, model: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        policy.where(model)


@pytest.mark.parametrize(
    "name", ["", "owner id", "a.b", 3, lambda: None], ids=["empty", "blank", "path", "number", "view"]
)
def test_an_owner_needs_the_name_of_an_attribute(name: Any) -> None:
    with pytest.raises(ConfigError):
        owner(name)


def test_an_error_inside_a_policy_ends_the_statement(engines: list[Engine]) -> None:
    def broken() -> float:
        raise RuntimeError("no clock")

    with unscoped_block("a test"), Session(engines[0]) as session, pytest.raises(Exception, match="no clock"):
        session.scalars(select(Paper).where(fresh().where(Paper, clock=broken))).all()


# One object -----------------------------------------------------------------------------------------------


class Plain:
    tenant_id = "acme"
    owner_id = 7


def test_an_object_that_is_not_mapped_is_judged_by_its_attributes() -> None:
    insider, outsider = make_principal("7", "acme"), make_principal("8", "other")
    policy = (tenant() & owner()).about(Plain())

    assert policy.decide(insider, now=NOW).reason == "owner"
    assert policy.decide(outsider, now=NOW).reason == "tenant_foreign"
    assert policy.refusal(outsider, now=NOW).status == 404
    assert owner().about(Plain()).decide(outsider, now=NOW).reason == "not_owner"
    assert owner().about(Plain()).refusal(outsider, now=NOW).status == 403
    assert not (~owner()).about(Plain()).decide(insider, now=NOW)


def test_what_an_object_lacks_is_a_mistake_and_no_answer() -> None:
    for policy in (tenant(), owner(), owner("author")):
        with pytest.raises(ConfigError, match="which it does not have"):
            policy.about(object())
    with pytest.raises(ConfigError, match="no tenant column"):
        tenant().about(Page())


@pytest.mark.parametrize(
    ("policy", "needs_object"),
    [(owner(), True), (~owner(), True), (role("a") | owner(), True), (role("a") & ~tenant(), False), (Silent(), False)],
    ids=["owner", "not", "or", "principal", "own"],
)
def test_a_policy_says_whether_it_needs_an_object(policy: Policy, needs_object: bool) -> None:
    assert policy.needs_object is needs_object
    if needs_object:
        assert policy.about(Plain()).needs_object is False


@pytest.mark.parametrize("policy", [owner(), ~owner()], ids=["owner", "not"])
def test_an_owner_without_an_object_is_no_answer(policy: Policy) -> None:
    with pytest.raises(ConfigError, match=r"guard\.check"):
        policy.decide(make_principal("7", None), now=NOW)


def test_a_negated_filter_of_ones_own_says_yes_where_it_says_nothing(engines: list[Engine]) -> None:
    class Unknown(Silent):
        def where(self, model: Any, **_options: Any) -> Any:
            return model.status == "open"

    for engine in engines:
        with unscoped_block("a test"), Session(engine) as session:
            statement = select(Paper.status).where((~Unknown()).where(Paper)).distinct()
            assert set(session.scalars(statement)) == {None, "closed"}


def test_constants_of_sql_are_filters_too(engines: list[Engine]) -> None:
    class Never(Silent):
        def where(self, model: Any, **_options: Any) -> Any:
            return false()

    with unscoped_block("a test"), Session(engines[0]) as session:
        assert session.scalars(select(Paper).where(Never().where(Paper))).all() == []
        assert len(session.scalars(select(Paper).where((~Never()).where(Paper) & true())).all()) == 45
