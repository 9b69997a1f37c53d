"""What the guides claim and no block of theirs shows."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import MetaData, create_engine

from flask_guard import Guard

from .pages import DOCS, ROOT, read_blocks, read_tables, unquote


def test_the_filter_for_alembic_hides_guards_tables(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shared.sqlite3'}")
    app = Flask("app")
    guard = Guard(app, engine=engine)
    with app.app_context():
        guard.api_keys.create("report")
    blocks = read_blocks((DOCS / "guides" / "your-own-database.md").read_text("utf-8"))
    namespace: dict[str, Any] = {}
    exec(next(block.text for block in blocks if "def include_name" in block.text), namespace)  # noqa: S102

    with engine.connect() as connection:
        filtered = _compare(connection, include_name=namespace["include_name"])
        unfiltered = _compare(connection)

    engine.dispose()
    assert filtered == []
    assert {change[0] for change in unfiltered} >= {"remove_table"}


def _compare(connection: Any, **options: Any) -> list[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipped unsupported reflection of expression-based index")
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), MetaData())
    return found


def test_the_route_map_needs_no_secret() -> None:
    """CI can compare the lock file without the settings of production."""
    app = Flask("app")
    Guard(app)

    assert app.test_cli_runner().invoke(args=["guard", "routes"]).exit_code == 0


def test_the_loggers_are_those_that_the_guide_lists() -> None:
    guide = (DOCS / "guides" / "answers-and-logs.md").read_text("utf-8")
    tables = [rows for heading, rows in read_tables(guide) if heading == "4. Read the log"]
    sources = {path: path.read_text("utf-8") for path in (ROOT / "flask_guard").rglob("*.py")}

    named = {name for text in sources.values() for name in re.findall(r'getLogger\("(flask_guard[.\w]*)"\)', text)}
    for path, text in sources.items():
        if "getLogger(__name__)" in text:
            named.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert {unquote(row[0]) for row in tables[1][1:]} == named
