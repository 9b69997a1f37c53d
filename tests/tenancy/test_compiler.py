"""What comes out of the compiler means: the rows of others are not there.

Most tests compare with a database in which they are indeed not there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    column,
    delete,
    extract,
    func,
    insert,
    literal,
    literal_column,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects import mssql, mysql, oracle
from sqlalchemy.engine.interfaces import CacheStats
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, joinedload, lazyload, make_transient_to_detached, selectinload, subqueryload
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.sql import coercions, elements, roles
from sqlalchemy.sql.expression import ColumnElement, Executable, UnaryExpression
from sqlalchemy.sql.operators import custom_op

from flask_guard.errors import TenancyError, TenantRequired
from flask_guard.tenancy.engines import guarded_dialect
from flask_guard.tenancy.rules import COMMANDS, RowPredicate, add_predicate
from flask_guard.tenancy.scope import tenant_scope

from .ledger import FOREIGN, OWN, Account, Currency, Entry, Old, Places, as_all, as_own, entry_labels
from .shapes import POSTGRESQL_ONLY, SELECTS, accounts, entries

TENANT = {"guard": "tenant"}
an_entry, an_account = entries.alias(), accounts.alias()


@pytest.mark.parametrize("name", SELECTS)
def test_a_select_finds_what_it_would_find_if_the_rows_of_others_were_not_there(places: Places, name: str) -> None:
    if name in POSTGRESQL_ONLY and places.both.dialect.name != "postgresql":
        pytest.skip("SQLite has no such form")
    with as_all():
        expected = run(places.own, SELECTS[name])

    with as_own():
        found = run(places.both, SELECTS[name])

    assert found == expected
    assert FOREIGN not in repr(found)


def run(engine: Engine, statement: Executable) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return sorted((tuple(row) for row in connection.execute(statement)), key=repr)


# -- who asks


def test_compiled_sql_is_shared_by_tenants_and_asks_anew(places: Places) -> None:
    statement = select(Account.name).order_by(Account.id)
    found = []

    with places.both.execution_options().connect() as connection:
        for tenant in (OWN, FOREIGN, OWN, FOREIGN):
            with tenant_scope(tenant):
                result = connection.execute(statement)
                found.append({name.split()[0] for name in result.scalars()})
                hits = result.context.cache_hit
    assert found == [{OWN}, {FOREIGN}, {OWN}, {FOREIGN}]
    assert hits is CacheStats.CACHE_HIT


@pytest.mark.parametrize("statement", [select(Entry), delete(Entry), update(Entry).values(amount=1)], ids=str)
def test_nobody_is_told_anything_and_nothing_is_an_answer(places: Places, statement: Executable) -> None:
    with pytest.raises(TenantRequired), places.both.connect() as connection:
        connection.execute(statement)


def test_an_unbound_tenant_is_noticed_when_the_sql_is_compiled_already(places: Places) -> None:
    statement = select(Entry.id).order_by(Entry.memo)
    with as_own():
        run(places.both, statement)

    with pytest.raises(TenantRequired):
        run(places.both, statement)


def test_rows_of_everybody_need_no_tenant(places: Places) -> None:
    assert run(places.both, select(Currency.code)) == [("EUR",), ("XXX",)]


GIVEN: dict[str, Callable[[Connection, str], Any]] = {
    "a parameter": lambda connection, name: connection.execute(select(Entry.memo), {name: FOREIGN}),
    "params()": lambda connection, name: connection.execute(select(Entry.memo).params(**{name: FOREIGN})),
    "one of many": lambda connection, name: connection.execute(
        update(entries).where(entries.c.id == bindparam("i")).values(amount=bindparam("n")),
        [{"i": 1, "n": 1}, {"i": 101, "n": 1, name: FOREIGN}],
    ),
}


@pytest.mark.parametrize("way", GIVEN)
@pytest.mark.parametrize("name", ["guard_tenant", "guard_tenant_1"])
def test_a_caller_cannot_say_who_he_is(places: Places, way: str, name: str) -> None:
    found: list[Any] = []

    with as_own(), suppress(TenancyError, ArgumentError), places.both.connect() as connection:
        result = GIVEN[way](connection, name)
        found = result.all() if result.returns_rows else [result.rowcount]

    assert FOREIGN not in repr(found)
    assert found != [2]


def test_a_parameter_of_the_name_that_is_in_the_sql_is_refused(places: Places) -> None:
    with as_own(), places.both.connect() as connection, pytest.raises(TenancyError, match="guard_tenant_1"):
        connection.execute(select(Entry.memo), {"guard_tenant_1": FOREIGN})


def test_a_statement_that_was_compiled_beforehand_is_refused(places: Places) -> None:
    compiled = select(Entry).compile(places.both)

    with as_own(), places.both.connect() as connection, pytest.raises((TenancyError, ArgumentError)):
        connection.execute(compiled)


def test_the_tenant_is_not_written_into_the_text_of_a_statement(places: Places) -> None:
    with as_own(), pytest.raises(TenancyError, match="cannot have its parameters written into it"):
        select(Entry).compile(dialect=guarded_dialect(places.both.dialect), compile_kwargs={"literal_binds": True})


# -- caches


def test_what_is_compiled_for_everybody_is_not_used_for_a_tenant(places: Places) -> None:
    statement = select(Account.name).where(Account.id > 0)
    with as_all():
        everything = run(places.both, statement)

    with as_own():
        found = run(places.both, statement)
    with as_all():
        again = run(places.both, statement)

    assert len(found) == 3
    assert len(everything) == len(again) == 6


def test_what_a_mapper_keeps_for_everybody_is_not_used_for_a_tenant(places: Places) -> None:
    for scope in (as_all, as_own):
        with scope(), Session(places.both) as session:
            session.get_one(Entry, 1).amount += 1
            session.flush()
            session.rollback()

    with as_own(), Session(places.both) as session:
        forged = Entry(id=101, tenant_id=OWN)
        make_transient_to_detached(forged)
        session.add(forged)
        forged.amount = 99
        with pytest.raises(StaleDataError):
            session.flush()


def test_a_rule_that_is_added_later_holds_for_new_connections_and_stops_open_ones(places: Places) -> None:
    late = Table("ledger_late", MetaData(), Column("id", Integer), Column("tenant_id", String, info=TENANT))
    with as_own(), places.both.connect() as connection:
        late.create(connection)
        connection.execute(insert(late), [{"id": 1, "tenant_id": OWN}, {"id": 2, "tenant_id": OWN}])
        connection.execute(select(late))
        add_predicate(late, RowPredicate(COMMANDS, lambda from_: from_.c.id > 1))

        with pytest.raises(TenancyError, match="have changed"):
            connection.execute(select(late))
        connection.dialect = guarded_dialect(places.both.dialect)
        found = connection.execute(select(late.c.id)).scalars().all()

        assert found == [2]


@pytest.mark.parametrize("statement", [select(Entry), delete(entry_labels), update(Entry).values(amount=1)], ids=str)
def test_what_the_caller_holds_is_left_as_it_is(places: Places, statement: Executable) -> None:
    before = str(statement), statement._where_criteria  # type: ignore[attr-defined]

    with as_own(), places.both.connect() as connection:
        connection.execute(statement)

    assert (str(statement), statement._where_criteria) == before  # type: ignore[attr-defined]


# -- what cannot be filtered


class Raw(ColumnElement[Any]):
    """An element of an application that writes the name of a table by itself."""

    inherit_cache = True


@compiles(Raw)
def _(_element: Raw, compiler: Any, **kw: Any) -> str:
    return f"(SELECT max(amount) FROM {compiler.process(entries, **{**kw, 'asfrom': True})})"  # noqa: S608  # a test


REFUSED: dict[str, tuple[Executable, str]] = {
    "an element that writes a table": (select(Raw()), "stands where no condition"),
    "the same beside the table": (select(Raw(), entries.c.id), "stands where no condition"),
    "the same in WHERE": (select(entries.c.id).where(Raw() == 1), "stands where no condition"),
    "the same in WHERE of an alias": (select(an_entry.c.id).where(Raw() == 1), "stands where no condition"),
    "the same in ON": (select(entries.c.id).join(accounts, Raw() == 1), "stands where no condition"),
    "the same in ON before the table": (
        select(accounts.c.id).select_from(accounts.join(an_account, Raw() == 1), entries),
        "stands where no condition",
    ),
    "the same in a subquery": (select(select(Raw()).subquery(), entries.c.id), "stands where no condition"),
    "the same in UPDATE": (update(entries).where(Raw() == 1).values(amount=1), "stands where no condition"),
    "the same in SET": (update(entries).values(amount=Raw()), "stands where no condition"),
    "the same in DELETE": (delete(entries).where(Raw() == 1), "stands where no condition"),
    "a table in a schema in a full join": (
        select(Old.id, entries.c.id).join(entries, Old.id == entries.c.id, full=True),
        "give it a name there",
    ),
    "a lightweight table without its tenant": (select(table("ledger_entries", column("id"))), "lacks the column"),
    "a statement that is text": (text("SELECT * FROM ledger_entries"), "names the table 'ledger_entries'"),
    "text with columns": (
        text("SELECT id FROM ledger_entries").columns(column("id", Integer)),
        "names the table 'ledger_entries'",
    ),
    "text in FROM": (select(column("id")).select_from(text("ledger_entries")), "names the table"),
    "text in WHERE": (
        select(Currency.code).where(text("EXISTS (SELECT 1 FROM ledger_entries WHERE amount = 10)")),
        "names the table",
    ),
    "text that begins like a change of the schema": (
        select(Currency.code).where(text("comment IN (SELECT memo FROM ledger_entries)")),
        "names the table",
    ),
    "text in ORDER BY": (
        select(Currency.code).order_by(text("(SELECT max(id) FROM ledger_entries)")),
        "names the table",
    ),
    "text in GROUP BY": (select(func.count()).group_by(text("(SELECT 1 FROM ledger_entries)")), "names the table"),
    "a literal column": (select(literal_column("(SELECT max(id) FROM ledger_entries)")), "names the table"),
    "a column that is literal": (select(column("(SELECT 1 FROM ledger_entries)", is_literal=True)), "names the table"),
    "a prefix": (select(Currency.code).prefix_with("(SELECT 1 FROM ledger_entries),"), "names the table"),
    "a suffix": (select(Currency.code).suffix_with("UNION SELECT memo FROM ledger_entries"), "must not have"),
    "a hint": (select(Currency.code).with_statement_hint("UNION SELECT memo FROM ledger_entries"), "must not have"),
    "an operator": (select(Currency.code.op("= (SELECT memo FROM ledger_entries) OR 1 =")(1)), "names the table"),
    "a unary operator": (select(UnaryExpression(literal(1), operator=custom_op("(SELECT"))), "must not have"),
    "a field of EXTRACT": (select(extract("day FROM now()) + (1", func.now())), "must not have"),
    "a function that runs SQL": (
        select(func.query_to_xml("SELECT * FROM ledger_entries", True, True, "")),
        "in a string",
    ),
    "text that closes a parenthesis": (select(entries.c.id).where(text("1 = 1) OR (1 = 1")), "must not have"),
    "text that comments out": (select(entries.c.id).where(text("1 = 1 OR 1 = 1 --")), "must not have a comment"),
    "text that unites": (select(entries.c.id).where(text("1 = 1 UNION SELECT 1")), "must not have a set operator"),
    "text that ends the statement": (select(entries.c.id).where(text("1 = 1; SELECT 1")), "must not have a semicolon"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_filtered_is_refused(places: Places, name: str) -> None:
    statement, message = REFUSED[name]

    with as_own(), places.both.connect() as connection, pytest.raises(TenancyError, match=message):
        connection.execute(statement)


TEMPLATES: dict[str, tuple[Any, ...]] = {
    "a name": ("SELECT * FROM ledger_entries",),
    "a table": ("SELECT * FROM ", entries),
    "an alias": ("SELECT * FROM ", an_entry),
    "a table to delete from": ("DELETE FROM ", entries, " WHERE 1 = 1"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_string_does_not_reach_a_protected_table(places: Places, name: str) -> None:
    dialect = guarded_dialect(places.both.dialect)

    with pytest.raises(TenancyError, match="'ledger_entries'"):
        make_template(*TEMPLATES[name]).compile(dialect=dialect)
    assert "WHERE ledger_entries.tenant_id" in str(
        make_template("SELECT (", select(func.count(entries.c.id)).scalar_subquery(), ")").compile(dialect=dialect)
    )


def make_template(*parts: Any) -> Any:
    """Return what tstring() makes of a template, which Python has literals for from 3.14 on."""
    if not hasattr(elements, "TString"):
        pytest.skip("new in SQLAlchemy 2.1")
    made = elements.TString.__new__(elements.TString)
    made.parts = [
        elements._TStringText(part) if isinstance(part, str) else coercions.expect(roles.TStringElementRole, part)
        for part in parts
    ]
    return made


@pytest.mark.parametrize("dialect", [mysql.dialect(), oracle.dialect(), mssql.dialect()], ids=lambda each: each.name)
def test_databases_whose_statements_are_not_known_are_refused(dialect: Dialect) -> None:
    with pytest.raises(TenancyError, match=f"PostgreSQL and SQLite, not on {dialect.name}"):
        select(entries).compile(dialect=guarded_dialect(dialect))


def test_a_table_declared_after_text_that_names_it_was_compiled_is_protected(places: Places) -> None:
    statement = text("SELECT 1 AS ledger_newcomer")
    with as_own():
        assert run(places.both, statement) == [(1,)]

    newcomer = Table("ledger_newcomer", MetaData(), Column("tenant_id", String, info=TENANT))

    with as_own(), pytest.raises(TenancyError, match="ledger_newcomer"):
        run(places.both, statement)
    assert newcomer.info == {"guard": {"tenant": "tenant_id"}}


# -- exactness on PostgreSQL


@pytest.mark.parametrize(
    ("statement", "locked"),
    [
        (select(entries.c.id).order_by(entries.c.id).limit(1), {1}),
        (select(entries.c.id).join(accounts, accounts.c.id == entries.c.account_id).limit(1), None),
        (select(entries.c.id).where(entries.c.amount > 0), {2, 3, 4}),
    ],
    ids=["a limit", "a join", "a condition"],
)
def test_for_update_locks_the_rows_that_are_returned_and_no_others(
    places: Places, statement: Any, locked: set[int] | None
) -> None:
    if places.both.dialect.name != "postgresql":
        pytest.skip("SQLite locks all or nothing")
    everything = select(entries.c.id)

    with places.both.connect() as first, places.both.connect() as second, as_own():
        returned = set(first.execute(statement.with_for_update(of=entries)).scalars())
        free = set(second.execute(everything.with_for_update(skip_locked=True)).scalars())

    assert returned == (locked or returned)
    assert free == {1, 2, 3, 4} - returned


def test_a_schema_translation_changes_nothing(places: Places) -> None:
    moved = {None: "public" if places.both.dialect.name == "postgresql" else "main"}

    with as_own(), places.both.connect().execution_options(schema_translate_map=moved) as connection:
        found = connection.execute(select(Account.name, Entry.memo).outerjoin(Entry, Account.entries)).all()
        changed = connection.execute(update(Entry).values(amount=1)).rowcount

    assert FOREIGN not in repr(found)
    assert (len(found), changed) == (4, 4)


@pytest.mark.parametrize("load", [joinedload, selectinload, subqueryload, lazyload], ids=lambda each: each.__name__)
def test_relationships_are_loaded_as_if_others_had_no_rows(places: Places, load: Any) -> None:
    with as_own(), Session(places.both) as session:
        found = session.scalars(select(Account).options(load(Account.entries)).order_by(Account.id)).unique().all()
        counts = [len(account.entries) for account in found]

    assert counts == [2, 1, 0]
