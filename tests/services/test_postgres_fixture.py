"""The PostgreSQL of the tests is real, empty for whoever asks, and closed to other machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, inspect, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tests.services import postgres_server as postgres


def ask(url: str | URL, statement: str) -> object:
    """Run one statement in a transaction of its own and return its first value, if it has any."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        result = connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


def test_the_server_is_postgresql(postgres_url: str) -> None:
    assert str(ask(postgres_url, "SELECT version()")).startswith("PostgreSQL ")
    assert make_url(postgres_url).drivername == "postgresql+psycopg"


@pytest.mark.skipif(postgres.ADDRESS_VARIABLE in os.environ, reason="the server is not one that we started")
def test_a_server_started_here_listens_on_loopback_only(postgres_url: str) -> None:
    assert ask(postgres_url, "SHOW listen_addresses") == "127.0.0.1"


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_gets_an_empty_database(postgres_db: str, postgres_url: str, turn: str) -> None:
    assert inspect(create_engine(postgres_db, poolclass=NullPool)).get_table_names() == []
    assert make_url(postgres_db).database != make_url(postgres_url).database

    ask(postgres_db, "CREATE TABLE left_behind (id integer)")  # The other turn must not find it.


def test_a_database_is_dropped_even_while_somebody_is_connected(postgres_server: URL) -> None:
    with postgres.fresh_database(postgres_server) as url:
        connection = create_engine(url, poolclass=NullPool).connect()
        connection.execute(text("SELECT 1"))

    with pytest.raises(OperationalError, match="does not exist"):
        ask(url, "SELECT 1")
    connection.invalidate()
    connection.close()


def test_both_kinds_of_database_answer(database_url: str) -> None:
    ask(database_url, "CREATE TABLE note (id integer)")

    assert ask(database_url, "SELECT count(*) FROM note") == 0


@pytest.mark.parametrize(
    ("address", "drivername"),
    [
        pytest.param("postgres://u:p@h:1/d", "postgresql+psycopg", id="short"),
        pytest.param("postgresql://u:p@h:1/d", "postgresql+psycopg", id="no driver"),
        pytest.param("postgresql+psycopg://u:p@h:1/d", "postgresql+psycopg", id="psycopg"),
    ],
)
def test_an_address_from_the_environment_means_psycopg(address: str, drivername: str) -> None:
    url = postgres.parse_address(address)

    assert url.drivername == drivername
    assert (url.username, url.password, url.host, url.port, url.database) == ("u", "p", "h", 1, "d")


def test_without_a_server_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(postgres, "find_bin_folder", lambda: None)

    with pytest.raises(postgres.PostgresUnavailable, match=postgres.ADDRESS_VARIABLE):
        postgres.PostgresServer(tmp_path).get_url()
