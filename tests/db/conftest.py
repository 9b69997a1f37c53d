"""A database of Guard's own for a test, without tables; once for each kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_guard.db.engine import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database.from_url(database_url)
    yield database
    database.close()
