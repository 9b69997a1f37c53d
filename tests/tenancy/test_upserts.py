"""Upserts, and rows that belong to the tenant of those they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from flask_guard.errors import CrossTenantWrite, ForeignReference, GuardError, TenancyError
from flask_guard.tenancy.scope import tenant_scope

from .ledger import FOREIGN, OWN, Company, Places, as_own, entry_labels
from .shapes import accounts, entries, labels

# Statements that pair every row with every other are among what must be filtered.
pytestmark = pytest.mark.filterwarnings("ignore:.* statement has a cartesian product")


@pytest.fixture
def connection(places: Places) -> Iterator[Connection]:
    """A guarded connection whose changes are undone."""
    with places.both.connect() as connection:
        yield connection
        connection.rollback()


def upsert(connection: Connection, table: Any) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def test_an_upsert_changes_rows_of_the_tenant_only(connection: Connection) -> None:
    statement = upsert(connection, accounts)
    statement = statement.on_conflict_do_update(index_elements=["id"], set_={"name": statement.excluded.name})

    with as_own():
        for key in (1, 101):
            connection.execute(statement, {"id": key, "tenant_id": OWN, "name": "taken"})
        many = [{"id": key, "tenant_id": OWN, "name": "taken"} for key in (2, 102)]
        connection.execute(statement.returning(accounts.c.id), many).all()
        own = connection.execute(select(accounts.c.id).where(accounts.c.name == "taken")).scalars().all()
    with tenant_scope(FOREIGN):
        foreign = connection.execute(select(func.count()).where(accounts.c.name == "taken")).scalar_one()

    assert sorted(own) == [1, 2]
    assert foreign == 0


def test_an_upsert_with_a_condition_of_its_own_keeps_both(connection: Connection) -> None:
    statement = upsert(connection, accounts).values(id=101, tenant_id=OWN, name="taken")
    statement = statement.on_conflict_do_update(index_elements=["id"], set_={"name": "x"}, where=text("1 = 1 OR 1 = 1"))

    with as_own():
        assert connection.execute(statement.returning(accounts.c.id)).all() == []


def test_an_upsert_may_set_everything_that_was_inserted(connection: Connection) -> None:
    statement = upsert(connection, accounts)
    every = {each.key: each for each in statement.excluded}

    with as_own():
        written = statement.on_conflict_do_update(index_elements=["id"], set_=every)
        connection.execute(written, {"id": 1, "tenant_id": OWN, "name": "taken"})

        assert connection.execute(select(accounts.c.name).where(accounts.c.id == 1)).scalar_one() == "taken"


@pytest.mark.parametrize("value", [FOREIGN, func.lower(FOREIGN), accounts.c.name], ids=["value", "SQL", "column"])
def test_an_upsert_moves_no_row(connection: Connection, value: Any) -> None:
    statement = upsert(connection, accounts).values(id=50, tenant_id=OWN, name="new")

    with as_own(), pytest.raises(CrossTenantWrite):
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"tenant_id": value}))


# -- rows that belong where they refer to


def test_a_row_is_inserted_below_one_of_the_tenant(connection: Connection) -> None:
    with as_own():
        connection.execute(insert(entry_labels), [{"entry_id": 3, "label_id": 1}, {"entry_id": 3, "label_id": 2}])
        connection.execute(insert(entry_labels).values(entry_id=4, label_id=1))
        connection.execute(
            insert(entry_labels).from_select(
                ["entry_id", "label_id"], select(entries.c.id, labels.c.id).where(entries.c.id == 4, labels.c.id == 2)
            )
        )

        assert connection.execute(select(func.count()).select_from(entry_labels)).scalar_one() == 6


REFERENCES: dict[str, tuple[Any, Any, type[GuardError]]] = {
    "to a foreign parent": (insert(entry_labels), {"entry_id": 101, "label_id": 1}, ForeignReference),
    "to another foreign row": (insert(entry_labels), {"entry_id": 3, "label_id": 101}, ForeignReference),
    "to one that is nowhere": (insert(entry_labels), {"entry_id": 3, "label_id": 999}, ForeignReference),
    "among several": (
        insert(entry_labels),
        [{"entry_id": 3, "label_id": 1}, {"entry_id": 101, "label_id": 1}],
        ForeignReference,
    ),
    "by update": (update(entry_labels).values(entry_id=101), {}, ForeignReference),
    "by an update of the other": (update(entry_labels).values(label_id=101), {}, ForeignReference),
    "by an expression": (update(entry_labels).values(entry_id=entry_labels.c.entry_id + 100), {}, TenancyError),
    "by a copy": (
        insert(entry_labels).from_select(["entry_id", "label_id"], select(entries.c.id + 100, labels.c.id)),
        {},
        TenancyError,
    ),
    "by an insert of a child": (insert(Company.__table__), {"id": 101, "number": ""}, ForeignReference),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_no_row_refers_to_one_of_another_tenant(connection: Connection, name: str) -> None:
    statement, parameters, error = REFERENCES[name]

    with as_own(), pytest.raises(error) as caught:
        connection.execute(statement, parameters)

    assert "101" not in str(caught.value)


def test_a_joined_child_is_inserted_with_its_base(places: Places) -> None:
    with as_own(), Session(places.both) as session:
        session.add(Company(id=60, tenant_id=OWN, name="new", number="1"))
        session.flush()

        assert session.scalars(select(Company.number).where(Company.name == "new")).all() == ["1"]
