"""Tells PostgreSQL, at the beginning of each transaction and until its end, for whom the transaction is.

Each transaction sets `guard.tenant`, `guard.uid`, `guard.roles` and `guard.claims`, all of them and empty when there
is nothing to say, so that nothing of another transaction of the same connection or pooler remains.
Rule: closed. A transaction that could not be told is not used; one without a tenant sees no row of any; one that may
see all tenants fails on a protected table (`row_security = off`) unless its role is let past row security.
Source: PostgreSQL documentation, SET, "Row Security Policies" and the setting row_security.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any, NoReturn, cast

from sqlalchemy import Connection, Engine, func, select

from ...errors import DatabaseUnavailable
from ..engines import GuardedDialect, is_privileged
from ..facts import claims_in_use, find_claim, find_uid, list_roles
from ..faults import TenancyFault
from ..scope import NOBODY, Identity, find_identity
from ..time_limits import note_timeout, timeout_settings

Setting = tuple[str, str]
_ROLES_KEY = "_flask_guard_roles"
_MARK = "_flask_guard_begin"
_IN_BEGIN = "_Connection__in_begin"
# PGTransactionStatusType and ExecStatusType of libpq.
_IDLE = 0
_DONE = (1, 2)


@dataclass(frozen=True, slots=True)
class Roles:
    """Database roles that transactions take. application: for somebody; system: those that see all tenants.

    None: the role that the connection logged in with. Migrations and jobs without a tenant keep that one too.
    """

    application: str | None = None
    system: str | None = None


NO_ROLES = Roles()
_sources: list[Callable[[Engine], Roles | None]] = []


def assign_roles(engine: Engine, roles: Roles) -> None:
    """Have the transactions of an engine, and of whatever shares its dialect, take these roles."""
    setattr(engine.dialect, _ROLES_KEY, roles)


def add_roles_source(find: Callable[[Engine], Roles | None]) -> None:
    """Have somebody asked for the roles of engines that have none. find: returns None for an engine it does not know.

    It is asked when a transaction begins, because an application may make its engines late.
    """
    _sources.append(find)


def get_roles(engine: Engine) -> Roles:
    """Return the roles that transactions of an engine take."""
    roles = cast("Roles | None", getattr(engine.dialect, _ROLES_KEY, None))
    if roles is None and _sources:
        roles = next(filter(None, (find(engine) for find in _sources)), None)
        if roles is not None:
            assign_roles(engine, roles)
    return roles or NO_ROLES


def install() -> None:
    """Tell every guarded PostgreSQL connection of the process. May be called again."""
    if not is_installed():
        Connection._begin_impl = _telling(Connection._begin_impl)  # type: ignore[method-assign]
        Connection._begin_twophase_impl = _refusing(Connection._begin_twophase_impl)  # type: ignore[method-assign]


def is_installed() -> bool:
    """Say whether the transactions of this process are told for whom they are."""
    return hasattr(Connection._begin_impl, _MARK)


def _telling(original: Callable[..., None]) -> Callable[..., None]:
    """Return what begins a transaction and says for whom it is.

    The event `begin` would do, but one listener of a Connection or Engine makes SQLAlchemy prepare for listeners of all
    kinds in each execution.
    """

    @wraps(original)
    def begin(self: Connection, transaction: Any) -> None:
        if self.dialect.name == "postgresql" and _is_known(self):
            _tell(self)
        original(self, transaction)

    setattr(begin, _MARK, True)
    return begin


def _refusing(original: Callable[..., None]) -> Callable[..., None]:
    """Return what begins a two-phase transaction, which the driver begins by itself: it is told nothing."""

    @wraps(original)
    def begin(self: Connection, transaction: Any) -> None:
        if self.dialect.name == "postgresql" and _is_known(self):
            _refuse_without_transaction(self, "A two-phase transaction")
        original(self, transaction)

    return begin


def list_settings(identity: Identity) -> list[Setting]:
    """Return what the database is told of somebody."""
    principal = identity.principal
    claims = {name: find_claim(principal, name) for name in sorted(claims_in_use)}
    known = {name: value for name, value in claims.items() if value is not None}
    return [
        ("guard.tenant", identity.tenant.id),
        ("guard.uid", find_uid(principal) or ""),
        ("guard.roles", json.dumps(list_roles(principal), ensure_ascii=False)),
        ("guard.claims", json.dumps(known, ensure_ascii=False) if known else ""),
    ]


def _is_known(connection: Connection) -> bool:
    """Say whether this is a connection of the application, and not one that SQLAlchemy looks at a database with."""
    return isinstance(connection.dialect, GuardedDialect) or is_privileged(connection)


def _tell(connection: Connection) -> None:
    try:
        if getattr(connection.connection.dbapi_connection, "autocommit", False):
            _refuse_without_transaction(connection, "A connection in AUTOCOMMIT")
        else:
            timeout = timeout_settings()
            _send(connection, [*timeout.items(), *_list_all(connection)])
            if timeout:
                note_timeout(connection.info)
    except Exception as exc:
        _give_up(connection, exc)


def _list_all(connection: Connection) -> list[Setting]:
    role = _find_role(connection)
    if is_privileged(connection):
        settings = [("row_security", "off"), *list_settings(NOBODY)]
    else:
        settings = list_settings(find_identity())
    return settings if role is None else [*settings, ("role", role)]


def _find_role(connection: Connection) -> str | None:
    """Return the role that a transaction takes now, None to keep that of the login."""
    roles = get_roles(connection.engine)
    if is_privileged(connection):
        return roles.system
    return None if find_identity() is NOBODY else roles.application


def _refuse_without_transaction(connection: Connection, what: str) -> None:
    """Refuse what would run in the login role where another one is asked for; without roles it sees no row."""
    role = _find_role(connection)
    if role is not None:
        raise TenancyFault(f"{what} cannot take the role {role!r}: it has no transaction to take it for.")


def _send(connection: Connection, settings: Sequence[Setting]) -> None:
    if any("\0" in value for _name, value in settings):
        raise ValueError("a setting has a NUL character, which PostgreSQL has no place for")
    dialect = connection.dialect
    if dialect.driver == "psycopg" and not dialect.is_async and _send_in_one_message(connection, settings):
        return
    # As while SQLAlchemy's own listeners run: what is executed here does not begin the transaction once more.
    setattr(connection, _IN_BEGIN, True)
    try:
        connection.execute(select(*(func.set_config(name, value, True) for name, value in settings)))
    finally:
        setattr(connection, _IN_BEGIN, False)


def _send_in_one_message(connection: Connection, settings: Sequence[Setting]) -> bool:
    """Send BEGIN and the settings with psycopg 3 as one simple query: it costs no round trip of its own.

    Returns False, with nothing sent, when the connection is in a state in which that cannot be done.
    """
    psycopg = cast(Any, connection.dialect.loaded_dbapi)
    driver = cast(Any, connection.connection.dbapi_connection)
    server = driver.pgconn
    if server.pipeline_status:
        return False
    escaping, encoding = psycopg.pq.Escaping(server), driver.info.encoding
    parts = [_begin_of(driver)] if server.transaction_status == _IDLE else []
    for name, value in settings:
        parts.append(b"SET LOCAL " + name.encode() + b" = " + escaping.escape_literal(value.encode(encoding)))
    server.send_query(b"; ".join(parts))
    for result in driver.wait(psycopg.generators.execute(server)):
        if result.status not in _DONE:
            raise psycopg.errors.error_from_result(result, encoding=encoding)
    return True


def _begin_of(driver: Any) -> bytes:
    """Return BEGIN with the characteristics that the connection was given (psycopg: Connection.isolation_level...)."""
    return " ".join(_begin_words(driver)).encode()


def _begin_words(driver: Any) -> Iterator[str]:
    yield "BEGIN"
    if driver.isolation_level is not None:
        yield "ISOLATION LEVEL " + driver.isolation_level.name.replace("_", " ")
    if driver.read_only is not None:
        yield "READ ONLY" if driver.read_only else "READ WRITE"
    if driver.deferrable is not None:
        yield "DEFERRABLE" if driver.deferrable else "NOT DEFERRABLE"


def _give_up(connection: Connection, exc: Exception) -> NoReturn:
    """End the connection: the server may have begun a transaction that it was not told everything of."""
    with suppress(Exception):  # what went wrong first is what is told
        dialect, driver = connection.dialect, connection.connection.dbapi_connection
        if driver is not None and dialect.is_disconnect(cast(Any, exc), cast(Any, driver), None):
            connection.invalidate(exc)
    with suppress(Exception):
        connection.close()
    if isinstance(exc, TenancyFault):
        raise exc
    # The class alone: the text of a driver's error may quote a value.
    raise DatabaseUnavailable(detail=f"the database was not told for whom it works ({type(exc).__name__})") from exc
