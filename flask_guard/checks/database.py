"""Checks of the databases that an application uses: who it is there, what it may, and who can read along.

Rule: how one develops is not told: a file of one's own, a superuser on this machine and a log of statements are
findings in production only. A file that the web server hands out is one everywhere.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..errors import StoreUnavailable
from ..pipeline.runtime import Runtime
from ..values import Finding, Level
from .registry import register_check

if TYPE_CHECKING:
    from ..db.hardening import DatabaseFacts

# Read by the first check of a run and kept for the others: a server that is down is waited for once.
_read: WeakKeyDictionary[Runtime, list[DatabaseFacts]] = WeakKeyDictionary()

Judge = Callable[["DatabaseFacts", Runtime], Iterable[tuple[Level, str, str]]]


def _register(check_id: str, *, in_production: bool = True) -> Callable[[Judge], Judge]:
    """Register what judges the facts of one database, each of which is judged by itself."""

    def add(judge: Judge) -> Judge:
        @register_check(check_id)
        def check(runtime: Runtime) -> Iterator[Finding]:
            if in_production and not runtime.settings.is_production:
                return
            for facts in _list_facts(runtime, is_first=check_id == "FG-DB-001"):
                for level, message, remedy in judge(facts, runtime):
                    yield Finding(check_id, level, message, remedy)

        return judge

    return add


def _list_facts(runtime: Runtime, *, is_first: bool) -> list[DatabaseFacts]:
    if is_first or runtime not in _read:
        hardening = importlib.import_module("flask_guard.db.hardening")
        _read[runtime] = [hardening.read_facts(engine) for engine in _find_engines(runtime)]
    return _read[runtime]


def _find_engines(runtime: Runtime) -> list[Any]:
    """Return the engines of the application and of Guard's own tables, each database once."""
    app = runtime.app
    extension = app.extensions.get("sqlalchemy")
    with app.app_context():
        engines = list(getattr(extension, "engines", {}).values())
        with suppress(StoreUnavailable):  # a database that Guard's own tables cannot be in
            engines.append(runtime.database.engine)
    return list({engine.url: engine for engine in engines}.values())


@_register("FG-DB-001", in_production=False)
def check_answer(facts: DatabaseFacts, _runtime: Runtime) -> Iterable[tuple[Level, str, str]]:
    if not facts.answers:
        yield (
            Level.WARNING,
            f"{facts.address} does not answer, so nobody looked at what it lets the application do.",
            "Run the check where the database can be reached.",
        )


@_register("FG-DB-002")
def check_tls(facts: DatabaseFacts, _runtime: Runtime) -> Iterable[tuple[Level, str, str]]:
    if facts.is_remote and not facts.is_encrypted:
        yield (
            Level.ERROR,
            f"The connection to {facts.address} is not encrypted, or need not be.",
            "Add ?sslmode=verify-full to its URL, and sslrootcert; sslmode=require at the least.",
        )


@_register("FG-DB-003")
def check_superuser(facts: DatabaseFacts, _runtime: Runtime) -> Iterable[tuple[Level, str, str]]:
    role = facts.role
    if role is not None and (role.is_superuser or role.bypasses_row_security):
        what = "a superuser" if role.is_superuser else "past row security (BYPASSRLS)"
        yield (
            Level.ERROR,
            f"The application is {what} in {facts.address}, as {role.name}.",
            "Connect as a role that `flask guard deploy postgres` makes.",
        )


@_register("FG-DB-004")
def check_owner(facts: DatabaseFacts, _runtime: Runtime) -> Iterable[tuple[Level, str, str]]:
    role = facts.role
    if role is not None and role.owned_tables:
        yield (
            Level.WARNING,
            f"The application owns {role.owned_tables} tables in {facts.address}: it may drop and alter them.",
            "Let one role own the tables and run migrations, and another one serve requests.",
        )


@_register("FG-DB-005")
def check_mode(facts: DatabaseFacts, _runtime: Runtime) -> Iterable[tuple[Level, str, str]]:
    if facts.file_mode is not None and facts.file_mode & 0o077:
        yield (
            Level.ERROR,
            f"Other users of this machine may open the database {facts.file} (mode {facts.file_mode:04o}).",
            "Run chmod 600 on it, and on the files beside it that begin with its name.",
        )


@_register("FG-DB-006", in_production=False)
def check_static(facts: DatabaseFacts, runtime: Runtime) -> Iterable[tuple[Level, str, str]]:
    if facts.file is not None and any(facts.file.resolve().is_relative_to(folder) for folder in _list_static(runtime)):
        yield (
            Level.ERROR,
            f"The database {facts.file} lies in a folder whose files are served to everybody.",
            "Move it, for example to the instance folder.",
        )


def _list_static(runtime: Runtime) -> Iterator[Path]:
    for place in (runtime.app, *runtime.app.blueprints.values()):
        if place.static_folder is not None:
            yield Path(place.static_folder).resolve()


@_register("FG-DB-007")
def check_timeout(facts: DatabaseFacts, runtime: Runtime) -> Iterable[tuple[Level, str, str]]:
    is_in_use = facts.file is not None or facts.dialect != "sqlite"
    has_own = facts.role is not None and facts.role.statement_timeout_ms > 0
    if is_in_use and facts.answers and not has_own and not runtime.settings.database.query_timeout_s:
        yield (
            Level.WARNING,
            f"A statement in {facts.address} may run for as long as it likes.",
            "Set GUARD_QUERY_TIMEOUT, for example to 10s.",
        )


@_register("FG-DB-008")
def check_grants(facts: DatabaseFacts, _runtime: Runtime) -> Iterable[tuple[Level, str, str]]:
    role = facts.role
    if role is not None and (role.may_create or role.altering_tables):
        what = "create tables or schemas" if role.may_create else "empty tables, refer to them or put triggers on them"
        yield (
            Level.WARNING,
            f"The application may {what} in {facts.address}, as {role.name}.",
            "Grant SELECT, INSERT, UPDATE and DELETE, as `flask guard deploy postgres` does.",
        )


@_register("FG-DB-009")
def check_echo(facts: DatabaseFacts, _runtime: Runtime) -> Iterable[tuple[Level, str, str]]:
    if facts.is_echoing:
        yield (
            Level.ERROR,
            f"Every statement in {facts.address} is logged with its values.",
            "Make the engine without echo; with Flask-SQLAlchemy, unset SQLALCHEMY_ECHO.",
        )
