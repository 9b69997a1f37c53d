"""Selects that nobody has thought of: each gives what it would give if the other tenant's rows were not there at all.

Two databases: in one there are the rows of both tenants, in the other one's own only. The same statement must have the
same answer in both, so that counts, EXISTS and outer joins are compared too and not only what is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Engine, Select, create_engine, func, insert, select
from sqlalchemy.orm import Session

from flask_guard import tenant_scope
from flask_guard.db import unscoped
from tests.services.postgres_server import fresh_database

from .random_models import FOREIGN, MARKER, OWN, Author, Base, Book, book_topics, make_rows, make_topics
from .random_selects import selects

EXAMPLES = {"sqlite": 200, "postgresql": 80}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    """Two databases: with the rows of both tenants, and without those of the other one."""
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("selects")
        made = [create_engine(f"sqlite:///{folder / name}.db") for name in ("both", "own")]
        yield _fill(*made)
    else:
        server = request.getfixturevalue("postgres_server")
        with fresh_database(server) as first, fresh_database(server) as second:
            made = [create_engine(url) for url in (first, second)]
            yield _fill(*made)
            for engine in made:
                engine.dispose()
    for engine in made:
        engine.dispose()


def _fill(both: Engine, own: Engine) -> list[Engine]:
    for engine, tenants in ((both, (OWN, FOREIGN)), (own, (OWN,))):
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all(make_topics())
            session.commit()
        for tenant in tenants:
            first, text = (1, "own") if tenant == OWN else (2, MARKER)
            authors, books, topics = make_rows(tenant, first_id=first, step=2, text=text)
            with tenant_scope(tenant), Session(engine) as session:
                session.execute(insert(Author), authors)
                session.execute(insert(Book), books)
                session.execute(insert(book_topics), topics)
                session.commit()
    return [both, own]


def _answer(engine: Engine, statement: Select[Any]) -> Counter[str]:
    """Return the rows in no order, entities by their columns."""
    with tenant_scope(OWN):
        return _ask(engine, statement)


def _ask(engine: Engine, statement: Select[Any]) -> Counter[str]:
    with Session(engine) as session:
        return Counter(repr([_shown(value) for value in row]) for row in session.execute(statement).unique())


def _shown(value: Any) -> Any:
    if isinstance(value, Base):
        return {name: getattr(value, name) for name, _ in value.__mapper__.column_attrs.items()}
    return value


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # products that are meant
def test_no_select_tells_that_another_tenant_is_there(engines: list[Engine]) -> None:
    both, own = engines

    @settings(
        max_examples=EXAMPLES[both.dialect.name],
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
    )
    @given(selects())
    def compare(statement: Select[Any]) -> None:
        answer = _answer(both, statement)

        assert not any(MARKER in row or FOREIGN in row for row in answer)
        assert answer == _answer(own, statement)

    compare()


@pytest.mark.parametrize(
    "statement", [select(Author), select(func.count()).select_from(book_topics)], ids=["values", "a count"]
)
def test_the_comparison_would_tell(engines: list[Engine], statement: Select[Any]) -> None:
    both, own = engines

    with unscoped(reason="the test looks at what it would find"):
        assert _ask(both, statement) != _ask(own, statement)
