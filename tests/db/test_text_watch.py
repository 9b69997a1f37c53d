"""A value of the request that was pasted into a statement is told of; a parameter is not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, create_engine, literal_column, select, text

from flask_guard.db.identifiers import quote_identifier
from flask_guard.db.text_watch import ValueInText, watch_text

SENT = ["b' OR 1=1", "title", "abc", ""]
ATTACK, WORD, SHORT, _ = SENT


@pytest.fixture
def connection() -> Iterator[Connection]:
    stop = watch_text(lambda: SENT)
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    stop()
    engine.dispose()


PASTED: dict[str, Callable[[Connection], Any]] = {
    "text": lambda c: c.execute(text(f"SELECT 'a' = '{ATTACK} --'")),
    "inside-a-select": lambda c: c.execute(select(1).where(text(f"'a' = '{WORD}'"))),
    "driver": lambda c: c.exec_driver_sql(f"SELECT 1 AS {WORD}"),
    "half-quoted": lambda c: c.exec_driver_sql(f'SELECT 1 AS "{WORD}s"'),
}
HARMLESS: dict[str, Callable[[Connection], Any]] = {
    "parameter": lambda c: c.execute(text("SELECT :a"), {"a": ATTACK}),
    "bound": lambda c: c.execute(text("SELECT :a").bindparams(bindparam("a", ATTACK))),
    "element": lambda c: c.execute(select(literal_column("1").label(WORD))),
    "driver-parameter": lambda c: c.exec_driver_sql("SELECT ?", (ATTACK,)),
    "quoted": lambda c: c.execute(text(f"SELECT 1 AS {quote_identifier(WORD)}")),
    "short": lambda c: c.execute(text(f"SELECT '{SHORT}'")),
}


@pytest.mark.parametrize("run", PASTED.values(), ids=PASTED)
def test_a_value_in_the_text_is_told_of_without_its_words(connection: Connection, run: Callable[..., Any]) -> None:
    with pytest.warns(ValueInText) as told:
        run(connection).close()

    assert all(value not in str(warning.message) for warning in told for value in (ATTACK, WORD))


@pytest.mark.parametrize("run", HARMLESS.values(), ids=HARMLESS)
def test_a_parameter_and_a_quoted_name_are_not(connection: Connection, run: Callable[..., Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(connection).close()


def test_a_watch_ends() -> None:
    watch_text(lambda: SENT)()

    with create_engine("sqlite://").connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("error")
        PASTED["driver"](connection).close()
