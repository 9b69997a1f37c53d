"""What the check finds: nothing where all is right, and each thing that is wrong under its own id."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from flask_guard.errors import ConfigError
from flask_guard.tenancy.rls import check as module
from flask_guard.tenancy.rls.apply import apply
from flask_guard.tenancy.rls.check import check
from flask_guard.tenancy.rls.context import Roles

from .world import TABLES, World


def find(world: World, role: str | None = None, *, roles: Roles | None = None) -> list[tuple[str, str]]:
    """Return (id, message) of what is found as the application, but for what is told of tables of others."""
    with world.engine(role or world.application) as engine, engine.connect() as connection:
        found = check(connection, TABLES, roles=roles)
    return [(finding.id, finding.message) for finding in found if finding.id != "FG-RLS-011"]


def test_what_was_applied_is_right(world: World) -> None:
    assert find(world) == []
    with world.engine(world.application) as engine, engine.connect() as connection:
        assert [finding.message for finding in check(connection, TABLES)] == [
            "The table public.rls_colors has no row security."
        ]


AS_OWNER = {
    "no row security": ("ALTER TABLE rls_notes DISABLE ROW LEVEL SECURITY", "FG-RLS-001", "has no row security"),
    "no force": ("ALTER TABLE rls_notes NO FORCE ROW LEVEL SECURITY", "FG-RLS-001", "FORCE is missing"),
    "no table": ("DROP TABLE rls_lines", "FG-RLS-001", "is not in the database"),
    "view": ("CREATE VIEW rls_view AS SELECT * FROM rls_notes", "FG-RLS-003", "The view public.rls_view"),
    "view of a view": (
        "CREATE VIEW rls_view WITH (security_invoker = on) AS SELECT * FROM rls_notes;"
        "CREATE VIEW rls_upper AS SELECT * FROM rls_view",
        "FG-RLS-003",
        "The view public.rls_upper",
    ),
    "materialized view": (
        "CREATE MATERIALIZED VIEW rls_stored AS SELECT id FROM rls_notes",
        "FG-RLS-003",
        "keeps rows of public.rls_notes",
    ),
    "child": ("CREATE TABLE rls_child () INHERITS (rls_notes)", "FG-RLS-004", "rls_child can be asked directly"),
    "truncate": ("GRANT TRUNCATE ON rls_notes TO PUBLIC", "FG-RLS-005", "Everybody may TRUNCATE"),
    "policy dropped": (
        "DROP POLICY guard_tenant ON rls_notes",
        "FG-RLS-007",
        "guard_tenant of public.rls_notes is missing",
    ),
    "policy altered": (
        "ALTER POLICY guard_tenant ON rls_notes USING (true)",
        "FG-RLS-007",
        "was changed in the database",
    ),
    "policy for one role": (
        "ALTER POLICY guard_open ON rls_lines TO {app}",
        "FG-RLS-007",
        "was changed in the database",
    ),
    "policy made anew": (
        "DROP POLICY guard_tenant ON rls_notes; CREATE POLICY guard_tenant ON rls_notes AS RESTRICTIVE"
        " USING (tenant_id = (SELECT guard.tenant()))",
        "FG-RLS-007",
        "was changed in the database",
    ),
    "policy of older models": (
        "COMMENT ON POLICY guard_open ON rls_notes IS 'flask_guard 0000000000000000 x'",
        "FG-RLS-007",
        "is another one in the models",
    ),
    "policy of no model": (
        "CREATE POLICY gone ON rls_notes USING (true); SELECT guard.seal('rls_notes', 'gone', '0')",
        "FG-RLS-007",
        "is in no model any more",
    ),
    "policy of others": (
        "CREATE POLICY mine ON rls_notes USING (true)",
        "FG-RLS-008",
        "the permissive policy mine",
    ),
    "function changed": (
        "CREATE OR REPLACE FUNCTION guard.tenant() RETURNS text LANGUAGE sql AS 'SELECT ''a''::text'",
        "FG-RLS-009",
        "guard.tenant()",
    ),
    "function dropped": ("DROP FUNCTION guard.seal", "FG-RLS-009", "guard.seal"),
}
MENDED = set(AS_OWNER) - {"no table", "materialized view", "policy of others"}


@pytest.mark.parametrize("case", AS_OWNER)
def test_each_fault_has_its_id_and_is_mended_by_apply(world: World, case: str) -> None:
    statement, check_id, said = AS_OWNER[case]
    with world.connect(world.owner) as owner:
        owner.execute(statement.format(app=world.application))

    found = find(world)
    assert [each for each, message in found if said in message] == [check_id]

    if case in MENDED:
        with world.engine(world.owner) as engine, engine.connect() as connection:
            assert apply(connection, TABLES)
        assert find(world) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER ROLE {app} SUPERUSER", "which is a superuser"),
        ("ALTER ROLE {app} BYPASSRLS", "which is let past it (BYPASSRLS)"),
        ("GRANT {owner} TO {app}", "may become"),
        ("ALTER TABLE rls_notes OWNER TO {app}", "owns protected tables"),
        ("GRANT {system} TO {app}", "which is past row security"),
    ],
)
def test_a_role_that_row_security_does_not_hold_is_found(world: World, statement: str, said: str) -> None:
    world.execute(statement.format(app=world.application, owner=world.owner, system=world.system))

    assert [(each, said in message) for each, message in find(world)] == [("FG-RLS-002", True)]


def test_the_system_role_that_was_configured_is_no_finding(world: World) -> None:
    world.execute(f"GRANT {world.system} TO {world.application}")

    assert find(world, roles=Roles(system=world.system)) == []


def test_an_application_role_is_looked_at_beside_the_login(world: World) -> None:
    assert find(world, roles=Roles(application="rls_missing")) == [
        ("FG-RLS-002", "There is no role rls_missing, which GUARD_RLS_ROLE names.")
    ]
    found = find(world, world.owner, roles=Roles(application=world.application))
    assert [each for each, _ in found] == ["FG-RLS-002"]


def test_a_setting_that_outlives_its_transaction_is_found(world: World) -> None:
    with world.engine(world.application, pool_size=1, max_overflow=0) as engine:
        raw = engine.raw_connection()
        raw.cursor().execute("SELECT set_config('guard.tenant', 'a', false)")
        raw.commit()
        raw.close()
        with engine.connect() as connection:
            messages = [finding.message for finding in check(connection, TABLES) if finding.id == "FG-RLS-006"]
    assert messages == [
        "The setting guard.tenant was made for the whole session, so it reaches whoever gets the connection next."
    ]


def test_a_setting_that_is_stored_for_a_role_or_a_database_is_found(world: World) -> None:
    world.execute(f"ALTER ROLE {world.application} IN DATABASE {world.url.database} SET guard.uid = 'x'")
    world.execute(f"ALTER DATABASE {world.url.database} SET guard.tenant = 'a'")

    assert {each for each, _ in find(world)} == {"FG-RLS-006"}
    assert len(find(world)) >= 2


def test_a_server_without_the_fixes_of_row_security_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.connect() as connection:
        major = int(connection.execute("SHOW server_version_num").fetchone()[0]) // 10000  # type: ignore[index]
    monkeypatch.setitem(module._FIRST_FIXED, major, 99)

    assert [each for each, _ in find(world)] == ["FG-RLS-010"]


def test_another_database_than_postgresql_is_refused() -> None:
    with create_engine("sqlite://").connect() as connection:
        with pytest.raises(ConfigError, match="a matter of PostgreSQL"):
            check(connection, TABLES)
        with pytest.raises(ConfigError, match="a matter of PostgreSQL"):
            apply(connection, TABLES)


def test_tables_that_are_not_there_are_not_applied_to(bare_world: World) -> None:
    missing = pytest.raises(ConfigError, match="make the tables first")
    with bare_world.engine(bare_world.owner) as engine, engine.connect() as connection, missing:
        apply(connection, TABLES)
