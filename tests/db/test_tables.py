"""Columns that mean the same on every database, and names that keep Guard's tables apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Dialect, Integer, MetaData, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from flask_guard.db.engine import Database
from flask_guard.db.tables import UtcDateTime, metadata

zones = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(timezone)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2300, 1, 1), timezones=zones)


def test_every_name_begins_with_guard() -> None:
    names = [name for table in metadata.tables.values() for name in (table.name, *(i.name for i in table.indexes))]

    assert names
    assert all(str(name).startswith("guard_") for name in names)


@given(moments, moments)
def test_on_sqlite_moments_sort_as_text_as_they_do_in_time(first: datetime, second: datetime) -> None:
    """Comparisons in SQL compare what SQLAlchemy stores: ISO text without a zone."""
    column = UtcDateTime()
    write = column.bind_processor(sqlite.dialect())
    read = column.result_processor(sqlite.dialect(), None)
    assert write is not None
    assert read is not None

    assert (write(first) < write(second)) == (first < second)
    assert read(write(first)) == first


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=lambda dialect: dialect.name)
def test_a_moment_without_a_zone_is_refused(dialect: Dialect) -> None:
    with pytest.raises(ValueError, match="time zone"):
        UtcDateTime().process_bind_param(datetime(2026, 11, 21), dialect)


def test_whatever_the_zone_of_the_session_moments_come_back_in_utc(database: Database) -> None:
    table = Table("guard_x", MetaData(), Column("id", Integer), Column("at", UtcDateTime))
    moment = datetime(2026, 10, 25, 0, 59, 59, 999999, tzinfo=UTC)  # an hour that Berlin has twice

    with database.transaction() as connection:
        if database.dialect_name == "postgresql":
            connection.exec_driver_sql("SET TIME ZONE 'Europe/Berlin'")
        table.create(connection)
        connection.execute(insert(table), [{"id": 1, "at": moment}, {"id": 2, "at": None}])
        found = connection.execute(select(table.c.at).order_by(table.c.id)).scalars().all()

    assert found == [moment, None]
    assert found[0].tzinfo is UTC
