"""Every known path to another tenant's rows is closed, on every kind of table; and every one is open without the guard.

The second half is what makes the first one a test: a path that leaks nowhere would prove nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from flask_guard.db import TenantMixin
from flask_guard.testing import LeakCase, tenant_leak_cases
from tests.services.postgres_server import fresh_database

from .leak_models import ARCHIVE, declare, prepare_sqlite

ROOT = Path(__file__).parents[2]
MODELS = declare(guarded=True)
# What SQLAlchemy 2.1 refuses by itself.
CLOSED_BY_SQLALCHEMY = set() if sqlalchemy.__version__.startswith("2.0.") else {"statement compiled beforehand"}

assert TenantMixin  # importing it is what guards the process


class Place:
    """Where the sessions of this module are opened; a fixture says it, after the cases are made."""

    engine: Engine

    def open(self) -> Session:
        return Session(self.engine)


PLACE = Place()
CASES = [
    pytest.param(case.values[0], id=f"{name}-{case.id}")
    for name, model in MODELS.classes.items()
    for case in tenant_leak_cases(PLACE.open, model)
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('leaks') / 'leaks.db'}"
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as database:
        yield database


@pytest.fixture(scope="module")
def place(url: str) -> Iterator[None]:
    """Give the cases a database with every table, made without a tenant."""
    PLACE.engine = engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)
    else:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {ARCHIVE}"))
    MODELS.metadata.create_all(engine)
    yield
    engine.dispose()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("case", CASES)
def test_a_path_to_another_tenants_rows_is_closed(case: LeakCase) -> None:
    case.run()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def unguarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What came of every path in a process that guards nothing."""
    if request.param == "sqlite":
        return _try_unguarded(f"sqlite:///{tmp_path_factory.mktemp('open') / 'open.db'}")
    with fresh_database(request.getfixturevalue("postgres_server")) as database:
        return _try_unguarded(database)


def _try_unguarded(url: str) -> dict[str, dict[str, str]]:
    command = [sys.executable, "-m", "tests.tenancy.unguarded", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@pytest.mark.parametrize("name", MODELS.classes)
def test_every_path_leaks_where_nothing_is_guarded(unguarded: dict[str, dict[str, str]], name: str) -> None:
    outcomes = {path: outcome for path, outcome in unguarded[name].items() if outcome != "skipped"}

    assert len(outcomes) > 90
    assert {path: outcome for path, outcome in outcomes.items() if outcome != "leak"}.keys() == CLOSED_BY_SQLALCHEMY
