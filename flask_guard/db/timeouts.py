"""How long one statement may take: PostgreSQL cancels it, SQLite is interrupted, and the caller gets 504.

    with query_timeout("2s"):
        session.execute(...)

    @app.get("/report")
    @query_timeout("30s")
    def report(): ...

Relies on SQLAlchemy. Rules: the limit of PostgreSQL lives in the transaction and nowhere else, because behind a
pooler the next transaction is somebody else's; a statement that ran too long is QueryTimeout whoever stopped it.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from ..config.kinds import duration_s
from ..errors import ConfigError, QueryTimeout
from ..tenancy.time_limits import APPLIED, as_milliseconds, enter_limit, find_time_limit_s, leave_limit

View = TypeVar("View", bound=Callable[..., Any])

# Steps of SQLite's machine between two looks at the clock. Alone, 1 000 cost no more than 1 000 000. Beside one
# busy thread each look waits for the interpreter: a query of 0.3 s took 9 s with 1 000 and 1.2 s with 10 000
# (SQLite 3.40, Python 3.11); 10 000 steps are some 0.2 ms.
SQLITE_STEPS: Final = 10_000
_NEVER: Final = float("inf")
_UNTOLD: Final = (object(), 0.0)
# PostgreSQL: query_canceled. MySQL: ER_QUERY_TIMEOUT. MariaDB: ER_STATEMENT_TIMEOUT.
_TIMEOUTS: Final = frozenset({"57014", "SQLITE_INTERRUPT", 3024, 1969})


class QueryLimit:
    """What `query_timeout` returns: a context manager, and a decorator of functions. Threads may share it."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s

    def __enter__(self) -> None:
        enter_limit(self.limit_s)

    def __exit__(self, *_error: object) -> None:
        leave_limit()

    def __call__(self, view: View) -> View:
        """Return the function with each call of it in the block; an asynchronous one too."""
        if not inspect.isroutine(view) or inspect.isgeneratorfunction(view) or inspect.isasyncgenfunction(view):
            raise ConfigError(f"query_timeout() decorates a function that returns its answer, not {view!r}.")
        if inspect.iscoroutinefunction(view):

            @functools.wraps(view)
            async def answer_later(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await view(*args, **kwargs)

            return cast(View, answer_later)

        @functools.wraps(view)
        def answer(*args: Any, **kwargs: Any) -> Any:
            with self:
                return view(*args, **kwargs)

        return cast(View, answer)


def query_timeout(limit: str | float) -> QueryLimit:
    """Limit each statement of a block or of a view: `with query_timeout("2s"):`, `@query_timeout("30s")`.

    limit: "2s", or seconds; 0 lifts the limit. It stands above GUARD_QUERY_TIMEOUT, whether longer or shorter.
    A statement that takes longer raises QueryTimeout (504); its transaction must be rolled back, as after any
    error, and the connection serves again. On SQLite the time counts until the last row is read.
    """
    try:
        limit_s = duration_s(limit)
    except ValueError as exc:
        raise ConfigError(f"query_timeout({limit!r}) {exc}.") from exc
    install()
    return QueryLimit(limit_s)


def install() -> None:
    """Have every engine of the process keep the limits, from now on. May be called again."""
    name_timeouts()
    if not event.contains(Engine, "before_cursor_execute", _apply_limit):
        event.listen(Engine, "before_cursor_execute", _apply_limit)


def name_timeouts() -> None:
    """Have every engine raise QueryTimeout for a statement that was cancelled. May be called again."""
    if not event.contains(Engine, "handle_error", _name_timeout):
        event.listen(Engine, "handle_error", _name_timeout, retval=True)


def _name_timeout(context: ExceptionContext) -> QueryTimeout | None:
    if not isinstance(context.sqlalchemy_exception, DBAPIError):
        return None
    error: Any = context.original_exception
    first = error.args[0] if error.args else None
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    code = code or getattr(error, "sqlite_errorname", None) or (first if isinstance(first, int) else None)
    # The class and the code alone: the text of a statement may hold values.
    return (
        QueryTimeout(detail=f"a statement was cancelled: {type(error).__name__} {code}") if code in _TIMEOUTS else None
    )


def _apply_limit(connection: Connection, _cursor: Any, statement: str, *_parameters: Any) -> None:
    apply = _APPLY.get(connection.dialect.name)
    if apply is not None:
        apply(connection, find_time_limit_s(), statement)


def _apply_to_postgresql(connection: Connection, limit_s: float, statement: str) -> None:
    info, transaction = connection.info, connection.get_transaction()
    told, applied_s = info.get(APPLIED, _UNTOLD)
    if told is None:
        info[APPLIED] = (transaction, applied_s)
    elif told is not transaction:
        applied_s = 0.0
    if str(statement)[:8].upper() == "ROLLBACK":  # to a savepoint: of a transaction that may take no other statement
        info[APPLIED] = (transaction, None)  # what was set since is taken back, so nobody knows what holds
    elif limit_s != applied_s and not getattr(_driver_of(connection), "autocommit", False):
        info[APPLIED] = (transaction, limit_s)  # before the statement, which comes by here too
        value = as_milliseconds(limit_s) if limit_s else "DEFAULT"
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {value}")


def _apply_to_mysql(connection: Connection, limit_s: float, _statement: str) -> None:
    """MySQL and MariaDB have no limit of a transaction, so it stays with the connection until another one is due."""
    info = connection.info
    if limit_s == info.get(APPLIED, 0.0):
        return
    info[APPLIED] = limit_s
    connection.exec_driver_sql(mysql_limit(limit_s, is_mariadb=getattr(connection.dialect, "is_mariadb", False)))


def mysql_limit(limit_s: float, *, is_mariadb: bool) -> str:
    """Return the statement that sets a limit. MySQL's counts milliseconds, and for SELECT only."""
    name, value = "max_execution_time", str(as_milliseconds(limit_s))
    if is_mariadb:
        name, value = "max_statement_time", f"{limit_s:.3f}"
    return f"SET SESSION {name} = {value if limit_s else 'DEFAULT'}"


class _Deadline:
    """SQLite's progress handler: a true answer interrupts. at: on the monotonic clock."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = _NEVER

    def __call__(self) -> bool:
        return time.monotonic() > self.at


def _apply_to_sqlite(connection: Connection, limit_s: float, _statement: str) -> None:
    """Set the deadline of a statement. What runs between two, such as COMMIT, is too short for a look at the clock."""
    deadline = connection.info.get(APPLIED)
    if deadline is None:
        if not limit_s:
            return
        deadline = connection.info[APPLIED] = _Deadline()
        _driver_of(connection).set_progress_handler(deadline, SQLITE_STEPS)
    if limit_s:
        deadline.at = time.monotonic() + limit_s
    else:
        _driver_of(connection).set_progress_handler(None, 0)
        del connection.info[APPLIED]


def _driver_of(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


_APPLY: Final[dict[str, Callable[[Connection, float, str], None]]] = {
    "postgresql": _apply_to_postgresql,
    "sqlite": _apply_to_sqlite,
    "mysql": _apply_to_mysql,
    "mariadb": _apply_to_mysql,
}
