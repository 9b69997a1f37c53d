"""Text that reads a protected table is refused however it names it; text that does not is executed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import DDL, Connection, Engine, Executable, create_engine, text

from flask_guard.errors import TenancyError
from flask_guard.tenancy.text_guard import read_fragment, read_text, require_harmless

from .ledger import ARCHIVE, Places, as_all, as_own

# Each of these, run by somebody who may see everything, returns memos of the tenants.
READS: dict[str, str] = {
    "a name": "SELECT memo FROM ledger_entries",
    "another case": "SELECT memo FROM Ledger_ENTRIES",
    "quoted": 'SELECT memo FROM "ledger_entries"',
    "quoted, with its quotes": 'SELECT "select" FROM "Ledger ""Odd"""',
    "with a schema": f"SELECT memo FROM {ARCHIVE}.ledger_entries",
    "with a quoted schema": f'SELECT memo FROM "{ARCHIVE}"."ledger_entries"',
    "with blanks around the dot": f"SELECT memo FROM {ARCHIVE} . ledger_entries",
    "after a comment": "SELECT memo FROM /* who */ ledger_entries -- cares",
    "after a string with a comment in it": "SELECT '--' || memo FROM ledger_entries",
    "after a string with a quotation mark in it": "SELECT 'it''s ' || memo FROM ledger_entries",
    "after a name with a quotation mark in it": 'SELECT memo AS "a\'b" FROM ledger_entries',
    "in a subquery": "SELECT (SELECT max(memo) FROM ledger_entries)",
    "in WITH": "WITH x AS (SELECT memo FROM ledger_entries) SELECT memo FROM x",
    "after UNION": "SELECT 'x' UNION SELECT memo FROM ledger_entries",
    "joined": "SELECT e.memo FROM ledger_currencies c JOIN ledger_entries e ON 1 = 1",
    "with an alias": "SELECT e.memo FROM ledger_entries e",
    "after a number": "SELECT memo, 1 FROM ledger_entries",
    "next to a parenthesis": "SELECT memo FROM(ledger_entries)",
    "after a carriage return": "SELECT memo FROM\r\nledger_entries",
}
READS_ON = {
    "sqlite": {
        "in brackets": "SELECT memo FROM [ledger_entries]",
        "in backticks": "SELECT memo FROM `ledger_entries`",
        "as a string": "SELECT memo FROM 'ledger_entries'",
        "as a string with a schema": "SELECT memo FROM main.'ledger_entries'",
        "after a bracket with a quotation mark in it": "SELECT memo AS [a'b] FROM ledger_entries",
        "after a backtick with a quotation mark in it": "SELECT memo AS `a'b` FROM ledger_entries",
        "after a comment that is not nested": "SELECT memo /* /* */ FROM ledger_entries",
        "after a carriage return that ends no comment": "SELECT memo -- \r\n FROM ledger_entries",
        "in EXPLAIN": "EXPLAIN QUERY PLAN SELECT memo FROM ledger_entries",
    },
    "postgresql": {
        "as TABLE": "TABLE ledger_entries",
        "in ONLY": "SELECT memo FROM ONLY ledger_entries",
        "with a star": "SELECT memo FROM ledger_entries *",
        "after a nested comment": "SELECT memo /* /* */ ' */ FROM ledger_entries",
        "after a carriage return that ends a comment": "SELECT memo -- ' \r FROM ledger_entries",
        "after an escaped string": r"SELECT E'\' FROM x --' || memo FROM ledger_entries",
        "after a dollar quote": "SELECT $$'$$ || memo FROM ledger_entries",
        "after a tagged dollar quote": "SELECT $a$ ' $$ $a$ || memo FROM ledger_entries",
        "after an identifier with a dollar": "SELECT memo AS a$$ FROM ledger_entries -- $$",
        "with Unicode escapes": 'SELECT memo FROM U&"ledger\\005fentries"',
        "as a string that is run": "SELECT query_to_xml('SELECT memo FROM ledger_entries', true, true, '')::text",
        "as a string that is a name": "SELECT table_to_xml('ledger_entries', true, true, '')::text",
        "in a schema that is read": "SELECT schema_to_xml('public', true, true, '')::text",
        "in a name that is too long": f"SELECT memo FROM {'l' * 63}suffix",
        "in EXPLAIN": "EXPLAIN (ANALYZE, VERBOSE) SELECT memo FROM ledger_entries",
        "in COPY": "COPY ledger_entries TO STDOUT",
    },
}
CHANGES = {
    "delete": "DELETE FROM ledger_entries",
    "update": "UPDATE ledger_entries SET memo = ''",
    "insert": "INSERT INTO ledger_entries (id, tenant_id) VALUES (1, 'x')",
    "copy of rows": "CREATE TABLE copied AS SELECT * FROM ledger_entries",
    "copy of rows in parentheses": "CREATE TABLE copied AS (SELECT * FROM ledger_entries)",
    "a view": "CREATE VIEW seen AS SELECT * FROM ledger_entries",
    "a second statement": "ALTER TABLE other ADD x int; DELETE FROM ledger_entries",
}
CHANGES_ON = {
    "sqlite": {"replace": "REPLACE INTO ledger_entries (id) VALUES (1)", "attached text": "CREATE VIRTUAL TABLE x USING fts5(a, content='ledger_entries')"},
    "postgresql": {
        "truncate": "TRUNCATE ledger_entries",
        "merge": "MERGE INTO ledger_entries USING other ON true WHEN MATCHED THEN DELETE",
        "program": "DO $$ BEGIN DELETE FROM ledger_entries; END $$",
        "copy of a table": "CREATE TABLE copied AS TABLE ledger_entries",
        "select into": "SELECT * INTO copied FROM ledger_entries",
        "cursor": "DECLARE c CURSOR FOR SELECT * FROM ledger_entries",
        "prepared": "PREPARE p AS SELECT * FROM ledger_entries",
        "materialized view": "CREATE MATERIALIZED VIEW seen AS SELECT * FROM ledger_entries",
    },
}
HARMLESS = {
    "no table": "SELECT 1",
    "everybody's": "SELECT code FROM ledger_currencies",
    "the name in a string": "SELECT 'from ledger_entries'",
    "the name in a comment": "SELECT 1 -- ledger_entries\n",
    "the name in a closed comment": "SELECT /* ledger_entries */ 1",
    "a part of a name": "SELECT 1 AS ledger_entries_count",
    "a longer name": "SELECT 1 AS my_ledger_entries",
}
HARMLESS_ON = {
    "sqlite": {
        "columns": 'PRAGMA main.table_info("ledger_entries")',
        "foreign keys": "PRAGMA foreign_key_list(ledger_entries)",
        "a setting": "PRAGMA foreign_keys",
        "the schema": "SELECT count(*) FROM sqlite_master",
    },
    "postgresql": {
        "a dollar quote": "SELECT $$ledger_entries$$",
        "an escaped string": r"SELECT E'\'ledger_entries'",
        "the catalogue": "SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'ledger_entries'",
        "a setting": "SHOW server_version",
    },
}


def cases(common: dict[str, str], particular: dict[str, dict[str, str]]) -> list[Any]:
    """Return a parameter for each text on each database that has it."""
    return [
        pytest.param(dialect, statement, id=f"{dialect}-{name}")
        for dialect, own in particular.items()
        for name, statement in {**common, **own}.items()
    ]


@pytest.fixture
def connection(places: Places, dialect: str) -> Iterator[Connection]:
    if places.both.dialect.name != dialect:
        pytest.skip("written for the other database")
    with places.both.connect() as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def long_name(places: Places) -> Iterator[None]:
    yield


@pytest.mark.parametrize(("dialect", "statement"), cases(READS, READS_ON))
def test_text_that_reads_a_protected_table_is_refused(connection: Connection, dialect: str, statement: str) -> None:
    with as_own():
        for attempt in (connection.exec_driver_sql, lambda each: connection.execute(text(each.replace(":", r"\:")))):
            with pytest.raises(TenancyError) as caught:
                attempt(statement)

            assert "acme" not in str(caught.value)
