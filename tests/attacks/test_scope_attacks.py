"""A scope that outlives its request, ids that are spelt otherwise, and rows of another owner in a shared Session."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

from flask_guard import Guard
from flask_guard.db import OwnedMixin, TenantMixin, unscoped
from flask_guard.errors import ForeignReference, TenantRequired
from flask_guard.tenancy.parameters import bound_owner, bound_tenant
from flask_guard.tenancy.scope import find_identity, find_unscoped, tenant_scope
from flask_guard.testing import GuardClient, guard_client
from flask_guard.values import Principal

SCOPES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "tenant": lambda: tenant_scope("other"),
    "unscoped": lambda: unscoped(reason="nightly export"),
}


def hold(scope: AbstractContextManager[Any]) -> Generator[None]:
    """Stop within a scope, as a generator does of which nobody asks the rest."""
    with scope:
        yield


@pytest.fixture
def kept() -> Iterator[list[Generator[None]]]:
    generators: list[Generator[None]] = []
    yield generators
    for generator in generators:
        generator.close()


@pytest.fixture
def client(kept: list[Generator[None]]) -> GuardClient:
    app = Flask(__name__)
    app.config["TESTING"] = True
    guard = Guard(app)

    @app.get("/who")
    @guard.authenticated()
    def who() -> dict[str, Any]:
        return {"tenant": find_identity().tenant.id, "is_unscoped": find_unscoped() is not None}

    @app.get("/scoped")
    @guard.authenticated()
    def scoped() -> str:
        with tenant_scope("inner"):
            return find_identity().tenant.id

    @app.get("/begin/<name>")
    @guard.authenticated()
    def begin(name: str) -> dict[str, Any]:
        generator = hold(SCOPES[name]())
        next(generator)
        kept.append(generator)
        return {}

    return guard_client(app, "ann", tenant="acme")


OWN = {"tenant": "acme", "is_unscoped": False}


@pytest.mark.parametrize("name", SCOPES)
def test_a_scope_that_a_request_left_open_says_nothing_in_the_next_one(client: GuardClient, name: str) -> None:
    assert client.get(f"/begin/{name}").status_code == 200

    assert client.get("/who").json == OWN


@pytest.mark.parametrize("name", SCOPES)
def test_a_scope_around_a_request_says_nothing_in_it(client: GuardClient, name: str) -> None:
    with SCOPES[name]():
        assert client.get("/who").json == OWN
        assert client.get("/scoped").text == "inner"


@pytest.mark.parametrize("spelling", ["01", " 1", "1 ", "+1", "1_0", "\uff11", "-0", str(2**63)])
def test_a_number_that_is_spelt_otherwise_is_another_tenant(spelling: str) -> None:
    with tenant_scope(spelling, principal=Principal(spelling)), pytest.raises(TenantRequired):
        bound_tenant(sa.Integer())


@pytest.mark.parametrize("form", ["{{{}}}", "urn:uuid:{}"])
def test_a_uuid_that_is_spelt_otherwise_is_another_tenant(form: str) -> None:
    spelling = form.format("7f6f2d3e-0a3b-4c58-9d27-0c5a2e1b9a10")
    with tenant_scope(spelling), pytest.raises(TenantRequired):
        bound_tenant(sa.Uuid())


def test_a_number_that_is_spelt_otherwise_owns_nothing() -> None:
    with tenant_scope("acme", principal=Principal(id="07", method="jwt")):
        assert bound_owner(sa.Integer()) is None


class Base(DeclarativeBase):
    pass


class Folder(TenantMixin, OwnedMixin, Base):
    __tablename__ = "attacked_folders"
    id: Mapped[int] = mapped_column(primary_key=True)


class Paper(TenantMixin, OwnedMixin, Base):
    __tablename__ = "attacked_papers"
    id: Mapped[int] = mapped_column(primary_key=True)
    folder_id: Mapped[int | None] = mapped_column(ForeignKey("attacked_folders.id"))
    folder: Mapped[Folder | None] = relationship()


class CountingSession(Session):
    """Counts how often it is asked for all that is new in it, which it has to collect each time."""

    collected = 0

    @property
    def new(self) -> Any:
        self.collected += 1
        return super().new


@pytest.fixture
def engine() -> Iterator[sa.Engine]:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def act_as(name: str) -> AbstractContextManager[Any]:
    return tenant_scope("acme", principal=Principal(id=name, method="jwt"))


@pytest.mark.parametrize("by", ["key", "object"])
def test_a_row_of_another_owner_in_a_shared_session_is_not_referred_to(engine: sa.Engine, by: str) -> None:
    with Session(engine) as session:
        with act_as("ann"):
            folder = Folder(id=1)
            session.add(folder)
            session.flush()
        with act_as("bob"):
            session.add(Paper(folder_id=1) if by == "key" else Paper(folder=folder))
            with pytest.raises(ForeignReference):
                session.flush()


def test_many_new_rows_are_collected_a_few_times_only(engine: sa.Engine) -> None:
    with act_as("ann"), CountingSession(engine) as session:
        session.add_all([Folder(id=number) for number in range(100)])
        session.add_all([Paper(folder_id=number) for number in range(100)])
        session.flush()

        assert session.collected < 10
        assert session.scalar(sa.select(sa.func.count()).select_from(Paper)) == 100
