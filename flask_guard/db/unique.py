"""Whether a value is taken, asked of the application's own database: what `schemas.Unique` is answered by.

The Session is the application's, so the tenant's filter holds, and rows that are written but not committed count;
where the application has brought an engine alone, the filter holds in a Session of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, Select, SingletonThreadPool, StaticPool, and_, func, inspect, literal, not_, select
from sqlalchemy.orm import Session

from ..errors import UniqueCheckFailed


class SqlUniqueLookup:
    """Implements `protocols.UniqueLookup`. open_session: returns the Session of the current request or job."""

    def __init__(self, open_session: Callable[[], Session]) -> None:
        self._open_session = open_session
        self._closes = False

    @classmethod
    def on_engine(cls, engine: Engine) -> SqlUniqueLookup:
        """Return a look-up for an application that keeps no Session: each asks in a Session of its own."""

        def open_session() -> Session:
            if _has_open_transaction(engine):
                # The end of ours would roll it back.
                raise UniqueCheckFailed(
                    detail="the engine has one connection, and a transaction is open on it: say Unique(..., "
                    "lookup=SqlUniqueLookup(...)) with the Session that it belongs to, or use another pool"
                )
            return Session(engine)

        lookup = cls(open_session)
        lookup._closes = True
        return lookup

    def is_taken(self, column: Any, value: Any, *, existing: Any, ignore_case: bool) -> bool:
        """Tell whether a row that the bound tenant sees, other than `existing`, has this value.

        column: of a mapped class. existing: an object of that class, None for a new one; any other counts as none.
        ignore_case: by the database's `lower`, which on SQLite knows the letters of ASCII only.
        """
        query = _make_query(column, value, existing, ignore_case=ignore_case)
        session = self._open_session()
        try:
            with session.no_autoflush:
                return session.execute(query).first() is not None
        finally:
            if self._closes:
                session.close()


def _has_open_transaction(engine: Engine) -> bool:
    """Say whether a pool of one connection, such as that of SQLite in memory, has one that is being written to."""
    if isinstance(engine.pool, StaticPool):
        driver: Any = engine.pool.connection.dbapi_connection
    elif isinstance(engine.pool, SingletonThreadPool):
        with engine.connect() as connection:  # that of this thread, which stays open while another holds it
            driver = connection.connection.dbapi_connection
    else:
        return False
    return bool(getattr(driver, "in_transaction", True))


def _make_query(column: Any, value: Any, existing: Any, *, ignore_case: bool) -> Select[Any]:
    model = column.class_
    is_same = func.lower(column) == func.lower(value) if ignore_case else column == value
    query = select(literal(1)).select_from(model).where(is_same).limit(1)
    if not isinstance(existing, model):
        return query
    state: Any = inspect(existing)
    if state.identity is None:
        return query
    keys = zip(state.mapper.primary_key, state.identity, strict=True)
    return query.where(not_(and_(*(key == part for key, part in keys))))
