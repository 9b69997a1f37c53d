"""The leak kit on models that are not ours: what it finds, what it says, and what it leaves behind."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Engine,
    Enum,
    ForeignKey,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    create_engine,
    func,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from flask_guard import Principal
from flask_guard.db import OwnedMixin, TenantMixin, unscoped
from flask_guard.testing import LeakFound, tenant_leak_cases


class Base(DeclarativeBase):
    pass


class Mood(enum.Enum):
    GOOD = "good"


class Everything(TenantMixin, OwnedMixin, Base):
    """A column of each type that needs a value, none of which has a default."""

    __tablename__ = "kit_everything"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    short: Mapped[str] = mapped_column(String(3))
    number: Mapped[int]
    small: Mapped[int] = mapped_column(SmallInteger)
    share: Mapped[float]
    price: Mapped[Decimal] = mapped_column(Numeric(6, 2))
    is_open: Mapped[bool]
    moment: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    day: Mapped[date]
    hour: Mapped[time]
    span: Mapped[timedelta]
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    mood: Mapped[Mood] = mapped_column(Enum(Mood))
    word: Mapped[str] = mapped_column(Enum("one", "two"))


class Customer(Base):
    """The table of tenants, which a tenant column refers to."""

    __tablename__ = "kit_customers"
    __table_args__ = {"info": {"guard": {"global": True}}}  # noqa: RUF012
    id: Mapped[str] = mapped_column(String(60), primary_key=True)


class Order(Base):
    """Refers to its tenant, and to a row that must be there; the tenant is in its key."""

    __tablename__ = "kit_orders"
    tenant_id: Mapped[str] = mapped_column(ForeignKey(Customer.id), primary_key=True, info={"guard": "tenant"})
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    address_id: Mapped[int] = mapped_column(ForeignKey("kit_addresses.id"))
    address: Mapped[Address] = relationship()


class Address(TenantMixin, Base):
    __tablename__ = "kit_addresses"
    id: Mapped[int] = mapped_column(primary_key=True)
    city: Mapped[str] = mapped_column(String(60))


class Strict(TenantMixin, Base):
    """Nobody could guess what it takes."""

    __tablename__ = "kit_strict"
    __table_args__ = (CheckConstraint("code IN ('a', 'b')"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(60))


class Plain(DeclarativeBase):
    """Tables that nobody has told the guard of."""


class Forgotten(Plain):
    """Has a tenant column that nothing looks at."""

    __tablename__ = "kit_forgotten"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(60))
    text: Mapped[str] = mapped_column(String(60))


TIGHT = (Everything, Order, Address)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    Plain.metadata.create_all(engine)
    yield engine
    engine.dispose()


def run_all(cases: list[Any]) -> dict[str, str]:
    """Run the cases and return what was found, by path, without those of other databases."""
    found = {}
    for case in cases:
        try:
            case.values[0].run()
        except LeakFound as leak:
            found[case.id] = str(leak)
        except pytest.skip.Exception:
            continue
    return found


def count_rows(engine: Engine) -> int:
    with unscoped(reason="the test counts what is left"), engine.connect() as connection:
        return sum(
            connection.scalar(select(func.count()).select_from(table)) or 0 for table in Base.metadata.sorted_tables
        )


@pytest.mark.parametrize("model", TIGHT)
def test_a_model_of_tenants_is_tight_and_nothing_is_left_behind(engine: Engine, model: type) -> None:
    cases = tenant_leak_cases(engine, model)

    assert run_all(cases) == {}
    assert len(cases) > 80
    assert count_rows(engine) == 0


def test_a_leak_is_told_with_the_name_of_its_path(engine: Engine) -> None:
    found = run_all(tenant_leak_cases(engine, Forgotten))

    assert {"get", "Core select of a connection", "text()", "bulk update", "Core insert"} <= found.keys()
    assert all(sentence.startswith(f"{path}: ") for path, sentence in found.items())
    assert found["get"] == "get: another tenant's Forgotten was read"


def test_ids_are_the_names_of_the_paths_and_no_two_are_alike(engine: Engine) -> None:
    for model in TIGHT:
        ids = [case.id for case in tenant_leak_cases(engine, model)]

        assert len(set(ids)) == len(ids)
        assert ids == [case.values[0].name for case in tenant_leak_cases(engine, model)]


def test_rows_of_ones_own_making_are_used(engine: Engine) -> None:
    made: list[str] = []

    def make(tenant: str) -> Strict:
        made.append(tenant)
        return Strict(code="a")

    cases = [case for case in tenant_leak_cases(engine, Strict, make=make) if case.id in ("get", "bulk delete")]

    assert run_all(cases) == {}
    assert len(set(made)) == 4


def test_a_factory_for_each_class_is_used(engine: Engine) -> None:
    cities = {Address: lambda _tenant: Address(city="Ur")}
    cases = [case for case in tenant_leak_cases(engine, Order, make=cities) if case.id == "get"]

    assert run_all(cases) == {}


def test_a_row_that_cannot_be_made_is_an_error_and_no_pass(engine: Engine) -> None:
    case = tenant_leak_cases(engine, Strict)[0].values[0]

    with pytest.raises(Exception, match="CHECK constraint failed"):
        case.run()


def test_tenants_and_a_principal_of_ones_own_are_used(engine: Engine) -> None:
    principal = Principal("seven")
    cases = tenant_leak_cases(engine, Everything, tenants=("acme", "globex"), principal=principal)

    assert run_all(cases[:3]) == {}
    assert cases[0].values[0].subject.tenants == ("acme", "globex")


@pytest.mark.parametrize("kind", ["engine", "session", "sessionmaker", "scoped session", "function"])
def test_every_kind_of_session_is_taken(engine: Engine, kind: str) -> None:
    with Session(engine) as session:
        sources: dict[str, Any] = {
            "engine": engine,
            "session": session,
            "sessionmaker": sessionmaker(engine),
            "scoped session": scoped_session(sessionmaker(engine)),
            "function": lambda: Session(engine),
        }
        cases = tenant_leak_cases(sources[kind], Address)

        assert run_all([case for case in cases if case.id in ("get", "Core insert")]) == {}


def test_the_parameters_are_made_without_a_database() -> None:
    assert tenant_leak_cases(lambda: pytest.fail("no session was to be opened"), Address)


@pytest.mark.parametrize("model", [object, Base], ids=["no model", "the base"])
def test_a_class_without_a_table_is_refused(engine: Engine, model: type) -> None:
    with pytest.raises(ValueError, match="not mapped to a table"):
        tenant_leak_cases(engine, model)


def test_what_opens_no_sessions_is_refused() -> None:
    with pytest.raises(ValueError, match="a function that returns sessions"):
        tenant_leak_cases("sqlite://", Address)  # type: ignore[arg-type]


def test_a_session_that_shows_a_tenant_nothing_is_told(engine: Engine) -> None:
    """Writes into one database, reads from another: nothing that is tried there would mean anything."""
    empty = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(empty)
    turns = iter([engine, engine, engine, empty, empty, empty, empty])
    case = tenant_leak_cases(lambda: Session(next(turns)), Address)[0].values[0]

    with pytest.raises(RuntimeError, match="does not see its own Address"):
        case.run()

    empty.dispose()
