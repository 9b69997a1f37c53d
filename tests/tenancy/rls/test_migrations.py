"""Row security in Alembic: what autogenerate writes runs, takes everything back, and means the same each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import MigrationScript
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table

import flask_guard.extras.migrations_rls as migrations_rls
from flask_guard.tenancy.facts import current_uid
from flask_guard.tenancy.policies import policy
from flask_guard.tenancy.rls.check import check
from flask_guard.tenancy.rls.context import Roles
from flask_guard.tenancy.rls.wanted import list_tables

from .world import World, guard

POLICIES = "SELECT * FROM pg_policies ORDER BY tablename, policyname"
SWITCHES = """
SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class
WHERE starts_with(relname, 'mig') AND relkind = 'r' ORDER BY 1
"""


def make_models(*, extra: Callable[[Table], object] = lambda _table: None, has_second: bool = False) -> MetaData:
    """Return the models of a version of an application."""
    guard()
    metadata = MetaData()
    notes = Table(
        "mig_notes",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("tenant_id", String(20), info={"guard": "tenant"}),
        Column("owner", String(20)),
    )
    extra(notes)
    if has_second:
        second = Column("tenant", Integer, info={"guard": "tenant"})
        Table("mig-Ünd'so", metadata, Column("id", Integer, primary_key=True, autoincrement=False), second)
    return metadata


class Database:
    """One connection, and the steps that Alembic takes on it."""

    def __init__(self, connection: Connection) -> None:
        self.context = MigrationContext.configure(connection)
        self.connection = connection

    def propose(self, metadata: MetaData) -> MigrationScript:
        return produce_migrations(self.context, metadata)

    def render(self, ops: Any) -> str:
        return render_python_code(ops, migration_context=self.context)

    def run(self, code: str) -> None:
        """Run what stands in the body of a revision."""
        names = {"op": Operations(self.context), "Policy": migrations_rls.Policy, "sa": __import__("sqlalchemy")}
        exec(f"if True:\n    {code}", names)  # noqa: S102  code that was just generated

    def state(self) -> list[Any]:
        rows = [*self.connection.exec_driver_sql(POLICIES), *self.connection.exec_driver_sql(SWITCHES)]
        return [tuple(row) for row in rows]


@pytest.fixture
def owner(bare_world: World) -> Any:
    with bare_world.engine(bare_world.owner) as engine:
        yield engine


def upgrade(engine: Engine, metadata: MetaData) -> tuple[str, str]:
    """Bring the database to some models and return the code of the upgrade and of the downgrade."""
    with engine.begin() as connection:
        database = Database(connection)
        script = database.propose(metadata)
        up, down = (database.render(ops) for ops in (script.upgrade_ops, script.downgrade_ops))
        database.run(up)
    return up, down


def run(engine: Engine, code: str) -> list[Any]:
    with engine.begin() as connection:
        database = Database(connection)
        database.run(code)
        return database.state()


def state(engine: Engine) -> list[Any]:
    with engine.begin() as connection:
        return Database(connection).state()


def assert_right(engine: Engine, metadata: MetaData) -> None:
    """Assert that neither autogenerate nor the check finds a difference."""
    with engine.connect() as connection:
        found = check(connection, list_tables(metadata), roles=Roles())
        assert [each.message for each in found if each.id not in ("FG-RLS-002", "FG-RLS-011")] == []
        assert Database(connection).propose(metadata).upgrade_ops.is_empty()


def own(table: Table) -> None:
    policy(table, "own", using=lambda row: row.owner == current_uid())
    policy(table, "it's 100%", for_="select", restrictive=True, using=lambda row: row.owner != "50%\\'\n:x")


def own_and_more(table: Table) -> None:
    policy(table, "own", using=lambda row: (row.owner == current_uid()) | (row.id < 7))
    policy(table, "open", for_="select", using=lambda row: True)


@pytest.mark.parametrize("extra", [lambda _table: None, own], ids=["tenant only", "declared policies"])
def test_up_down_and_up_again_leaves_the_same_policies(owner: Engine, extra: Callable[[Table], object]) -> None:
    metadata = make_models(extra=extra, has_second=True)
    before = state(owner)

    up, down = upgrade(owner, metadata)
    first = state(owner)
    assert_right(owner, metadata)
    assert run(owner, down) == before
    assert run(owner, up) == first
    assert_right(owner, metadata)


def test_a_change_of_the_models_is_one_revision_that_goes_back_exactly(owner: Engine) -> None:
    old, new = make_models(extra=own), make_models(extra=own_and_more)
    upgrade(owner, old)
    before = state(owner)

    up, down = upgrade(owner, new)
    assert up.count("op.apply_rls") == 1
    assert "it's 100%" in up  # as what was there before
    assert_right(owner, new)
    assert run(owner, down) == before
    assert_right(owner, old)
    run(owner, up)
    assert_right(owner, new)


def test_a_policy_that_was_changed_by_hand_is_put_right(owner: Engine) -> None:
    metadata = make_models()
    upgrade(owner, metadata)
    right = state(owner)
    with owner.begin() as connection:
        connection.exec_driver_sql("ALTER POLICY guard_tenant ON mig_notes USING (true)")

    up, _ = upgrade(owner, metadata)
    assert "op.apply_rls" in up
    assert state(owner) == right


def test_tables_that_are_no_more_protected_or_no_more_there_are_taken_out(owner: Engine) -> None:
    upgrade(owner, make_models(has_second=True))
    before = state(owner)
    plain = MetaData()
    Table(
        "mig_notes",
        plain,
        *[Column(c.name, c.type, primary_key=c.primary_key) for c in make_models().tables["mig_notes"].c],
    )
    plain.tables["mig_notes"].info["guard"] = {"global": True}

    up, down = upgrade(owner, plain)
    assert up.count("op.drop_rls") == 2
    assert "drop_table" in up
    assert [row for row in state(owner) if "guard" in str(row)] == []
    assert run(owner, down) == before


def test_the_same_difference_is_the_same_text(owner: Engine) -> None:
    texts = set()
    for _ in range(3):
        with owner.connect() as connection:
            database = Database(connection)
            texts.add(database.render(database.propose(make_models(extra=own, has_second=True)).upgrade_ops))

    assert len(texts) == 1
    assert migrations_rls._IMPORT.startswith("from flask_guard.extras.migrations_rls import Policy")


def test_what_others_keep_in_the_database_is_left_alone(owner: Engine) -> None:
    with owner.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE other (id int); ALTER TABLE other ENABLE ROW LEVEL SECURITY")
        connection.exec_driver_sql("CREATE POLICY mine ON other USING (true)")
        connection.exec_driver_sql("CREATE POLICY mine_too ON other USING (true)")
    metadata = make_models()
    Table("other", metadata, Column("id", Integer), info={"guard": {"global": True}})

    up, _ = upgrade(owner, metadata)
    assert "other" not in up
    assert len(state(owner)) == 5  # two policies of each, and the switches of ours
