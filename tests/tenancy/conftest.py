"""Databases of the ledger, made once for a module: with two tenants, and with one alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import URL

from tests.services.postgres_server import fresh_database

from .ledger import FOREIGN, OWN, Places, fill, make_engine


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("ledger")
        yield from _filled(f"sqlite:///{folder / 'both.db'}", f"sqlite:///{folder / 'own.db'}")
        return
    server: URL = request.getfixturevalue("postgres_server")
    with fresh_database(server) as both, fresh_database(server) as own:
        yield from _filled(both, own)


def _filled(both_url: str, own_url: str) -> Iterator[Places]:
    places = Places(make_engine(both_url), make_engine(own_url))
    fill(places.both, OWN, FOREIGN)
    fill(places.own, OWN)
    yield places
    places.both.dispose()
    places.own.dispose()
