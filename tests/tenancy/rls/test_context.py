"""What a transaction tells PostgreSQL when it begins: for whom it is, in one message, and nothing is left behind.

The reading is done with the driver's cursor inside of SQLAlchemy's transaction, so that row security alone answers.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.orm import Session

from flask_guard.errors import DatabaseUnavailable, Refusal, StoreUnavailable, TenancyError
from flask_guard.tenancy.facts import current_claim
from flask_guard.tenancy.rls.context import Roles, assign_roles
from flask_guard.tenancy.scope import tenant_scope, unscoped_block
from flask_guard.values import Claims, Principal

from .world import World

OPEN = {"pool_size": 1, "max_overflow": 0}


def ask(connection: Connection, query: str) -> list[Any]:
    """Return the first column, asked for with the driver's cursor."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]
    finally:
        cursor.close()


def notes(connection: Connection) -> list[int]:
    return ask(connection, "SELECT id FROM rls_notes ORDER BY id")


def setting(connection: Connection, name: str) -> str | None:
    found: str | None = ask(connection, f"SELECT current_setting('{name}', true)")[0]
    return found


def test_tenants_that_take_turns_on_one_connection_see_their_own_rows(world: World) -> None:
    with world.engine(world.application, **OPEN) as engine:
        for tenant, expected in [("a", [1, 2]), ("b", [3]), ("a", [1, 2]), ("nobody", []), ("b", [3])]:
            with tenant_scope(tenant), engine.begin() as connection:
                assert notes(connection) == expected


