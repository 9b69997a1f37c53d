"""Checks of row security: what `flask guard rls check` finds in the PostgreSQL databases of the application.

Rule: one that has tables of tenants and has never been put under row security is told so once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

from ..pipeline.runtime import Runtime
from ..values import Finding, Level
from .registry import register_check


def find_targets(runtime: Runtime) -> list[tuple[Any, list[Any]]]:
    """Return (engine, protected tables) for each PostgreSQL database of the application that has any.

    The engines are those of Flask-SQLAlchemy, by bind key, or of Flask-SQLAlchemy-Lite; without either the one that
    Guard was given, or that of GUARD_DATABASE_URL.
    """
    rules = importlib.import_module("flask_guard.tenancy.rules")
    tables = rules.list_protected()
    targets = [
        (engine, [table for table in tables if table.metadata.info.get("bind_key") == key])
        for key, engine in _list_engines(runtime).items()
    ]
    return [(engine, own) for engine, own in targets if own and engine.dialect.name == "postgresql"]


def _list_engines(runtime: Runtime) -> dict[str | None, Any]:
    extension = runtime.app.extensions.get("sqlalchemy")
    if extension is None:
        return {None: next(iter(runtime.find_engines()), None) or runtime.database.engine}
    with runtime.app.app_context():
        # Lite calls the engine without a name "default".
        return {None if key == "default" else key: engine for key, engine in extension.engines.items()}


@register_check("FG-RLS-001")
def check_row_security(runtime: Runtime) -> Iterator[Finding]:
    if not _may_have_tables():
        return
    check = importlib.import_module("flask_guard.tenancy.rls.check")
    for engine, tables in find_targets(runtime):
        with engine.connect() as connection:
            if check.is_in_use(connection, tables):
                connection.rollback()
                yield from check.check(connection, tables)
                continue
        yield Finding(
            "FG-RLS-001",
            Level.WARNING,
            f"Tables of tenants in {engine.url.database} have no row security: our filter is the only one.",
            "Run `flask guard rls apply` as the owner of the tables; see the guide on row security.",
        )


def _may_have_tables() -> bool:
    """Say whether a model of this process has a mixin or a policy: without one, not even SQLAlchemy is loaded."""
    return "flask_guard.tenancy.rules" in sys.modules
