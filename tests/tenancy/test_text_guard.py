"""Text that reads a protected table is refused however it names it; text that does not is executed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import DDL, Connection, Executable, text

from flask_guard.errors import TenancyError
from flask_guard.tenancy.text_guard import read_fragment, read_text, require_harmless

from .ledger import Places, as_all, as_own

# Each of these, run by somebody who may see everything, returns memos of the tenants.
READS: dict[str, str] = {
    "a name": "SELECT memo FROM ledger_entries",
    "another case": "SELECT memo FROM Ledger_ENTRIES",
    "quoted": 'SELECT memo FROM "ledger_entries"',
    "quoted, with its quotes": 'SELECT "select" FROM "Ledger ""Odd"""',
    "with a schema": "SELECT memo FROM ledger_archive.ledger_entries",
    "with a quoted schema": 'SELECT memo FROM "ledger_archive"."ledger_entries"',
    "with blanks around the dot": "SELECT memo FROM ledger_archive . ledger_entries",
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
    "next to a parenthesis": "SELECT memo FROM(SELECT memo FROM ledger_entries)x",
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
    },
}
# Refused without a proof that it would do harm.
CHANGES = {
    "delete": "DELETE FROM ledger_entries",
    "update": "UPDATE ledger_entries SET memo = ''",
    "insert": "INSERT INTO ledger_entries (id, tenant_id) VALUES (1, 'x')",
    "copy of rows": "CREATE TABLE copied AS SELECT * FROM ledger_entries",
    "copy of rows in parentheses": "CREATE TABLE copied AS (SELECT * FROM ledger_entries)",
    "a view": "CREATE VIEW seen AS SELECT * FROM ledger_entries",
    "explained": "EXPLAIN SELECT * FROM ledger_entries",
}
CHANGES_ON = {
    "sqlite": {
        "replace": "REPLACE INTO ledger_entries (id) VALUES (1)",
        "full text": "CREATE VIRTUAL TABLE x USING fts5(a, content='ledger_entries')",
        "violations": "PRAGMA foreign_key_check(ledger_entries)",
    },
    "postgresql": {
        "a second statement": "ALTER TABLE other ADD x int; DELETE FROM ledger_entries",
        "copied out": "COPY ledger_entries TO STDOUT",
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


UNREADABLE = {
    "sqlite": {
        "a string without an end": "SELECT 'a",
        "a name without an end": 'SELECT "a',
        "a bracket without an end": "SELECT [a",
        "a backtick without an end": "SELECT `a",
        "a comment without an end": "SELECT 1 /* a",
        "a variable that goes on in parentheses": "SELECT $a(')",
        "a null character": "SELECT 1\0",
    },
    "postgresql": {
        "a string without an end": "SELECT 'a",
        "an escaped string without an end": r"SELECT E'a\'",
        "a name without an end": 'SELECT "a',
        "a dollar quote without an end": "SELECT $a$ $b$",
        "a comment without an end": "SELECT 1 /* a /* b */",
        "a string that ends by a setting": r"SELECT 'a\' , 1",
        "a null character": "SELECT 1\0",
    },
}
ESCAPES = {
    "a parenthesis": "1 = 1) OR (1 = 1",
    "an open parenthesis": "(1 = 1",
    "a semicolon": "1 = 1; SELECT 1",
    "a comment": "1 = 1 -- x",
    "a set operator": "1 = 1 UNION SELECT 1",
}
STAYS = {
    "a condition": "a = 'x' OR b IN (1, 2)",
    "a parenthesis in a string": "a = ')'",
    "a comment that ends": "a = 1 -- x\n",
    "a closed comment": "a /* ) */ = 1",
    "a set operator in parentheses": "a IN (SELECT 1 UNION SELECT 2)",
    "a placeholder": "a = :a",
    "a cast": "a::text",
}


@pytest.fixture
def connection(places: Places, dialect: str) -> Iterator[Connection]:
    if places.both.dialect.name != dialect:
        pytest.skip("written for the other database")
    with places.both.connect() as connection:
        yield connection
        connection.rollback()


def as_text(statement: str) -> Executable:
    return text(statement.replace(":", r"\:"))


@pytest.mark.parametrize(("dialect", "statement"), cases(READS, READS_ON))
def test_text_that_reads_a_protected_table_is_refused(
    places: Places, connection: Connection, dialect: str, statement: str
) -> None:
    with as_all(), places.both.connect() as privileged:
        assert "globex" in repr(privileged.exec_driver_sql(statement).all())

    with as_own():
        for attempt in (connection.exec_driver_sql, lambda each: connection.execute(as_text(each))):
            with pytest.raises(TenancyError):
                attempt(statement)


@pytest.mark.parametrize(("dialect", "statement"), cases(CHANGES, CHANGES_ON))
def test_text_that_changes_or_copies_a_protected_table_is_refused(
    connection: Connection, dialect: str, statement: str
) -> None:
    for attempt in (statement, text(statement), DDL(statement.replace("%", "%%"))):
        with as_own(), pytest.raises(TenancyError):
            connection.exec_driver_sql(attempt) if isinstance(attempt, str) else connection.execute(attempt)


@pytest.mark.parametrize(("dialect", "statement"), cases(HARMLESS, HARMLESS_ON))
def test_text_that_names_no_protected_table_is_executed(connection: Connection, dialect: str, statement: str) -> None:
    assert connection.exec_driver_sql(statement).all() is not None
    assert connection.execute(as_text(statement)).all() is not None


SCHEMA_CHANGES = {
    "a column": "ALTER TABLE ledger_entries ADD COLUMN more int",
    "an index": "CREATE UNIQUE INDEX more ON ledger_entries (id, memo)",
    "a reference": "CREATE TABLE more (id int REFERENCES ledger_entries (id), ok int CHECK (ok > 0))",
    "a column with a keyword for a name": "CREATE TABLE more (values int, y int GENERATED ALWAYS AS (id + 1) STORED)",
    "a drop": "DROP TABLE ledger_entries",
}
SCHEMA_CHANGES_ON = {
    "sqlite": {"a trigger": "CREATE TRIGGER more AFTER INSERT ON x BEGIN SELECT 1; DELETE FROM ledger_entries; END"},
    "postgresql": {
        "a comment": "COMMENT ON TABLE ledger_entries IS 'it''s'",
        "a policy": "CREATE POLICY more ON ledger_entries FOR SELECT USING (id IN (SELECT 1))",
        "a grant": "GRANT SELECT, INSERT ON ledger_entries TO PUBLIC",
        "two": "ALTER TABLE ledger_entries ADD a int; ALTER TABLE ledger_entries ADD b int",
    },
}


@pytest.mark.parametrize(("dialect", "statement"), cases(SCHEMA_CHANGES, SCHEMA_CHANGES_ON))
def test_text_that_changes_the_schema_needs_no_tenant(dialect: str, statement: str) -> None:
    require_harmless(statement, dialect)


@pytest.mark.parametrize(("dialect", "statement"), cases({}, UNREADABLE))
def test_text_that_cannot_be_read_for_sure_is_refused(dialect: str, statement: str) -> None:
    with pytest.raises(TenancyError, match="cannot be read for sure"):
        require_harmless(statement, dialect)


@pytest.mark.parametrize(("dialect", "statement"), cases(ESCAPES, {"sqlite": {}, "postgresql": {}}))
def test_a_piece_of_text_that_reaches_out_of_its_place_is_refused(dialect: str, statement: str) -> None:
    with pytest.raises(TenancyError, match="must not have"):
        read_fragment(statement, dialect)


@pytest.mark.parametrize(("dialect", "statement"), cases(STAYS, {"sqlite": {}, "postgresql": {}}))
def test_a_piece_of_text_that_stays_in_its_place_is_taken(dialect: str, statement: str) -> None:
    assert read_fragment(statement, dialect)


def test_a_name_that_postgresql_cuts_off_is_read_as_it_is_cut() -> None:
    assert "é" * 31 + "x" in read_text("SELECT * FROM " + "é" * 31 + "xyz", "postgresql").names


def test_a_database_that_is_not_known_may_have_names_anywhere() -> None:
    assert {"ledger_entries", "x"} <= read_text("SELECT 'LEDGER_ENTRIES' -- x", "mysql").names


# -- SQLite itself says what it reads

NAMES = [
    "secret",
    "'secret'",
    "[secret]",
    "`secret`",
    '"secret"',
    "sEcReT",
    "other",
    "main.",
    "x",
    "$a",
    "$a(",
    ":b",
    "é",
]
MARKS = ["$a(", "--", "\n", "\r", "/*", "*/", "'", '"', "`", "[", "]", "(", ")", ",", "*"]
PIECES = [*NAMES, *MARKS, "SELECT", "1", "FROM", "AS", "UNION"]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.lists(st.sampled_from(PIECES)).map("".join))
@example("'secret'")
@example("other, [a'], secret -- '")
@settings(max_examples=1500)
def test_no_text_from_which_sqlite_reads_a_table_leaves_its_name_out(tail: str) -> None:
    statement = f"SELECT * FROM {tail}"  # noqa: S608  # that is what is tested

    if "secret" in list_tables_read(statement):
        try:
            names = read_text(statement, "sqlite").names
        except TenancyError:
            return
        assert "secret" in names


def list_tables_read(statement: str) -> set[str]:
    """Return the tables that SQLite reads for a statement; none if it is no statement."""
    read: set[str] = set()

    def note(action: int, table: str | None, *_rest: Any) -> int:
        if action == sqlite3.SQLITE_READ:
            read.add(str(table))
        return sqlite3.SQLITE_OK

    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("CREATE TABLE secret (x); CREATE TABLE other (x, y)")
        connection.set_authorizer(note)
        try:
            connection.execute(f"EXPLAIN {statement}", {name: 1 for name in "ab"})
        except (sqlite3.Error, ValueError):
            return set()
    return read


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    ("statement", "is_name"),
    [
        ("SELECT 1 FROM t ORDER BY x", False),
        ("SELECT 1 FROM t ORDER /* . */ BY x", False),
        ('SELECT 1 FROM "order"', True),
        ("SELECT 1 FROM public.order", True),
        ("SELECT 1 FROM public . /* the */ order", True),
    ],
    ids=["clause", "comment", "quoted", "schema", "schema and comment"],
)
def test_a_reserved_word_is_a_name_when_it_is_quoted_or_follows_a_dot(
    dialect: str, statement: str, is_name: bool
) -> None:
    assert ("order" in read_text(statement, dialect).names) == is_name
