"""Every connection of the process is guarded; privileged ones are those of an unscoped block, and end with it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from flask_guard.errors import TenancyError, TenantRequired
from flask_guard.tenancy import engines
from flask_guard.tenancy.scope import tenant_scope, unscoped_block

from .ledger import FOREIGN, OWN, Account, Base, Currency, Entry, Places, as_all, as_own
from .shapes import entries

WAYS: dict[str, Callable[[Engine], Connection]] = {
    "connect()": lambda engine: engine.connect(),
    "an engine with options": lambda engine: engine.execution_options(isolation_level="SERIALIZABLE").connect(),
    "a connection with options": lambda engine: engine.connect().execution_options(stream_results=True),
    "a Session": lambda engine: Session(engine).connection(),
    "a Session of a connection": lambda engine: Session(engine.connect()).connection(),
    "the connection itself": lambda engine: Connection(engine),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_sees_the_rows_of_the_tenant(places: Places, way: str) -> None:
    with as_own():
        connection = WAYS[way](places.both)
        found = connection.execute(select(Entry.memo)).scalars().all()
        connection.close()

    assert set(found) == {f"{OWN} memo"}
    assert not engines.is_privileged(connection)


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_of_an_unscoped_block_sees_every_row(places: Places, way: str) -> None:
    with as_own(), as_all():
        connection = WAYS[way](places.both)
        found = connection.execute(select(Entry.memo)).scalars().all()
        connection.close()

    assert set(found) == {f"{OWN} memo", f"{FOREIGN} memo"}
    assert engines.is_privileged(connection)


def test_a_connection_that_was_opened_before_a_block_stays_guarded_in_it(places: Places) -> None:
    with as_own(), places.both.connect() as connection, as_all():
        assert set(connection.execute(select(Entry.memo)).scalars()) == {f"{OWN} memo"}


def test_a_connection_that_was_opened_in_a_block_ends_with_it(places: Places) -> None:
    with as_own():
        with as_all():
            connection = places.both.connect()
            connection.execute(select(Entry.memo))

        with pytest.raises(TenancyError, match="after the block has ended"):
            connection.execute(select(Entry.memo))
        with pytest.raises(TenancyError, match="after the block has ended"):
            connection.exec_driver_sql("SELECT 1")
        connection.close()


def test_a_connection_of_a_block_goes_on_in_a_block_and_a_scope_inside_of_it(places: Places) -> None:
    with as_all(), places.both.connect() as connection:
        with unscoped_block("inside"):
            assert len(connection.execute(select(Account.id)).all()) == 6
        with tenant_scope(OWN):
            assert len(connection.execute(select(Account.id)).all()) == 6
            with places.both.connect() as guarded:
                assert len(guarded.execute(select(Account.id)).all()) == 3


def test_a_pooled_connection_remembers_nothing_of_the_block_it_was_used_in() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.tables["ledger_currencies"].create(engine)
    Base.metadata.tables["ledger_labels"].create(engine)
    with as_all(), engine.connect() as privileged:
        privileged.execute(select(Currency.code))
        assert privileged.exec_driver_sql("SELECT count(*) FROM ledger_labels").scalar_one() == 0

    with pytest.raises(TenancyError), engine.connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM ledger_labels")
    engine.dispose()


def test_another_thread_inherits_neither_a_tenant_nor_a_block(places: Places) -> None:
    outcomes: list[Any] = []

    def work() -> None:
        try:
            with places.both.connect() as connection:
                outcomes.append(connection.execute(select(Entry.memo)).all())
        except TenantRequired as refusal:
            outcomes.append(refusal)

    for scope in (as_own, as_all):
        with scope():
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

    assert [type(outcome).__mro__[1] for outcome in outcomes] == [TenantRequired, TenantRequired]


def test_tasks_of_one_loop_keep_their_tenants_apart(places: Places) -> None:
    async def ask(tenant: str) -> set[str]:
        with tenant_scope(tenant), places.both.connect() as connection:
            await asyncio.sleep(0)
            return set(connection.execute(select(Entry.memo)).scalars())

    async def ask_both() -> list[set[str]]:
        return await asyncio.gather(ask(OWN), ask(FOREIGN))

    assert asyncio.run(ask_both()) == [{f"{OWN} memo"}, {f"{FOREIGN} memo"}]


# -- what needs no tenant


def test_tables_are_made_looked_at_and_dropped_without_a_tenant(places: Places) -> None:
    metadata = MetaData()
    whose = Column("whose", String, info={"guard": "tenant"})
    Table("ledger_made", metadata, Column("id", Integer, primary_key=True), whose)

    metadata.create_all(places.both)
    metadata.create_all(places.both)
    found = Table("ledger_made", MetaData(), autoload_with=places.both)
    names = [column["name"] for column in inspect(places.both).get_columns("ledger_made")]
    metadata.drop_all(places.both)

    assert names == found.c.keys() == ["id", "whose"]
    assert not inspect(places.both).has_table("ledger_made")


def test_every_table_is_reflected_without_a_tenant(places: Places) -> None:
    found = MetaData()
    found.reflect(places.both)

    assert {"ledger_entries", "ledger_companies", 'Ledger "Odd"'} <= set(found.tables)


def test_a_reflected_table_is_filtered_like_the_one_of_its_name(places: Places) -> None:
    found = Table("ledger_entries", MetaData(), autoload_with=places.both)

    with as_own(), places.both.connect() as connection:
        assert set(connection.execute(select(found.c.memo)).scalars()) == {f"{OWN} memo"}
        assert connection.execute(select(func.count()).select_from(found)).scalar_one() == 4


# -- dialects


def test_a_dialect_of_a_connection_shares_the_state_and_no_cache(places: Places) -> None:
    engine = places.both
    with engine.connect() as guarded, as_all(), engine.connect() as privileged:
        dialects = [engine.dialect, guarded.dialect, privileged.dialect]

        assert len({id(dialect) for dialect in dialects}) == len(set(dialects)) == 3
        assert all(vars(dialect) is vars(engine.dialect) for dialect in dialects)
        assert all(isinstance(dialect, type(engine.dialect)) for dialect in dialects)
        assert all(dialect._supports_statement_cache for dialect in dialects)


def test_installing_again_changes_nothing() -> None:
    before = Connection.__init__

    engines.install()

    assert Connection.__init__ is before
    assert engines.is_installed()


def test_an_engine_that_is_gone_leaves_nothing_behind() -> None:
    engine = create_engine("sqlite://")
    for scope in (as_own, as_all):
        with scope(), engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    gone = weakref.ref(engine.dialect)

    engine.dispose()
    del engine, connection
    gc.collect()

    assert gone() is None


def test_a_listener_of_the_application_hears_guarded_connections() -> None:
    engine = create_engine("sqlite://")
    heard: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *told: heard.append(told[2]))

    with engine.connect() as connection:
        connection.execute(select(1))

    assert heard == ["SELECT 1"]


def test_guarding_adds_no_listener_that_every_execution_pays_for() -> None:
    program = (
        "from flask_guard.tenancy import engines\n"
        "from sqlalchemy import Connection, Engine\n"
        "engines.install()\n"
        "assert not Engine._has_events and not Connection._has_events\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_error_of_the_compiler_comes_out_as_it_is_and_the_connection_goes_on(places: Places) -> None:
    with as_own(), places.both.connect() as connection:
        with pytest.raises(TenancyError):
            connection.exec_driver_sql("DELETE FROM ledger_entries")
        with pytest.raises(TenancyError):
            connection.execute(insert(entries), {"id": 9})

        assert connection.execute(select(func.count()).select_from(entries)).scalar_one() == 4


def test_a_tenant_that_is_lost_comes_out_as_it_is_and_the_connection_goes_on(places: Places) -> None:
    with places.both.connect() as connection:
        with pytest.raises(TenantRequired) as caught:
            connection.execute(select(entries))
        with as_own():
            assert len(connection.execute(select(entries)).all()) == 4

    assert not hasattr(caught.value, "statement")
