"""A compiler that no longer filters is noticed before the application serves anybody."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, String, Table, create_engine
from sqlalchemy.sql.compiler import SQLCompiler

from flask_guard.errors import ConfigError
from flask_guard.tenancy import canaries, engines, text_guard
from flask_guard.tenancy.canaries import run_canaries
from flask_guard.tenancy.compiler import GuardedCompiler
from flask_guard.tenancy.placement import Placement
from flask_guard.tenancy.rules import ColumnCheck, TableRule, add_check, rule_of

from .ledger import Base

# Compiled for, not connected to.
URLS = ["sqlite://", "postgresql+psycopg://nobody@127.0.0.1:1/none"]


@pytest.fixture(params=URLS, ids=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine in a process that has the tables of the ledger."""
    tables = [table for table in Base.metadata.sorted_tables if "guard" in table.info]
    monkeypatch.setattr(canaries, "list_protected", lambda: [t for t in tables if canaries.find_protection(t)])
    monkeypatch.setattr(canaries, "_passed", WeakKeyDictionary())
    return create_engine(request.param)


def test_every_form_is_filtered_for_every_table(engine: Engine) -> None:
    run_canaries(engine)


def test_what_passed_is_asked_again_when_its_rule_has_changed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Table] = []
    monkeypatch.setattr(canaries, "_find_faults", lambda table, *_rest: asked.append(table) or [])
    [first, *_others] = canaries.list_protected()

    run_canaries(engine)
    every = len(asked)
    run_canaries(engine)
    add_check(first, ColumnCheck("id", lambda _values, _connection: None))
    run_canaries(engine)

    rule_of(first).checks.pop()  # type: ignore[union-attr]
    assert asked[every:] == [first]


def no_where(self: Any, text: Any, select: Any, state: Any, columns: Any, sources: Any, *rest: Any) -> Any:
    """A compiler that lets tables pass and forgets their conditions."""
    byfrom, toplevel, kwargs = rest
    kwargs = {**kwargs, "guard_placed": Placement.of(sources).placed}
    return SQLCompiler._compose_select_body(self, text, select, state, columns, sources, byfrom, toplevel, kwargs)


def test_a_select_that_is_not_filtered_stops_the_start(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedCompiler, "_compose_select_body", no_where)

    with pytest.raises(ConfigError) as caught:
        run_canaries(engine)

    forms = {fault.partition(" on ")[0] for fault in caught.value.faults if "'ledger_accounts'" in fault}
    assert len(forms) == 11
    assert "without the conditions of its rows" in caught.value.faults[0]


@pytest.mark.parametrize("name", ["_compose_select_body", "update_tables_clause", "delete_table_clause"])
def test_a_method_that_sqlalchemy_calls_no_more_stops_the_start(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delattr(GuardedCompiler, name)

    with pytest.raises(ConfigError, match="stands where no condition on its rows can be put"):
        run_canaries(engine)


def test_inserts_that_are_not_looked_at_stop_the_start(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(GuardedCompiler, "visit_insert")

    with pytest.raises(ConfigError, match="of the form INSERT on 'ledger_accounts' comes out of SQLAlchemy without"):
        run_canaries(engine)


@pytest.mark.parametrize("name", ["update", "delete"])
def test_writes_without_their_condition_stop_the_start(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    criteria = TableRule.criteria
    monkeypatch.setattr(TableRule, "criteria", lambda *asked: [] if asked[2] == name else criteria(*asked))

    with pytest.raises(ConfigError, match=f"of the form {name.upper()} on 'ledger_accounts' comes out"):
        run_canaries(engine)


def test_text_that_is_not_refused_stops_the_start(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_guard, "is_protected_name", lambda _name: False)

    with pytest.raises(ConfigError, match="SQL text that names 'ledger_accounts' is not refused"):
        run_canaries(engine)


def test_connections_that_are_not_guarded_stop_the_start(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canaries, "is_installed", lambda: False)

    with pytest.raises(ConfigError, match="connections of this process are not guarded"):
        run_canaries(engine)
    assert engines.is_installed()


def test_a_table_that_cannot_be_filtered_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = MetaData()
    reference = Column("up", ForeignKey("canary_loop.id"))
    loop = Table(
        "canary_loop", metadata, Column("id", Integer, primary_key=True), reference, info={"guard": {"parent": "up"}}
    )
    monkeypatch.setattr(canaries, "list_protected", lambda: [loop])

    with pytest.raises(ConfigError, match=r"SELECT on 'canary_loop' cannot be compiled: .* go round in a circle"):
        run_canaries(create_engine("sqlite://"))


def test_a_table_of_one_column_is_filtered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lone = Table("canary_lone", MetaData(), Column("tenant_id", String, info={"guard": "tenant"}))
    monkeypatch.setattr(canaries, "list_protected", lambda: [lone])

    run_canaries(create_engine("sqlite://"))
