"""PostgreSQL for tests: one server a run, and a database of its own for whoever asks.

The address in FLASK_GUARD_TEST_POSTGRES_URL is used first (its user must be allowed to create databases), else one
is started (`postgres_server`). None at all is a failure, not a skip.
Roles belong to the whole server, so a test that creates one gives it a name that no other test has.
Rule: the process that begins the run (under xdist the controller) owns the folder and stops the server;
the first worker that needs the server starts it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from tests.services.postgres_server import (
    ADDRESS_VARIABLE,
    PostgresServer,
    PostgresUnavailable,
    fresh_database,
    parse_address,
)

FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the server's folder in the process that begins the run; an xdist worker is told."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is not None:
        config.stash[FOLDER] = Path(workerinput["postgres_folder"])
        return

    # Not pytest's own temporary folder: that one is closed to the user the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="flask-guard-postgres-"))
    folder.chmod(0o755)
    config.stash[FOLDER] = folder


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where the server's folder is."""
    node.workerinput["postgres_folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server when the whole run is over."""
    if not hasattr(config, "workerinput"):
        PostgresServer(config.stash[FOLDER]).stop()


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> URL:
    """The server's own address, as a user who may create databases and roles."""
    address = os.environ.get(ADDRESS_VARIABLE)
    if address:
        return parse_address(address)

    try:
        return PostgresServer(pytestconfig.stash[FOLDER]).get_url()
    except PostgresUnavailable as exc:
        pytest.fail(str(exc), pytrace=False)


@pytest.fixture(scope="session")
def postgres_url(postgres_server: URL) -> Iterator[str]:
    """A database of this worker's own, the same for all its tests: they clear up what they leave."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_db(postgres_server: URL) -> Iterator[str]:
    """A new, empty database for one test."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database for one test, which runs once for each kind we support."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_db")
    return url
