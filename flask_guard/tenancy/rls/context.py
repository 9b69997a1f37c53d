"""Tells PostgreSQL, at the beginning of each transaction and until its end, for whom the transaction is.

Each transaction sets `guard.tenant`, `guard.uid`, `guard.roles` and `guard.claims`, all of them and empty when there
is nothing to say, so that nothing of another transaction of the same connection or pooler remains.
Rule: closed. A transaction that could not be told is not used; one without a tenant sees no row of any; one that may
see all tenants fails on a protected table (`row_security = off`) unless its role is let past row security.
Source: PostgreSQL documentation, SET, "Row Security Policies" and the setting row_security.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from sqlalchemy import Connection, Engine, event, func, select

from ...errors import DatabaseUnavailable
from ..engines import is_privileged
from ..facts import claims_in_use, find_claim, find_uid, list_roles
from ..faults import TenancyFault
from ..scope import NOBODY, Identity, find_identity

Setting = tuple[str, str]
_ROLES_KEY = "_flask_guard_roles"
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


def assign_roles(engine: Engine, roles: Roles) -> None:
    """Have the transactions of an engine, and of whatever shares its dialect, take these roles."""
    setattr(engine.dialect, _ROLES_KEY, roles)


def get_roles(engine: Engine) -> Roles:
    return cast(Roles, getattr(engine.dialect, _ROLES_KEY, NO_ROLES))


def install() -> None:
    """Listen to every PostgreSQL connection of the process. May be called again."""
    if not event.contains(Engine, "begin", _on_begin):
        event.listen(Engine, "begin", _on_begin)
        event.listen(Engine, "begin_twophase", _on_begin_twophase)


def tell_again(connection: Connection) -> None:
    """Tell a transaction that has begun for whom it is now: a guarded one that began as a privileged one, say."""
    if connection.dialect.name == "postgresql":
        _closed_on_failure(connection, reset_role=True)


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


def _on_begin(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        _closed_on_failure(connection, reset_role=False)


def _on_begin_twophase(connection: Connection, _xid: object) -> None:
    if connection.dialect.name == "postgresql":
        _refuse_without_transaction(connection, "A two-phase transaction")


def _closed_on_failure(connection: Connection, *, reset_role: bool) -> None:
    try:
        if getattr(connection.connection.dbapi_connection, "autocommit", False):
            _refuse_without_transaction(connection, "A connection in AUTOCOMMIT")
        else:
            _send(connection, _list_all(connection, reset_role=reset_role))
    except Exception as exc:
        _give_up(connection, exc)


def _list_all(connection: Connection, *, reset_role: bool) -> list[Setting]:
    roles = get_roles(connection.engine)
    if is_privileged(connection):
        role, settings = roles.system, [("row_security", "off"), *list_settings(NOBODY)]
    else:
        identity = find_identity()
        role = None if identity is NOBODY else roles.application
        settings = [*([("row_security", "on")] if reset_role else ()), *list_settings(identity)]
    if role is not None:
        return [*settings, ("role", role)]
    return [*settings, ("role", "none")] if reset_role else settings


def _refuse_without_transaction(connection: Connection, what: str) -> None:
    """Refuse what would run in the login role where another one is asked for; without roles it sees no row."""
    roles = get_roles(connection.engine)
    role = roles.system if is_privileged(connection) else roles.application if find_identity() is not NOBODY else None
    if role is not None:
        raise TenancyFault(f"{what} cannot take the role {role!r}: it has no transaction to take it for.")


def _send(connection: Connection, settings: Sequence[Setting]) -> None:
    if any("\0" in value for _name, value in settings):
        raise ValueError("a setting has a NUL character, which PostgreSQL has no place for")
    dialect = connection.dialect
    if dialect.driver == "psycopg" and not dialect.is_async and _send_in_one_message(connection, settings):
        return
    connection.execute(select(*(func.set_config(name, value, True) for name, value in settings)))


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
    """End the connection: SQLAlchemy would run its next statement in a transaction that nobody was told of."""
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
