"""The tenant and the principal as values of statements: whatever type a column has, and never instead of nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    create_engine,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeDecorator

from flask_guard import Principal
from flask_guard.errors import CrossTenantWrite, TenantRequired, Unauthorized
from flask_guard.tenancy import engines
from flask_guard.tenancy.scope import tenant_scope

TENANT, OWNER = {"guard": "tenant"}, {"guard": "owner"}
ANN, BOB = Principal(id="ann", kind="user"), Principal(id="bob", kind="user")
ROOT = Principal(id="root", kind="user", roles=frozenset({"admin"}))


def make(*columns: Column[Any], name: str) -> Table:
    return Table(name, MetaData(), Column("id", Integer, primary_key=True), *columns)


def whose(type_: Any = String) -> Column[Any]:
    return Column("tenant_id", type_, info=TENANT)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    engines.install()
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("type_", "own", "value"),
    [
        (String(40), "acme", "acme"),
        (Integer(), "7", 7),
        (Uuid(), "7f6f2d3e-0a3b-4c58-9d27-0c5a2e1b9a10", UUID("7f6f2d3e-0a3b-4c58-9d27-0c5a2e1b9a10")),
    ],
    ids=["text", "number", "UUID"],
)
def test_a_tenant_is_what_its_column_holds(engine: Engine, type_: Any, own: str, value: Any) -> None:
    table = make(whose(type_), name="ruled_typed")
    table.create(engine)

    with tenant_scope(own), engine.connect() as connection:
        connection.execute(insert(table), {"id": 1, "tenant_id": value})

        assert connection.execute(select(table.c.tenant_id)).scalars().all() == [value]


def test_a_tenant_that_the_column_cannot_hold_is_no_tenant(engine: Engine) -> None:
    table = make(whose(Integer), name="ruled_numbers")
    table.create(engine)

    with tenant_scope("acme"), engine.connect() as connection, pytest.raises(TenantRequired):
        connection.execute(select(table))


def test_a_type_of_the_application_gets_the_id_as_it_is(engine: Engine) -> None:
    class Upper(TypeDecorator[str]):
        impl = String
        cache_ok = True

        def process_bind_param(self, value: Any, _dialect: Any) -> Any:
            return value.upper()

    table = make(whose(Upper), name="ruled_upper")
    table.create(engine)

    with tenant_scope("acme"), engine.connect() as connection:
        connection.execute(insert(table), {"id": 1, "tenant_id": "acme"})

        assert connection.execute(select(table.c.tenant_id)).scalars().all() == ["ACME"]


# -- owners


@pytest.fixture
def owned(engine: Engine) -> Table:
    table = make(whose(), Column("owner_id", String, info=OWNER), Column("memo", String), name="ruled_owned")
    table.create(engine)
    for number, owner in enumerate((ANN, BOB), start=1):
        with tenant_scope("acme", principal=owner), engine.begin() as connection:
            row = {"id": number, "tenant_id": "acme", "owner_id": owner.id, "memo": owner.id}
            connection.execute(insert(table), row)
    return table


def test_rows_are_there_for_their_owner(engine: Engine, owned: Table) -> None:
    with tenant_scope("acme", principal=ANN), engine.connect() as connection:
        assert connection.execute(select(owned.c.memo)).scalars().all() == ["ann"]
        assert connection.execute(update(owned).values(memo="x")).rowcount == 1


def test_a_role_sees_the_rows_of_every_owner_of_its_tenant(engine: Engine, owned: Table) -> None:
    statement = select(owned.c.memo).order_by(owned.c.id)

    with tenant_scope("acme", principal=ROOT), engine.connect() as connection:
        assert connection.execute(statement).scalars().all() == ["ann", "bob"]
    with tenant_scope("globex", principal=ROOT), engine.connect() as connection:
        assert connection.execute(statement).scalars().all() == []


def test_the_roles_are_those_of_the_table(engine: Engine, owned: Table) -> None:
    owned.info["guard_bypass_roles"] = frozenset({"auditor"})
    auditor = Principal(id="eve", kind="user", roles=frozenset({"auditor"}))

    for principal, count in ((ROOT, 0), (auditor, 2)):
        with tenant_scope("acme", principal=principal), engine.connect() as connection:
            assert connection.execute(select(func.count()).select_from(owned)).scalar_one() == count


def test_without_a_principal_owned_rows_are_refused(engine: Engine, owned: Table) -> None:
    with tenant_scope("acme"), engine.connect() as connection, pytest.raises(Unauthorized):
        connection.execute(select(owned))


@pytest.mark.parametrize("principal", [ANN, ROOT], ids=["another", "whoever sees all"])
def test_a_row_is_written_for_its_writer_or_by_whoever_sees_all(
    engine: Engine, owned: Table, principal: Principal
) -> None:
    row = {"id": 9, "tenant_id": "acme", "owner_id": "bob"}

    with tenant_scope("acme", principal=principal), engine.connect() as connection:
        if principal is ROOT:
            connection.execute(insert(owned), row)
            connection.execute(update(owned).values(owner_id="ann"))
            return
        with pytest.raises(CrossTenantWrite):
            connection.execute(insert(owned), row)
        with pytest.raises(CrossTenantWrite):
            connection.execute(update(owned).values(owner_id="bob"))
