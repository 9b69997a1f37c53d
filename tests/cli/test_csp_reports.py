"""`flask guard csp-reports`: what was reported, how often, and what would allow it, fit for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import text

from flask_guard.cli.csp_reports import csp_reports
from flask_guard.db.csp_reports import SqlCspReportStore
from flask_guard.db.engine import Database
from flask_guard.values import CspViolation

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OFF = "Reports are not collected. Set GUARD_CSP_REPORTS=true, and GUARD_CSP_REPORT_ONLY to try a policy out.\n"


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database.from_url("sqlite://")
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> SqlCspReportStore:
    return SqlCspReportStore(database)


def run(store: Any, *arguments: str, is_on: bool = True) -> Result:
    app = Flask(__name__)
    settings = SimpleNamespace(browser=SimpleNamespace(csp_reports=is_on))
    app.extensions["guard.runtime"] = SimpleNamespace(csp_reports=store, settings=settings, clock=NOW.timestamp)
    app.cli.add_command(csp_reports)
    return app.test_cli_runner().invoke(args=["csp-reports", *arguments])


def make_violation(blocked: str = "https://cdn.example", document: str = "/", **changes: Any) -> CspViolation:
    values = {"directive": "script-src-elem", "disposition": "enforce", **changes}
    return CspViolation(blocked=blocked, document=document, **values)


def test_reports_are_summed_up_by_directive_and_source(store: SqlCspReportStore) -> None:
    store.record([make_violation(document=f"/{name}", source_file="/app.js", line=12) for name in "abcd"], NOW)
    store.record([make_violation(document="/d", disposition="report")] * 4, NOW - timedelta(hours=1))
    store.record([make_violation("inline")], NOW)

    result = run(store)

    lines = result.stdout.splitlines()
    documents = lines.pop(2).split()
    assert (result.exit_code, result.stderr) == (0, "")
    assert (documents[:2], len(documents)) == (["in", "/d"], 4)
    assert lines == [
        "script-src-elem  https://cdn.example",
        "    times: 8, 2026-11-21T11:00:00+00:00 to 2026-11-21T12:00:00+00:00, enforce/report",
        "    at /app.js:12",
        "    Add https://cdn.example to script-src if you trust whatever that site serves: its scripts run as yours.",
        "",
        "script-src-elem  inline",
        "    times: 1, 2026-11-21T12:00:00+00:00 to 2026-11-21T12:00:00+00:00, enforce",
        "    in /",
        "    Move it into a file, or give the element a nonce and send 'nonce-...' in script-src; never add "
        "'unsafe-inline', which allows injected ones too.",
        "",
        "A directive that the policy does not have yet must repeat the sources of default-src.",
    ]


def test_reports_as_json(store: SqlCspReportStore) -> None:
    store.record([make_violation("self", directive="img-src", source_file="/x.css")], NOW)

    result = run(store, "--format", "json")

    assert json.loads(result.stdout) == {
        "reports": [
            {
                "directive": "img-src",
                "blocked": "self",
                "count": 1,
                "first_seen": "2026-11-21T12:00:00+00:00",
                "last_seen": "2026-11-21T12:00:00+00:00",
                "dispositions": ["enforce"],
                "documents": ["/"],
                "places": ["/x.css:?"],
                "change": "Add 'self' to img-src.",
            }
        ],
        "found": 1,
        "dropped": 0,
    }


def test_without_reports_it_says_so(store: SqlCspReportStore) -> None:
    assert run(store).output == "No reports.\n"
    assert json.loads(run(store, "--format", "json").stdout) == {"reports": [], "found": 0, "dropped": 0}


@pytest.mark.parametrize("form", ["text", "json"])
def test_while_nothing_is_collected_it_says_what_to_do(store: SqlCspReportStore, form: str) -> None:
    """What was collected before is shown all the same."""
    store.record([make_violation()], NOW)

    result = run(store, "--format", form, is_on=False)

    assert (result.exit_code, result.stderr) == (0, OFF)
    assert "https://cdn.example" in result.stdout


@pytest.mark.parametrize(("since", "shown"), [("1h", "a"), ("7d", "ab"), ("5m", "")])
def test_only_what_was_seen_lately_is_shown(
    database: Database, store: SqlCspReportStore, since: str, shown: str
) -> None:
    store.record([make_violation("a")], NOW - timedelta(minutes=30))
    store.record([make_violation("b")], NOW - timedelta(days=6))

    result = run(store, "--since", since, "--format", "json")

    assert "".join(sorted(entry["blocked"] for entry in json.loads(result.stdout)["reports"])) == shown


def test_the_most_frequent_are_shown_and_the_rest_is_told_of(store: SqlCspReportStore) -> None:
    store.record([make_violation("four", "/a"), make_violation("four", "/b")] * 2, NOW)
    store.record([make_violation("one"), *[make_violation("three")] * 3], NOW)

    result = run(store, "--limit", "2")

    assert [line.split()[1] for line in result.stdout.splitlines() if line.startswith("script")] == ["four", "three"]
    assert result.stdout.endswith("Not shown: 1; --limit shows more.\n")


def test_reports_that_were_dropped_are_told_of(database: Database) -> None:
    full = SqlCspReportStore(database, max_distinct=1)
    full.record([make_violation("a")], NOW)
    full.record([make_violation("b")] * 3, NOW)

    assert run(full).stdout.endswith("Dropped because the store was full: 3; --clear makes room for new ones.\n")
    assert json.loads(run(full, "--format", "json").stdout)["dropped"] == 3


def test_clearing_forgets_everything(store: SqlCspReportStore) -> None:
    store.record([make_violation("a"), make_violation("b")], NOW)

    first, second = run(store, "--clear"), run(store, "--clear", "--format", "json")

    assert (first.exit_code, first.output) == (0, "Violations that were forgotten: 2.\n")
    assert json.loads(second.stdout) == {"cleared": 0}
    assert store.list_reports() == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_terminal_acts_on_is_escaped_even_if_the_database_holds_it(
    database: Database, store: SqlCspReportStore, form: str
) -> None:
    store.record([make_violation(source_file="/x.js", line=1)], NOW)
    bad = "\x1b]0;x\x07\x9b31m\u202e\n"
    with database.transaction() as connection:
        statement = "UPDATE guard_csp_reports SET directive = :bad, blocked = :bad, document = :bad, source_file = :bad"
        connection.execute(text(statement), {"bad": bad})

    result = run(store, "--format", form)

    assert result.exit_code == 0
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(result.stdout)
    assert r"\x1b" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--since", "soon"], "'--since': must be a duration", id="no duration"),
        pytest.param(["--since", "0"], "'--since': must be a duration above zero", id="no time"),
        pytest.param(["--limit", "0"], "'--limit'", id="no entries"),
        pytest.param(["--clear", "--since", "7d"], "--clear forgets all reports", id="both"),
        pytest.param(["--format", "xml"], "is not one of 'text', 'json'", id="format"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    database: Database, store: SqlCspReportStore, arguments: list[str], sentence: str
) -> None:
    store.record([make_violation()], NOW)

    result = run(store, *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert len(store.list_reports()) == 1


@pytest.mark.parametrize("arguments", [[], ["--clear"]], ids=["list", "clear"])
def test_a_database_that_is_down_is_exit_code_2(arguments: list[str]) -> None:
    result = run(SqlCspReportStore(Database.from_url("postgresql://u@127.0.0.1:1/d")), *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "does not answer" in result.stderr
    assert "Traceback" not in result.output
