"""Tables of a small ledger: every way in which rows say whose they are. Kept for two tenants, and for one alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Engine, ForeignKey, Integer, String, Table, create_engine, event, insert, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from flask_guard.tenancy import engines
from flask_guard.tenancy.scope import tenant_scope, unscoped_block

engines.install()

ARCHIVE = "ledger_archive"
OWN, FOREIGN = "acme", "globex"


class Base(DeclarativeBase):
    pass


def tenant() -> Any:
    return mapped_column(String(40), info={"guard": "tenant"})


class Account(Base):
    __tablename__ = "ledger_accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = tenant()
    name: Mapped[str] = mapped_column(String(40))
    entries: Mapped[list[Entry]] = relationship(back_populates="account")


class Entry(Base):
    __tablename__ = "ledger_entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = tenant()
    account_id: Mapped[int | None] = mapped_column(ForeignKey("ledger_accounts.id"))
    memo: Mapped[str] = mapped_column(String(40), default="")
    amount: Mapped[int] = mapped_column(default=0)
    account: Mapped[Account | None] = relationship(back_populates="entries")


class Label(Base):
    __tablename__ = "ledger_labels"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = tenant()
    name: Mapped[str] = mapped_column(String(40))


# Belongs to the tenant of its entry, and refers to a row of a tenant besides.
entry_labels = Table(
    "ledger_entry_labels",
    Base.metadata,
    Column("entry_id", ForeignKey("ledger_entries.id"), primary_key=True),
    Column("label_id", ForeignKey("ledger_labels.id"), primary_key=True),
    info={"guard": {"parent": "entry_id"}},
)


class Party(Base):
    """The base of a joined inheritance."""

    __tablename__ = "ledger_parties"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = tenant()
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(40))
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "party"}  # noqa: RUF012


class Company(Party):
    __tablename__ = "ledger_companies"
    __table_args__ = {"info": {"guard": {"parent": "id"}}}  # noqa: RUF012
    id: Mapped[int] = mapped_column(ForeignKey("ledger_parties.id"), primary_key=True)
    number: Mapped[str] = mapped_column(String(40))
    __mapper_args__ = {"polymorphic_identity": "company"}  # noqa: RUF012


class Currency(Base):
    """Everybody's."""

    __tablename__ = "ledger_currencies"
    __table_args__ = {"info": {"guard": {"global": True}}}  # noqa: RUF012
    code: Mapped[str] = mapped_column(String(3), primary_key=True)
    name: Mapped[str] = mapped_column(String(40), default="")


class Old(Base):
    """In a schema of its own, with the name of another table."""

    __tablename__ = "ledger_entries"
    __table_args__ = {"schema": ARCHIVE}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = tenant()
    memo: Mapped[str] = mapped_column(String(40))


# A table and columns that must be quoted, and a column whose key is not its name.
odd = Table(
    'Ledger "Odd"',
    Base.metadata,
    Column("Id", Integer, primary_key=True, key="id"),
    Column("The Tenant", String(40), key="whose", info={"guard": "tenant"}),
    Column("select", String(40), key="memo"),
)


@dataclass
class Places:
    """both: rows of two tenants. own: those of OWN alone, so what is found there is what OWN may see."""

    both: Engine
    own: Engine


def make_engine(url: str) -> Engine:
    """Return an engine whose database has the schema of `Old`."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        file = str(engine.url.database)

        @event.listens_for(engine, "connect")
        def _(connection: Any, _record: Any) -> None:
            connection.execute(f"ATTACH '{Path(file).with_suffix('.archive')}' AS {ARCHIVE}")

    else:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {ARCHIVE}"))
    Base.metadata.create_all(engine)
    return engine


def fill(engine: Engine, *tenants: str) -> None:
    """Put in the same rows for each tenant; their keys tell whose they are, and so do their texts."""
    with unscoped_block("rows for tests"), engine.begin() as connection:
        connection.execute(insert(Currency), [{"code": "EUR", "name": "Euro"}, {"code": "XXX", "name": "none"}])
        for tenant_id in tenants:
            first = 1 if tenant_id == OWN else 101
            for table, rows in _rows(tenant_id, first):
                connection.execute(insert(table), rows)


def _rows(tenant_id: str, first: int) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    own = {"tenant_id": tenant_id}
    ids = range(first, first + 3)
    yield Account.__table__, [{"id": i, "name": f"{tenant_id} account {i - first}", **own} for i in ids]
    # The first account has two entries, the second one, the third none; one entry has no account.
    accounts = [first, first, first + 1, None]
    entries = [{"id": first + n, "account_id": a, "amount": 10 * n} for n, a in enumerate(accounts)]
    yield Entry.__table__, [{"memo": f"{tenant_id} memo", **own, **entry} for entry in entries]
    yield Label.__table__, [{"id": i, "name": f"{tenant_id} label", **own} for i in ids]
    yield entry_labels, [{"entry_id": first, "label_id": first}, {"entry_id": first + 1, "label_id": first + 1}]
    yield Party.__table__, [{"id": first, "kind": "party", "name": f"{tenant_id} party", **own}]
    yield Party.__table__, [{"id": first + 1, "kind": "company", "name": f"{tenant_id} company", **own}]
    yield Company.__table__, [{"id": first + 1, "number": f"{tenant_id} number"}]
    yield Old.__table__, [{"id": i, "memo": f"{tenant_id} old", **own} for i in ids]
    yield odd, [{"id": first, "whose": tenant_id, "memo": f"{tenant_id} odd"}]


@contextmanager
def as_own() -> Iterator[None]:
    with tenant_scope(OWN):
        yield


@contextmanager
def as_all() -> Iterator[None]:
    with unscoped_block("a look at everything"):
        yield
