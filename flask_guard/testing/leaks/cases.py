"""`tenant_leak_cases`: the leak paths of a model as parameters of a pytest test."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, Table, inspect
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import Mapper, Session, scoped_session

from ...values import Principal
from .inserts import INSERTS
from .memory import MEMORY
from .paths import Path
from .reads import READS
from .relations import find_relation_paths
from .rows import Make, RowMaker, find_tenant_name
from .texts import TEXTS
from .world import LeakFound, Subject, find_column_name, is_refusal, world_of
from .writes import WRITES

Sessions = Session | scoped_session[Any] | Engine | Callable[[], Session]


@dataclass(frozen=True, slots=True)
class LeakCase:
    """One path of one model. `run` raises LeakFound, which names the path, when there is a leak on it."""

    subject: Subject
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def run(self) -> None:
        """Make rows of two tenants, try the path as one of them, remove the rows.

        What is refused or comes back empty passes. Any other error is raised as it is: a model that cannot be
        tried must not look tight. Skips the test where the database has no such path.
        """
        with warnings.catch_warnings(), world_of(self.name, self.subject) as world:
            warnings.simplefilter("ignore", SAWarning)  # of products and of rows that are not there: both are meant
            if self.path.dialects and world.dialect not in self.path.dialects:
                pytest.skip(f"{world.dialect} has no such path")
            try:
                result = self.path.attack(world)
            except LeakFound:
                raise
            except Exception as error:
                if not is_refusal(error, by_constraint=self.path.by_constraint):
                    raise
            else:
                world.judge(result)

    def __str__(self) -> str:
        return self.name


def tenant_leak_cases(
    session: Sessions,
    model: type,
    *,
    make: Make | Mapping[type, Make] | None = None,
    tenants: tuple[str, str] | None = None,
    principal: Principal | None = None,
) -> list[Any]:
    """Return every path to another tenant's rows of a model, as `pytest.param(case, id=<the path's name>)`.

    session: a sessionmaker, a function that returns a new session, a scoped session, an engine, or a session whose
    engine is used. It is called by `LeakCase.run`, so it need not work when the parameters are made.
    make: returns an unsaved object for a tenant's id, or such functions by class; without it rows are made by
    the types of their columns. tenants: ids that rows can be made for; without them ids that are nobody's.
    principal: who owns the rows of both tenants, where rows have owners.
    Raises ValueError for a class that is not mapped to a table.
    """
    mapper = _find_mapper(model)
    tenant_name = find_tenant_name(mapper)
    subject = Subject(
        model=model,
        mapper=mapper,
        open=_opener(session, mapper),
        maker=RowMaker(make, model),
        principal=principal or Principal("leak-kit"),
        tenant_name=tenant_name,
        column_name=find_column_name(mapper, tenant_name),
        tenants=tenants,
    )
    given = _given(subject)
    paths = (*READS, *TEXTS, *MEMORY, *WRITES, *INSERTS, *find_relation_paths(mapper))
    return [pytest.param(LeakCase(subject, path), id=path.name) for path in paths if path.needs <= given]


def _find_mapper(model: type) -> Mapper[Any]:
    mapper: Any = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper) or not isinstance(mapper.local_table, Table):
        raise ValueError(f"{model!r} is not mapped to a table")
    return mapper


def _given(subject: Subject) -> set[str]:
    """Return what a model has of what paths need."""
    given = set()
    column = subject.tenant_column
    if column is not None and not column.primary_key:
        given.add("tenant")
    if subject.column_name is not None:
        given.add("column")
    if len(subject.mapper.tables) == 1:
        given.add("one table")
    return given


def _opener(session: Any, mapper: Mapper[Any]) -> Callable[[], Session]:
    if isinstance(session, scoped_session):
        return lambda: session.session_factory()
    if isinstance(session, Session):
        bind = session.get_bind(mapper)
        return lambda: Session(bind if isinstance(bind, Engine) else bind.engine)
    if isinstance(session, Engine):
        return lambda: Session(session)
    if not callable(session):
        raise ValueError("tenant_leak_cases takes a session, a sessionmaker or a function that returns sessions")
    return session  # type: ignore[no-any-return]
