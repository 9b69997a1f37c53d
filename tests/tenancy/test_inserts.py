"""What INSERT, UPDATE, DELETE and upserts do to rows: to those of the tenant, and to no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.orm import aliased

from flask_guard.errors import CrossTenantWrite, GuardError, TenancyError, TenantRequired
from flask_guard.tenancy.scope import tenant_scope

from .ledger import (
    FOREIGN,
    OWN,
    Account,
    Company,
    Currency,
    Entry,
    Old,
    Party,
    Places,
    as_own,
    entry_labels,
    odd,
)
from .shapes import accounts, entries, labels

# Statements that pair every row with every other are among what must be filtered.
pytestmark = pytest.mark.filterwarnings("ignore:.* statement has a cartesian product")

own_row = {"id": 50, "tenant_id": OWN, "name": "new"}
foreign_row = {"id": 51, "tenant_id": FOREIGN, "name": "new"}
e = entries.alias()


@pytest.fixture
def connection(places: Places) -> Iterator[Connection]:
    """A guarded connection whose changes are undone."""
    with places.both.connect() as connection:
        yield connection
        connection.rollback()


# -- INSERT

TAKEN: dict[str, Callable[[Connection], Any]] = {
    "a row": lambda c: c.execute(insert(accounts), own_row),
    "values()": lambda c: c.execute(insert(accounts).values(**own_row)),
    "values() in order": lambda c: c.execute(insert(accounts).values((50, OWN, "new"))),
    "several values()": lambda c: c.execute(insert(accounts).values([own_row, {**own_row, "id": 51}])),
    "several rows": lambda c: c.execute(insert(accounts), [own_row, {**own_row, "id": 51}]),
    "several rows that come back": lambda c: c.execute(
        insert(accounts).returning(accounts.c.id), [own_row, {**own_row, "id": 51}]
    ).all(),
    "a parameter of another name": lambda c: c.execute(
        insert(accounts).values(id=50, name="new", tenant_id=bindparam("whose")), {"whose": OWN}
    ),
    "a value in the statement that a parameter replaces": lambda c: c.execute(
        insert(accounts).values(id=50, name="new", tenant_id=FOREIGN), {"tenant_id": OWN}
    ),
    "a column with another key": lambda c: c.execute(insert(odd), {"id": 50, "whose": OWN, "memo": ""}),
    "a model": lambda c: c.execute(insert(Account), own_row),
    "rows of the tenant, copied": lambda c: c.execute(
        insert(accounts).from_select(
            ["id", "tenant_id", "name"], select(entries.c.id + 60, entries.c.tenant_id, entries.c.memo)
        )
    ),
    "rows of a model, copied": lambda c: c.execute(
        insert(Account).from_select(["id", "tenant_id", "name"], select(Entry.id + 60, Entry.tenant_id, Entry.memo))
    ),
}
REFUSED: dict[str, tuple[Callable[[Connection], Any], type[GuardError]]] = {
    "a foreign row": (lambda c: c.execute(insert(accounts), foreign_row), CrossTenantWrite),
    "foreign values()": (lambda c: c.execute(insert(accounts).values(**foreign_row)), CrossTenantWrite),
    "a foreign row among several": (lambda c: c.execute(insert(accounts), [own_row, foreign_row]), CrossTenantWrite),
    "a foreign row among values()": (
        lambda c: c.execute(insert(accounts).values([own_row, foreign_row])),
        CrossTenantWrite,
    ),
    "a foreign row among several that come back": (
        lambda c: c.execute(insert(accounts).returning(accounts.c.id), [own_row, foreign_row]).all(),
        CrossTenantWrite,
    ),
    "a foreign parameter of another name": (
        lambda c: c.execute(
            insert(accounts).values(id=50, name="new", tenant_id=bindparam("whose")), {"whose": FOREIGN}
        ),
        CrossTenantWrite,
    ),
    "no value": (lambda c: c.execute(insert(accounts), {"id": 50, "name": "new"}), TenancyError),
    "NULL": (lambda c: c.execute(insert(accounts), {**own_row, "tenant_id": None}), CrossTenantWrite),
    "an expression": (
        lambda c: c.execute(insert(accounts).values(**{**own_row, "tenant_id": func.lower("X")})),
        TenancyError,
    ),
    "a literal column": (
        lambda c: c.execute(insert(accounts).values(**{**own_row, "tenant_id": literal_column("'globex'")})),
        TenancyError,
    ),
    "a subquery": (
        lambda c: c.execute(
            insert(accounts).values(**{**own_row, "tenant_id": select(accounts.c.tenant_id).limit(1).scalar_subquery()})
        ),
        TenancyError,
    ),
    "an expression among values()": (
        lambda c: c.execute(insert(accounts).values([own_row, {**own_row, "id": 51, "tenant_id": func.lower("X")}])),
        TenancyError,
    ),
    "rows for another tenant, copied": (
        lambda c: c.execute(
            insert(accounts).from_select(
                ["id", "tenant_id", "name"], select(entries.c.id + 60, literal(FOREIGN), entries.c.memo)
            )
        ),
        TenancyError,
    ),
    "rows for a tenant of a subquery, copied": (
        lambda c: c.execute(
            insert(accounts).from_select(["id", "tenant_id", "name"], select(select(accounts).subquery()))
        ),
        TenancyError,
    ),
    "rows for another tenant in a UNION, copied": (
        lambda c: c.execute(
            insert(accounts).from_select(
                ["id", "tenant_id"],
                select(entries.c.id, entries.c.tenant_id).union_all(select(entries.c.id, literal(FOREIGN))),
            )
        ),
        TenancyError,
    ),
    "text before the tenant, copied": (
        lambda c: c.execute(
            insert(accounts).from_select(
                ["tenant_id", "name", "id"], select(text(f"'{FOREIGN}'"), entries.c.tenant_id, entries.c.id + 60)
            )
        ),
        TenancyError,
    ),
    "two columns in one piece of text, copied": (
        lambda c: c.execute(
            insert(accounts).from_select(
                ["id", "tenant_id", "name"], select(literal_column(f"60, '{FOREIGN}'"), entries.c.tenant_id)
            )
        ),
        TenancyError,
    ),
    "a row in the place of another": (
        lambda c: c.execute(insert(accounts).prefix_with("OR REPLACE"), {**own_row, "id": 101}),
        TenancyError,
    ),
    "an INSERT inside of another statement": (
        lambda c: c.execute(select(insert(accounts).values(**own_row).returning(accounts.c.id).cte())),
        TenancyError,
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_rows_of_the_tenant_are_inserted(connection: Connection, name: str) -> None:
    with as_own():
        TAKEN[name](connection)
        new = [connection.execute(select(func.count()).where(t.c.id >= 50)).scalar_one() for t in (accounts, odd)]

    assert sum(new) > 0


@pytest.mark.parametrize("name", REFUSED)
def test_a_row_that_is_not_plainly_the_tenants_is_refused(connection: Connection, name: str) -> None:
    write, error = REFUSED[name]
    before = count_everything(connection)

    with as_own(), pytest.raises(error) as caught:
        write(connection)

    assert FOREIGN not in str(caught.value)
    assert count_everything(connection) == before


def count_everything(connection: Connection) -> list[Any]:
    """Return how many rows each tenant has, as a privileged connection of the same transaction would see it."""
    engine = connection.engine
    guarded, connection.dialect = connection.dialect, engine.dialect
    try:
        return list(connection.execute(select(accounts.c.tenant_id, func.count()).group_by(accounts.c.tenant_id)).all())
    finally:
        connection.dialect = guarded


def test_nobody_inserts_nothing(connection: Connection) -> None:
    with pytest.raises(TenantRequired):
        connection.execute(insert(accounts), own_row)


def test_rows_of_everybody_are_inserted_by_anybody(connection: Connection) -> None:
    connection.execute(insert(Currency), {"code": "ABC", "name": ""})

    assert "ABC" in connection.execute(select(Currency.code)).scalars().all()


# -- UPDATE and DELETE

WRITES: dict[str, tuple[Any, int]] = {
    "an update of all": (update(entries).values(amount=7), 4),
    "an update by a foreign key": (update(entries).where(entries.c.id == 101).values(amount=7), 0),
    "an update of both": (update(entries).where(entries.c.id.in_([1, 101])).values(amount=7), 1),
    "an update with an OR in text": (update(entries).where(text("id = 101 OR 1 = 1")).values(amount=7), 4),
    "an update of a model": (update(Entry).values(amount=7), 4),
    "an update of an alias": (update(aliased(Entry)).values(amount=7), 4),
    "an update in a schema": (update(Old).values(memo="x"), 3),
    "an update of a table that must be quoted": (update(odd).values(memo="x"), 1),
    "an update of a child": (update(Company).values(number="x").execution_options(synchronize_session=False), 1),
    "an update of an association": (update(entry_labels).values(label_id=3).where(entry_labels.c.entry_id == 101), 0),
    "an update from another table": (
        update(entries).where(entries.c.account_id == accounts.c.id).values(memo=accounts.c.name),
        3,
    ),
    "an update of everybody's rows from a tenant's": (
        update(Currency.__table__).where(accounts.c.id == 101).values(name=accounts.c.name),
        0,
    ),
    "an update from a left join": (
        update(Currency.__table__)
        .where(Currency.code == "EUR", accounts.c.id == 3)
        .values(name=func.coalesce(select(e.c.memo).where(e.c.account_id == accounts.c.id).scalar_subquery(), "none")),
        1,
    ),
    "an update where something exists": (
        update(Currency.__table__).where(exists().where(entries.c.id == 101)).values(name="x"),
        0,
    ),
    "an update to a subquery": (
        update(entries).values(amount=select(func.count()).select_from(accounts).scalar_subquery()),
        4,
    ),
    "a delete of all": (delete(entry_labels), 2),
    "a delete by a foreign key": (delete(entry_labels).where(entry_labels.c.entry_id == 101), 0),
    "a delete with an OR in text": (delete(entry_labels).where(text("1 = 0 OR 1 = 1")), 2),
    "a delete of a model": (delete(Old), 3),
    "a delete of everybody's rows for a tenant's": (
        delete(Currency.__table__).where(exists().where(accounts.c.id == 101)),
        0,
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_touches_as_many_rows_as_the_tenant_has(connection: Connection, name: str) -> None:
    statement, touched = WRITES[name]

    with as_own():
        assert connection.execute(statement).rowcount == touched


@pytest.mark.parametrize("name", WRITES)
def test_a_write_leaves_the_rows_of_others(connection: Connection, name: str) -> None:
    with tenant_scope(FOREIGN):
        before = list_rows(connection)
    with as_own():
        connection.execute(WRITES[name][0])

    with tenant_scope(FOREIGN):
        assert list_rows(connection) == before


def list_rows(connection: Connection) -> list[Any]:
    tables = (accounts, entries, labels, entry_labels, Party.__table__, Company.__table__, Old.__table__, odd)
    return [sorted(map(tuple, connection.execute(select(table))), key=repr) for table in tables]


def test_rows_that_are_changed_come_back_as_those_of_the_tenant(connection: Connection) -> None:
    with as_own():
        changed = connection.execute(update(entries).values(amount=1).returning(entries.c.memo)).scalars().all()
        gone = connection.execute(delete(entry_labels).returning(entry_labels.c.entry_id)).scalars().all()

    assert set(changed) == {f"{OWN} memo"}
    assert sorted(gone) == [1, 2]


def test_many_updates_at_once_touch_the_rows_of_the_tenant(connection: Connection) -> None:
    statement = update(entries).where(entries.c.id == bindparam("i")).values(amount=bindparam("n"))

    with as_own():
        connection.execute(statement, [{"i": 1, "n": 77}, {"i": 101, "n": 77}])
    with tenant_scope(FOREIGN):
        assert connection.execute(select(entries.c.amount).where(entries.c.id == 101)).scalar_one() != 77


def test_delete_using_reads_the_rows_of_the_tenant(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        pytest.skip("SQLite has no such form")

    with as_own():
        statement = delete(Currency.__table__).where(accounts.c.id == 101)
        assert connection.execute(statement).rowcount == 0
        assert connection.execute(statement.where(accounts.c.name != "")).rowcount == 0


def test_writes_inside_of_a_select_touch_the_rows_of_the_tenant(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        pytest.skip("SQLite has no such form")
    gone = delete(entry_labels).returning(entry_labels.c.entry_id).cte()
    changed = update(entries).values(amount=5).returning(entries.c.id).cte()

    with as_own():
        assert sorted(connection.execute(select(gone)).scalars()) == [1, 2]
        assert sorted(connection.execute(select(changed)).scalars()) == [1, 2, 3, 4]


MOVES: dict[str, Any] = {
    "by a value": update(entries).values(tenant_id=FOREIGN),
    "by the same value": update(entries).values(tenant_id=OWN),
    "by an expression": update(entries).values(tenant_id=func.lower(FOREIGN)),
    "by a column": update(entries).values({entries.c.tenant_id: accounts.c.name}),
    "in order": update(entries).ordered_values((entries.c.tenant_id, FOREIGN)),
    "by a model": update(Entry).values({Entry.tenant_id: FOREIGN}),
    "in order, inside of a SELECT": select(
        update(entries).ordered_values((entries.c.tenant_id, FOREIGN)).returning(entries.c.id).cte()
    ),
    "inside of a SELECT": select(update(entries).values(tenant_id=FOREIGN).returning(entries.c.id).cte()),
}


@pytest.mark.parametrize("name", MOVES)
def test_no_row_is_moved(connection: Connection, name: str) -> None:
    with as_own(), pytest.raises(CrossTenantWrite):
        connection.execute(MOVES[name])


def test_no_row_is_moved_by_parameters(connection: Connection) -> None:
    statement = update(entries).where(entries.c.id == bindparam("i"))

    with as_own(), pytest.raises(CrossTenantWrite):
        connection.execute(statement, [{"i": 1, "tenant_id": FOREIGN}, {"i": 2, "tenant_id": FOREIGN}])
