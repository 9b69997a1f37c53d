"""Behind PgBouncer in transaction mode: all clients share one connection of the server, and no tenant meets another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, create_engine, select

from flask_guard.tenancy.rls.context import Roles, assign_roles
from flask_guard.tenancy.scope import tenant_scope, unscoped_block
from tests.tenancy.rls.world import Note, World, fill, make_world, remove_roles

from .pgbouncer import pooling
from .processes import require_program

pytestmark = pytest.mark.system

EXPECTED = {"a": [1, 2], "b": [3]}


@pytest.fixture
def world(postgres_db: str) -> Iterator[World]:
    world = make_world(postgres_db)
    fill(world)
    yield world
    remove_roles(world)


@pytest.fixture
def pooled(world: World) -> Iterator[URL]:
    """The application's URL, by way of PgBouncer."""
    program = require_program("pgbouncer", package="pgbouncer")
    with pooling(program, world.url_of(world.application)) as url:
        yield url


def connect(url: URL) -> Engine:
    # PgBouncer before 1.21 does not know which server connection has which prepared statement.
    return create_engine(url, connect_args={"prepare_threshold": None})


def ask(connection: Connection, query: str) -> list[Any]:
    """Return the first column, by row security alone."""
    cursor = connection.connection.cursor()
    cursor.execute(query)
    return [row[0] for row in cursor.fetchall()]


def notes(connection: Connection) -> list[int]:
    return ask(connection, "SELECT id FROM rls_notes ORDER BY id")


def test_clients_share_a_connection_of_the_server_and_not_what_it_was_told(pooled: URL) -> None:
    one, other = connect(pooled), connect(pooled)
    pids = set()
    for _ in range(10):
        for engine, tenant in ((one, "a"), (other, "b")):
            with tenant_scope(tenant), engine.begin() as connection:
                assert notes(connection) == EXPECTED[tenant]
                pids.update(ask(connection, "SELECT pg_backend_pid()"))
        with other.begin() as connection:
            assert notes(connection) == []

    assert len(pids) == 1  # else nothing was shared, and nothing proved
    one.dispose()
    other.dispose()


def test_threads_see_the_rows_of_their_tenant(pooled: URL) -> None:
    engine, wrong, count = connect(pooled), [], [0]

    def work(tenant: str) -> None:
        for _ in range(50):
            with tenant_scope(tenant), engine.begin() as connection:
                by_both = list(connection.scalars(select(Note.id).order_by(Note.id)))
                if (notes(connection), by_both) != (EXPECTED[tenant], EXPECTED[tenant]):
                    wrong.append(tenant)
                count[0] += 1

    threads = [threading.Thread(target=work, args=(tenant,)) for tenant in "abab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()

    assert wrong == []
    assert count == [200]


def test_a_role_that_was_taken_goes_with_its_transaction(pooled: URL, world: World) -> None:
    world.execute(f"GRANT {world.system} TO {world.application}")
    one, other = connect(pooled), connect(pooled)
    assign_roles(one, Roles(system=world.system))
    with unscoped_block("test"), one.begin() as connection:
        assert notes(connection) == [1, 2, 3]

    with tenant_scope("b"), other.begin() as connection:
        assert ask(connection, "SELECT current_user::text") == [world.application]
        assert notes(connection) == [3]
    one.dispose()
    other.dispose()


def test_a_transaction_that_was_rolled_back_leaves_nothing(pooled: URL) -> None:
    one, other = connect(pooled), connect(pooled)
    with tenant_scope("a"), one.connect() as connection:
        connection.begin()
        assert notes(connection) == [1, 2]
        connection.rollback()

    with other.begin() as connection:
        assert notes(connection) == []
    one.dispose()
    other.dispose()
