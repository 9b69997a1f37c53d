"""What the policies hold by themselves: the driver alone speaks to the server here, past our compiler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors

from .world import TABLES, World, apply

NOTES = "SELECT id FROM rls_notes ORDER BY id"
LINES = "SELECT id FROM rls_lines ORDER BY id"


@contextmanager
def acting(world: World, tenant: str | None, *, role: str | None = None) -> Iterator[psycopg.Connection[Any]]:
    """Connect as the application and begin a transaction for a tenant."""
    with world.connect(role or world.application) as connection, connection.transaction():
        if tenant is not None:
            connection.execute("SELECT set_config('guard.tenant', %s, true)", [tenant])
        yield connection


def ids(connection: psycopg.Connection[Any], query: str = NOTES) -> list[int]:
    return [row[0] for row in connection.execute(query)]


@pytest.mark.parametrize(("tenant", "notes", "lines"), [("a", [1, 2], [11]), ("b", [3], [13]), ("c", [], [])])
def test_a_tenant_sees_its_own_rows_and_those_that_belong_to_them(
    world: World, tenant: str, notes: list[int], lines: list[int]
) -> None:
    with acting(world, tenant) as connection:
        assert ids(connection) == notes
        assert ids(connection, LINES) == lines
        assert ids(connection, "SELECT id FROM rls_colors") == [7]


def test_a_transaction_that_says_nothing_sees_nothing(world: World) -> None:
    with acting(world, None) as connection:
        assert ids(connection) == []


def test_after_a_transaction_with_a_tenant_the_setting_is_empty_and_shows_nothing(world: World) -> None:
    """PostgreSQL then has the empty string, where it had NULL: a bare cast would fail, and text would match."""
    with world.connect(world.application) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('guard.tenant', 'a', true)")
        assert connection.execute("SELECT current_setting('guard.tenant', true)").fetchone() == ("",)
        assert ids(connection) == []


def test_without_a_transaction_the_setting_has_no_effect(world: World) -> None:
    with world.connect(world.application) as connection:
        connection.execute("SELECT set_config('guard.tenant', 'a', true)")
        assert ids(connection) == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO rls_notes VALUES (9, 'b', 'mine')",
        "INSERT INTO rls_notes VALUES (9, '', 'mine')",
        "UPDATE rls_notes SET tenant_id = 'b' WHERE id = 1",
        "INSERT INTO rls_lines VALUES (9, 3)",
        "UPDATE rls_lines SET note_id = 3",
        "INSERT INTO rls_notes VALUES (3, 'a', 'x') ON CONFLICT (id) DO UPDATE SET body = 'stolen'",
        "TRUNCATE rls_notes CASCADE",
    ],
)
def test_a_row_of_another_tenant_cannot_be_written(world: World, statement: str) -> None:
    with (
        pytest.raises((errors.InsufficientPrivilege, errors.UniqueViolation)),
        acting(world, "a") as connection,
    ):
        connection.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE rls_notes SET body = 'x'", "DELETE FROM rls_notes WHERE id = 3"])
def test_a_row_of_another_tenant_is_not_there_to_be_changed(world: World, statement: str) -> None:
    world.execute("DELETE FROM rls_lines")
    with acting(world, "a") as connection:
        connection.execute(statement)

    with world.connect() as connection:
        assert connection.execute("SELECT body FROM rls_notes WHERE id = 3").fetchone() == ("b-1",)


def test_the_owner_of_a_table_is_under_its_policies_too(world: World) -> None:
    with acting(world, "a", role=world.owner) as connection:
        assert ids(connection) == [1, 2]
    with acting(world, None, role=world.owner) as connection:
        assert ids(connection) == []


def test_a_permissive_policy_that_is_added_later_opens_no_tenant(world: World) -> None:
    world.execute("CREATE POLICY everything ON rls_notes USING (true)")

    with acting(world, "a") as connection:
        assert ids(connection) == [1, 2]


def test_a_partition_and_a_view_hold_what_their_table_holds(world: World) -> None:
    with world.connect(world.owner) as owner:
        owner.execute("CREATE VIEW rls_view AS SELECT * FROM rls_notes")
        owner.execute("CREATE TABLE rls_child () INHERITS (rls_notes)")
    world.execute("INSERT INTO rls_child VALUES (4, 'b', 'b-2')")
    world.execute(f"GRANT SELECT ON rls_view, rls_child TO {world.application}")
    with acting(world, "a") as connection:
        assert ids(connection, "SELECT id FROM rls_child") == [4]

    with world.engine(world.owner) as engine, engine.connect() as connection:
        apply(connection, TABLES)

    with acting(world, "a") as connection:
        assert ids(connection, "SELECT id FROM rls_child") == []
        assert ids(connection, "SELECT id FROM rls_view ORDER BY id") == [1, 2]
    with acting(world, "b") as connection:
        assert ids(connection, "SELECT id FROM rls_child") == [4]


def test_a_view_reads_with_the_rights_of_its_reader_once_applied(world: World) -> None:
    world.execute("CREATE VIEW rls_view AS SELECT * FROM rls_notes")  # the superuser's, who sees everything
    world.execute(f"GRANT SELECT ON rls_view TO {world.application}")
    with acting(world, "a") as connection:
        assert ids(connection, "SELECT id FROM rls_view ORDER BY id") == [1, 2, 3]

    with world.engine() as engine, engine.connect() as superuser:
        apply(superuser, TABLES)

    with acting(world, "a") as connection:
        assert ids(connection, "SELECT id FROM rls_view ORDER BY id") == [1, 2]


def test_a_setting_is_undone_with_its_savepoint_and_kept_when_that_is_released(world: World) -> None:
    with acting(world, "a") as connection:
        connection.execute("SAVEPOINT one; SELECT set_config('guard.tenant', 'b', true)")
        assert ids(connection) == [3]
        connection.execute("ROLLBACK TO one")
        assert ids(connection) == [1, 2]


def test_the_policies_let_the_index_be_used(world: World) -> None:
    world.execute("INSERT INTO rls_notes SELECT i, 't' || i % 500, '' FROM generate_series(100, 20000) i; ANALYZE")

    with acting(world, "t7") as connection:
        plan = "\n".join(row[0] for row in connection.execute("EXPLAIN SELECT * FROM rls_notes"))
    assert "guard_rls_notes_tenant_id" in plan
    assert "InitPlan" in plan