def test_threads_that_share_one_connection_see_their_own_rows(world: World) -> None:
    seen: list[tuple[str, list[int]]] = []

    def work(engine: Engine, tenant: str) -> None:
        for _ in range(25):
            with tenant_scope(tenant), engine.begin() as connection:
                seen.append((tenant, notes(connection)))

    with world.engine(world.application, **OPEN) as engine:
        threads = [threading.Thread(target=work, args=(engine, tenant)) for tenant in ("a", "b") * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(seen) == 100
    assert all(found == {"a": [1, 2], "b": [3]}[tenant] for tenant, found in seen)


def test_without_a_tenant_no_row_is_seen(world: World) -> None:
    with world.engine(world.application, **OPEN) as engine:
        with engine.begin() as connection:
            assert notes(connection) == []
        with tenant_scope("a"), engine.begin() as connection:
            assert notes(connection) == [1, 2]
        with engine.begin() as connection:
            assert notes(connection) == []


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_nothing_is_left_behind_when_a_transaction_ends(world: World, end: str) -> None:
    with world.engine(world.application, **OPEN) as engine:
        with tenant_scope("a"), engine.connect() as connection:
            connection.begin()
            getattr(connection, end)()
        raw = engine.raw_connection()
        cursor = raw.cursor()
        cursor.execute("SELECT current_setting('guard.tenant', true)")
        assert cursor.fetchone() == ("",)
        raw.close()


def test_what_a_session_was_told_for_good_does_not_count(world: World) -> None:
    with world.engine(world.application, **OPEN) as engine:
        raw = engine.raw_connection()
        for name, value in [("tenant", "b"), ("uid", "eve"), ("roles", '["admin"]'), ("claims", "{}")]:
            raw.cursor().execute(f"SELECT set_config('guard.{name}', '{value}', false)")
        raw.commit()
        raw.close()
        with engine.begin() as connection:
            assert notes(connection) == []
            assert [setting(connection, f"guard.{name}") for name in ("tenant", "uid", "roles", "claims")] == [
                "",
                "",
                '["anon"]',
                "",
            ]
        with tenant_scope("a"), engine.begin() as connection:
            assert notes(connection) == [1, 2]


def test_savepoints_keep_the_tenant(world: World) -> None:
    with world.engine(world.application, **OPEN) as engine, tenant_scope("a"), engine.begin() as connection:
        with connection.begin_nested() as savepoint:
            assert notes(connection) == [1, 2]
            savepoint.rollback()
        assert notes(connection) == [1, 2]
        with connection.begin_nested():
            pass
        assert notes(connection) == [1, 2]


def test_a_session_is_told_of_in_each_of_its_transactions(world: World) -> None:
    with world.engine(world.application, **OPEN) as engine, tenant_scope("a"), Session(engine) as session:
        assert notes(session.connection()) == [1, 2]
        session.commit()
        assert notes(session.connection()) == [1, 2]
        session.rollback()
        assert notes(session.connection()) == [1, 2]


@pytest.mark.parametrize(
    "tenant",
    ["o'brien", "back\\slash", "'; DROP TABLE rls_notes; --", "100%", ":x %(y)s $1", "ß∂\U0001d54f", "a b", '"', "\n"],
)
@pytest.mark.parametrize("is_fast", [True, False], ids=["one message", "any driver"])
def test_the_tenant_arrives_as_it_is(world: World, tenant: str, is_fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_fast:
        monkeypatch.setattr(PGDialect_psycopg, "driver", "another")
    if not tenant.strip():
        tenant = f"x{tenant}x"
    with world.engine(world.application, **OPEN) as engine, tenant_scope(tenant), engine.begin() as connection:
        assert setting(connection, "guard.tenant") == tenant


def test_the_principal_its_roles_and_the_claims_that_rules_ask_for_arrive(world: World) -> None:
    current_claim("rls_department")
    claims = Claims({"rls_department": "finance", "rls_secret": "not asked for"})
    somebody = Principal("u'1", roles=frozenset({"editor", "anon"}), claims=claims)
    scope = tenant_scope("a", principal=somebody)

    with world.engine(world.application, **OPEN) as engine, scope, engine.begin() as connection:
        assert ask(connection, "SELECT guard.uid()") == ["u'1"]
        assert ask(connection, "SELECT guard.roles()::text") == ['["authenticated", "editor"]']
        assert ask(connection, "SELECT guard.has_role('editor')") == [True]
        assert ask(connection, "SELECT guard.has_role('anon')") == [False]
        assert ask(connection, "SELECT guard.claims() ->> 'rls_department'") == ["finance"]
        assert "rls_secret" not in json.loads(setting(connection, "guard.claims") or "")


def test_whoever_has_no_principal_is_anon(world: World) -> None:
    with world.engine(world.application, **OPEN) as engine, tenant_scope("a"), engine.begin() as connection:
        assert ask(connection, "SELECT guard.uid()") == [None]
        assert ask(connection, "SELECT guard.has_role('anon')") == [True]
        assert ask(connection, "SELECT guard.has_role('authenticated')") == [False]


def test_what_nobody_said_is_neither_true_nor_false(world: World) -> None:
    """So that neither a policy nor its opposite holds."""
    with world.connect(world.application) as connection:
        row = connection.execute(
            "SELECT guard.tenant(), guard.uid(), guard.has_role('anon'), guard.claims()"
        ).fetchone()
    assert row == (None, None, None, None)


# -- one message


def messages_of(engine: Engine, work: Callable[[Connection], object]) -> list[str]:
    """Return the kinds of messages that the client sends (PQtrace of libpq)."""
    with engine.connect() as connection, tempfile.TemporaryFile("w+b") as trace:
        server = connection.connection.dbapi_connection.pgconn  # type: ignore[union-attr]
        server.trace(trace.fileno())
        work(connection)
        server.untrace()
        trace.seek(0)
        lines = [line.split("\t") for line in trace.read().decode().splitlines()]
    return [line[3] for line in lines if len(line) > 3 and line[1] == "F"]


def test_a_transaction_with_one_query_takes_three_messages(world: World) -> None:
    with world.engine(world.application) as engine, tenant_scope("a"):

        def work(connection: Connection) -> None:
            with connection.begin():
                assert notes(connection) == [1, 2]

        messages_of(engine, work)
        assert messages_of(engine, work) == ["Query"] * 3


@pytest.mark.parametrize(
    ("options", "query", "expected"),
    [
        ({"isolation_level": "SERIALIZABLE"}, "SHOW transaction_isolation", "serializable"),
        ({"isolation_level": "REPEATABLE READ"}, "SHOW transaction_isolation", "repeatable read"),
        ({"postgresql_readonly": True}, "SHOW transaction_read_only", "on"),
        ({"postgresql_readonly": True, "postgresql_deferrable": True}, "SHOW transaction_deferrable", "on"),
        ({}, "SHOW transaction_isolation", "read committed"),
    ],
)
def test_the_transaction_is_of_the_kind_that_was_asked_for(
    world: World, options: dict[str, Any], query: str, expected: str
) -> None:
    with world.engine(world.application) as engine, tenant_scope("a"), engine.connect() as connection:
        connection.execution_options(**options).begin()
        assert ask(connection, query) == [expected]
        assert notes(connection) == [1, 2]


def test_a_connection_that_is_in_a_transaction_already_is_told_within_it(world: World) -> None:
    with world.engine(world.application, **OPEN) as engine:

        @event.listens_for(engine, "checkout")
        def begin(driver: Any, _record: object, _proxy: object) -> None:
            driver.execute("SELECT 1")

        with tenant_scope("a"), engine.begin() as connection:
            assert notes(connection) == [1, 2]


# -- closed


def test_a_tenant_that_cannot_be_said_ends_in_an_error_and_no_statement(world: World) -> None:
    with world.engine(world.application, **OPEN) as engine:
        ran: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *args: ran.append(args[2]))
        with tenant_scope("a\0b"), pytest.raises(DatabaseUnavailable), engine.connect() as connection:
            connection.execute(text("SELECT 1"))

        assert ran == []
        with tenant_scope("a"), engine.begin() as connection:
            assert notes(connection) == [1, 2]


@pytest.mark.parametrize("is_fast", [True, False], ids=["one message", "any driver"])
def test_a_connection_that_could_not_be_told_runs_nothing_any_more(
    world: World, is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may be in a transaction that it was told half of."""
    if not is_fast:
        monkeypatch.setattr(PGDialect_psycopg, "driver", "another")
    with world.engine(world.application, **OPEN) as engine, tenant_scope("a"):
        assign_roles(engine, Roles(application="rls_no_such_role"))
        connection = engine.connect()
        with pytest.raises(DatabaseUnavailable) as caught:
            connection.begin()
        assert connection.closed
        assert isinstance(caught.value, StoreUnavailable)
        assert isinstance(caught.value, Refusal)
        assert caught.value.status == 503
        assert "rls_no_such_role" not in str(caught.value)

        assign_roles(engine, Roles())
        with engine.begin() as other:
            assert notes(other) == [1, 2]


@pytest.mark.parametrize("is_fast", [True, False], ids=["one message", "any driver"])
def test_a_server_that_went_away_is_told_and_the_next_connection_is_a_new_one(
    world: World, is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_fast:
        monkeypatch.setattr(PGDialect_psycopg, "driver", "another")
    with world.engine(world.application, **OPEN) as engine, tenant_scope("a"):
        with engine.begin() as connection:
            [pid] = ask(connection, "SELECT pg_backend_pid()")
        world.execute(f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(DatabaseUnavailable), engine.begin():
            pass
        with engine.begin() as connection:
            assert notes(connection) == [1, 2]


def test_in_autocommit_no_row_is_seen(world: World) -> None:
    autocommit = world.engine(world.application, isolation_level="AUTOCOMMIT")
    with autocommit as engine, tenant_scope("a"), engine.connect() as connection:
        connection.begin()
        assert notes(connection) == []


# -- roles


@pytest.fixture
def roles(world: World) -> Roles:
    """A login that may take the application's role and the system's."""
    world.execute(f"GRANT {world.system} TO {world.application}")
    return Roles(application=None, system=world.system)


def test_unscoped_blocks_take_the_system_role_and_see_everything(world: World, roles: Roles) -> None:
    with world.engine(world.application, **OPEN) as engine:
        assign_roles(engine, roles)
        with unscoped_block("test"), engine.begin() as connection:
            assert ask(connection, "SELECT current_user::text") == [world.system]
            assert notes(connection) == [1, 2, 3]
        with tenant_scope("a"), engine.begin() as connection:
            assert ask(connection, "SELECT current_user::text") == [world.application]
            assert notes(connection) == [1, 2]


def test_without_a_system_role_an_unscoped_block_fails_rather_than_seeing_nothing(world: World) -> None:
    with world.engine(world.application, **OPEN) as engine:
        with unscoped_block("test"), engine.connect() as connection:
            connection.begin()
            with pytest.raises(Exception, match="row-level security"):
                notes(connection)
        with tenant_scope("a"), engine.begin() as connection:
            assert notes(connection) == [1, 2]


def test_requests_take_the_application_role_and_what_is_for_nobody_keeps_the_login(world: World) -> None:
    world.execute(f"GRANT {world.application} TO {world.owner}")
    with world.engine(world.owner, **OPEN) as engine:
        assign_roles(engine, Roles(application=world.application))
        with tenant_scope("a"), engine.begin() as connection:
            assert ask(connection, "SELECT current_user::text") == [world.application]
        with engine.begin() as connection:
            assert ask(connection, "SELECT current_user::text") == [world.owner]


@pytest.mark.parametrize("kind", ["autocommit", "two-phase"])
def test_where_a_role_cannot_be_taken_nothing_runs(world: World, kind: str) -> None:
    world.execute(f"GRANT {world.application} TO {world.owner}")
    options = {"isolation_level": "AUTOCOMMIT"} if kind == "autocommit" else {}
    with world.engine(world.owner, **options) as engine, tenant_scope("a"):
        assign_roles(engine, Roles(application=world.application))
        with engine.connect() as connection, pytest.raises(TenancyError, match="cannot take the role"):
            _ = connection.begin() if kind == "autocommit" else connection.begin_twophase()


def test_a_view_of_an_engine_has_the_roles_of_its_engine(world: World, roles: Roles) -> None:
    with world.engine(world.application, **OPEN) as engine:
        assign_roles(engine, roles)
        view = engine.execution_options(isolation_level="SERIALIZABLE")
        with unscoped_block("test"), view.begin() as connection:
            assert ask(connection, "SELECT current_user::text") == [world.system]
