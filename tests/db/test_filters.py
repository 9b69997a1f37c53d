"""A forced filter stands in every statement on its table, asks its function each time, and fails closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_guard import ConfigError, tenant_scope
from flask_guard.db import TenantMixin, force_filter, parent, unscoped
from flask_guard.errors import TenancyError


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def Invoice(engine: sa.Engine) -> Any:  # a class
    class Base(DeclarativeBase):
        pass

    class Invoice(TenantMixin, Base):
        __tablename__ = "invoices"
        id: Mapped[int] = mapped_column(primary_key=True)
        region: Mapped[str | None]
        cents: Mapped[int] = mapped_column(default=0)

    Base.metadata.create_all(engine)
    with tenant_scope("acme"), Session(engine) as session, session.begin():
        session.add_all(
            [Invoice(id=number, region=region, cents=number) for number, region in enumerate(["eu", "us", None], 1)]
        )
    with tenant_scope("zeta"), Session(engine) as session, session.begin():
        session.add(Invoice(id=9, region="eu", cents=9))
    return Invoice


@pytest.fixture(autouse=True)
def acme() -> Iterator[None]:
    with tenant_scope("acme"):
        yield


def ids(engine: sa.Engine, invoice: Any) -> list[int]:
    with Session(engine) as session:
        return list(session.scalars(select(invoice.id).order_by(invoice.id)))


@pytest.mark.parametrize(
    ("field", "operator", "answer", "seen"),
    [
        ("region", "eq", "eu", [1]),
        ("region", "ne", "eu", [2]),
        ("cents", "lt", 2, [1]),
        ("cents", "le", 2, [1, 2]),
        ("cents", "gt", 2, [3]),
        ("cents", "ge", 2, [2, 3]),
        ("region", "in", ["eu", "us"], [1, 2]),
        ("region", "in", ("us",), [2]),
        ("region", "in", {"us"}, [2]),
        ("region", "not_in", ["eu"], [2]),
        ("region", "is_null", True, [3]),
        ("region", "is_null", False, [1, 2]),
        *[(field, name, None, [1, 2, 3]) for field, name in (("region", "eq"), ("region", "in"), ("cents", "gt"))],
        *[("region", name, [], []) for name in ("in", "not_in", "eq", "is_null")],
        ("region", "in", [None], []),
    ],
)
def test_a_filter_leaves_what_its_operator_says(
    engine: sa.Engine,
    Invoice: Any,
    field: str,
    operator: str,
    answer: Any,
    seen: list[int],
) -> None:
    force_filter(Invoice, field, operator, lambda: answer)

    assert ids(engine, Invoice) == seen


def test_the_function_is_asked_once_for_each_statement_whatever_it_has_of_the_table(
    engine: sa.Engine,
    Invoice: Any,
) -> None:
    asked: list[int] = []
    force_filter(Invoice, "region", "in", lambda: (asked.append(1), ["eu", "us"])[1])
    other = sa.orm.aliased(Invoice)
    statement = select(func.count()).select_from(Invoice).join(other, other.cents >= Invoice.cents)
    statement = statement.where(select(Invoice.id).where(Invoice.cents > 0).exists())

    with Session(engine) as session:
        assert session.scalar(statement) == 3
        assert len(asked) == 1
        assert session.scalar(statement) == 3
        assert len(asked) == 2


def test_the_answer_may_differ_from_one_execution_to_the_next(engine: sa.Engine, Invoice: Any) -> None:
    answers: list[Any] = [["eu"], [], None, ["us", "eu"]]
    force_filter(Invoice, "region", "in", lambda: answers.pop(0))

    assert [ids(engine, Invoice) for _ in range(4)] == [[1], [], [1, 2, 3], [1, 2]]


def test_updates_and_deletes_are_filtered_too(engine: sa.Engine, Invoice: Any) -> None:
    force_filter(Invoice, "region", "eq", lambda: "eu")

    with Session(engine) as session, session.begin():
        assert session.execute(update(Invoice).values(cents=100)).rowcount == 1  # type: ignore[attr-defined]
        assert session.execute(delete(Invoice).where(Invoice.id > 1)).rowcount == 0  # type: ignore[attr-defined]

    with unscoped(reason="a test"), Session(engine) as session:
        rows = session.execute(select(Invoice.id, Invoice.cents).order_by(Invoice.id)).all()
    assert [tuple(row) for row in rows] == [(1, 100), (2, 2), (3, 3), (9, 9)]


def test_two_filters_hold_together(engine: sa.Engine, Invoice: Any) -> None:
    force_filter(Invoice, "region", "in", lambda: ["eu", "us"])
    force_filter(Invoice, "cents", "gt", lambda: 1)

    assert ids(engine, Invoice) == [2]


def test_a_filter_that_comes_after_statements_holds_for_them_too(engine: sa.Engine, Invoice: Any) -> None:
    assert ids(engine, Invoice) == [1, 2, 3]

    force_filter(Invoice, "region", "eq", lambda: "us")

    assert ids(engine, Invoice) == [2]


def test_a_child_follows_the_filter_of_its_parent(engine: sa.Engine, Invoice: Any) -> None:
    lines = sa.Table(
        "lines", Invoice.metadata, sa.Column("invoice_id", sa.ForeignKey("invoices.id")), info=parent("invoice_id")
    )
    lines.create(engine)
    with engine.begin() as connection:
        connection.execute(lines.insert(), [{"invoice_id": 1}, {"invoice_id": 2}])
    force_filter(Invoice, "region", "eq", lambda: "us")

    with engine.connect() as connection:
        assert connection.execute(select(lines)).all() == [(2,)]


def _fail() -> Any:
    raise KeyError("no such claim")


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        ("eq", _fail),
        ("eq", lambda: ["eu"]),
        ("in", lambda: "eu"),
        ("in", lambda: {"eu": 1}),
        ("is_null", lambda: "yes"),
    ],
)
def test_a_function_that_fails_is_an_error_and_nothing_is_executed(
    engine: sa.Engine,
    Invoice: Any,
    operator: str,
    function: Callable[[], Any],
) -> None:
    force_filter(Invoice, "region", operator, function)
    executed: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *arguments: executed.append(arguments[2]))

    with pytest.raises(TenancyError, match=r"force_filter on invoices\.region"):
        ids(engine, Invoice)

    assert executed == []


@pytest.mark.parametrize("brought", [{"guard_filter_kind_1": 1}, {"guard_filter_1": ["us"]}, {"guard_filter_1": []}])
def test_a_statement_cannot_bring_the_answer_along(engine: sa.Engine, Invoice: Any, brought: dict[str, Any]) -> None:
    force_filter(Invoice, "region", "in", lambda: ["eu"])
    with Session(engine) as session:
        assert session.scalars(select(Invoice.id)).all() == [1]

        with pytest.raises(TenancyError):
            session.execute(select(Invoice.id), brought)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("colour", "eq", list), "has no field 'colour' of its own"),
        (("region", "like", list), "no operator 'like'"),
        (("region", "eq", "eu"), "takes a function"),
    ],
)
def test_what_cannot_be_filtered_is_refused_when_it_is_declared(
    Invoice: Any,
    arguments: Any,
    told: str,
) -> None:
    with pytest.raises(ConfigError, match=told):
        force_filter(Invoice, *arguments)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="a mapped class or a Table"):
        force_filter(object(), "region", "eq", list)


def test_a_field_of_the_class_it_inherits_from_is_refused(Invoice: Any) -> None:
    class Credit(Invoice):
        __tablename__ = "credits"
        __table_args__ = {"info": parent("id")}  # noqa: RUF012
        id: Mapped[int] = mapped_column(sa.ForeignKey("invoices.id"), primary_key=True)

    with pytest.raises(ConfigError, match="'credits' has no field 'region' of its own"):
        force_filter(Credit, "region", "eq", list)
