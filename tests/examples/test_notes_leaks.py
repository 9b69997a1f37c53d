"""No path leads from one customer's notes to another's: behind the guard, behind row-level security, behind both."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from flask_guard.tenancy import engines
from flask_guard.tenancy.rls import context
from flask_guard.tenancy.rls.apply import apply
from flask_guard.testing import LeakCase, tenant_leak_cases
from tests.services.postgres_server import fresh_database
from tests.tenancy.rls.world import make_world, remove_roles

from .support import EXAMPLES

LAYERS = ["guard-sqlite", "guard-postgresql", "rls-postgresql", "both-postgresql"]


def _import_models() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
        return importlib.import_module("notes.models")


MODELS = _import_models()


class Place:
    """Where the sessions of this module are opened; a fixture says it, after the cases are made."""

    engine: Engine

    def open(self) -> Session:
        return Session(self.engine)


PLACE = Place()


@pytest.fixture(scope="module", params=LAYERS)
def place(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the cases the tables of the example in a database of their own, behind one layer or both."""
    layer, dialect = request.param.split("-")
    if dialect == "sqlite":
        yield from _open(create_engine("sqlite://", poolclass=StaticPool))
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        if layer == "guard":
            yield from _open(create_engine(url))
            return
        with pytest.MonkeyPatch.context() as patch:
            if layer == "rls":
                # SQLAlchemy's own compiler and execution in the place of the guarded ones.
                patch.setattr(engines, "_mix", lambda _guarded, original: original)
            yield from _open_behind_policies(url, is_guarded=layer == "both")


def _open(engine: Engine) -> Iterator[None]:
    PLACE.engine = engine
    MODELS.Base.metadata.create_all(engine)
    yield
    engine.dispose()


def _open_behind_policies(url: str, *, is_guarded: bool) -> Iterator[None]:
    context.install()
    world = make_world(url)
    with world.engine(world.owner) as owner, owner.connect() as connection:
        MODELS.Base.metadata.create_all(connection)
        connection.commit()
        assert apply(connection, MODELS.Base.metadata.sorted_tables)
    world.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {world.application}")
    with world.engine(world.application) as PLACE.engine:
        with PLACE.engine.connect() as connection:
            compiler = connection.dialect.statement_compiler
        assert (compiler is not PLACE.engine.dialect.statement_compiler) == is_guarded
        yield
    remove_roles(world)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("case", tenant_leak_cases(PLACE.open, MODELS.Note))
def test_no_path_leads_to_another_customers_notes(case: LeakCase) -> None:
    case.run()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("case", tenant_leak_cases(PLACE.open, MODELS.Comment))
def test_no_path_leads_to_another_customers_comments(case: LeakCase) -> None:
    case.run()
