"""Where Guard's own tables live: one database, reached through one Engine in each process.

Relies on SQLAlchemy; knows nothing of the tables. Whatever goes wrong on the way to the database becomes
StoreUnavailable.
Rules: nothing is opened before it is used; a child process never speaks on its parent's connections;
neither a password nor a statement's parameters (the digests of keys) get into an error or a log.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import Pool, QueuePool

from ..config.secrets import Secret
from ..errors import ConfigError, QueryTimeout, StoreUnavailable
from .tls import default_tls

SUPPORTED_DIALECTS = ("sqlite", "postgresql")

# How long a request waits for a lock of SQLite, for a connection of the pool, or for a server to answer,
# before it is refused. The sqlite3 module's own default is the same; those of the pool (30 s) and of
# psycopg (130 s) are longer than any client waits for an answer.
WAIT_S = 5


@dataclass(slots=True)
class _Process:
    """The engine as one process knows it. inherited: what its parent had opened before the fork."""

    inherited: Engine | None = None
    engine: Engine | None = None
    abandoned: Pool | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Database:
    """A lazily opened, fork-safe way to one database. Threads may share it.

    is_owned: the engine was made here and serves Guard only; otherwise it is the application's.
    On SQLite in memory an application's engine may have one connection for everybody (StaticPool); Guard's
    transactions then end the application's. That is a set-up for tests, not for service.
    """

    def __init__(self, get_engine: Callable[[], Engine], *, url: URL | None = None, is_owned: bool = False) -> None:
        self._get_engine = get_engine
        self._url = url
        self.is_owned = is_owned
        self._processes = {os.getpid(): _Process()}

    @classmethod
    def from_url(cls, url: str | Secret) -> Database:
        """Return the database at a SQLAlchemy URL; `postgres://` and `postgresql://` mean psycopg 3.

        Raises ConfigError, which does not quote the URL, for one that cannot be used here.
        """
        address = parse_database_url(url.reveal() if isinstance(url, Secret) else url)
        return cls(lambda: _make_engine(address), url=address, is_owned=True)

    @classmethod
    def from_file(cls, path: str | Path) -> Database:
        """Return the SQLite database in a file, made on first use: mode 0600, in a folder of mode 0700."""
        file = Path(path).absolute()
        address = URL.create("sqlite", database=str(file))
        return cls(lambda: _make_engine(address, folder=file.parent), url=address, is_owned=True)

    @classmethod
    def from_engine(cls, engine: Engine) -> Database:
        """Return the database of an Engine that the application owns. Raises ConfigError as `from_url`."""
        _require_supported(engine.dialect.name)
        return cls(lambda: engine, url=engine.url)

    @classmethod
    def from_callable(cls, get_engine: Callable[[], Engine]) -> Database:
        """Return the database whose Engine is asked for on first use, for example `lambda: db.engine`."""
        return cls(get_engine)

    @property
    def engine(self) -> Engine:
        """The engine of this process: its pool and events are those that were given."""
        pid = os.getpid()
        process = self._processes.get(pid)
        if process is None:
            process = self._enter_process(pid)
        return process.engine or self._open(process)

    @property
    def dialect_name(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name() if self._url is not None else self.engine.dialect.name

    def describe(self) -> str:
        """Return the database's address without its password and options, fit for a log."""
        url = self._url
        if url is None:
            opened = next(iter(self._processes.values())).engine
            url = opened.url if opened is not None else None
        if url is None:
            return "the application's database"
        plain = URL.create(url.drivername, url.username, None, url.host, url.port, url.database)
        return plain.render_as_string()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that is committed unless the block raises.

        Raises StoreUnavailable, with the cause chained, when the database does not serve; IntegrityError
        and DataError pass, because they are about the statement.
        """
        with self.faults_as_unavailable(), self.engine.begin() as connection:
            yield connection

    def ping(self) -> None:
        """Ask the database for a sign of life. Raises StoreUnavailable."""
        with self.transaction() as connection:
            connection.execute(select(1))

    @contextmanager
    def faults_as_unavailable(self) -> Iterator[None]:
        """Turn every error that means "the database does not serve us" into StoreUnavailable."""
        try:
            yield
        except (IntegrityError, DataError):
            raise
        # ProgrammingError is among them: that is how PostgreSQL reports a missing table or privilege.
        except (DBAPIError, PoolTimeout, QueryTimeout, OSError) as exc:
            # The class alone: the text of a driver's error may quote a row.
            raise StoreUnavailable(f"{self.describe()} does not answer ({type(exc).__name__})") from exc

    def after_fork(self) -> None:
        """Let go of the parent's connections without closing them. Call it in a child, before its threads.

        Without the call the first use in the child does the same.
        """
        parent = next(iter(self._processes.values()))
        process = _Process(inherited=parent.engine or parent.inherited)
        self._processes = {os.getpid(): process}
        if process.inherited is not None:
            self._open(process)

    def close(self) -> None:
        """Close the connections of an owned engine; it opens new ones when it is used again."""
        process = self._processes.get(os.getpid())
        if self.is_owned and process is not None and process.engine is not None:
            process.engine.dispose()

    def _enter_process(self, pid: int) -> _Process:
        # Threads of a new child may race to this place: setdefault lets one of them win, without a lock
        # (the parent's may be held by a thread that does not exist here).
        parent = next(iter(self._processes.values()))
        process = self._processes.setdefault(pid, _Process(inherited=parent.engine or parent.inherited))
        self._processes = {pid: process}
        return process

    def _open(self, process: _Process) -> Engine:
        with process.lock:
            if process.engine is None and process.inherited is not None:
                process.abandoned = _leave_pool(process.inherited)
                process.engine = process.inherited
            elif process.engine is None:
                process.engine = _hide_parameters(self._ask_for_engine())
            return process.engine

    def _ask_for_engine(self) -> Engine:
        engine = self._get_engine()
        try:
            _require_supported(engine.dialect.name)
        except ConfigError as exc:  # Too late to refuse to start.
            raise StoreUnavailable(str(exc)) from exc
        return engine


def parse_database_url(text: str) -> URL:
    """Return the URL of a SQLite or PostgreSQL database whose driver is installed.

    Raises ConfigError without a word of the URL, which may hold a password.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("postgres", "postgresql"):
        text = f"postgresql+psycopg://{rest}"
    try:
        url = make_url(text)
        dialect = url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        # Their texts quote parts of the URL.
        raise ConfigError("The database URL is not one that SQLAlchemy can read.") from None
    if "@" in (url.host or ""):
        raise ConfigError("The database URL's password has an @ in it; write it as %40.")
    _require_supported(dialect.name)
    if dialect.is_async:
        raise ConfigError(f"The database URL names the asynchronous driver {dialect.driver}; use another.")
    try:
        dialect.import_dbapi()
    except ImportError as exc:
        remedy = " Install flask-guard-kit[postgres]." if dialect.driver == "psycopg" else ""
        raise ConfigError(f"The database driver {dialect.driver} is not installed.{remedy}") from exc
    return url


def _require_supported(dialect_name: str) -> None:
    if dialect_name not in SUPPORTED_DIALECTS:
        raise ConfigError(f"Guard's own tables need SQLite or PostgreSQL, not {dialect_name}: set GUARD_DATABASE_URL.")


def is_in_memory(url: URL) -> bool:
    """Say whether this is a SQLite database that lives in the process's memory."""
    if url.get_backend_name() != "sqlite":
        return False
    database = url.database or ":memory:"
    return database.startswith((":memory:", "file::memory:")) or url.query.get("mode") == "memory"


def _make_engine(url: URL, *, folder: Path | None = None) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _make_sqlite_engine(url, folder=folder)
    connect_args = {**_unless_in_url(url, {"connect_timeout": WAIT_S}), **default_tls(url, os.environ)}
    # Pinged, so that a restarted server costs nobody a refused request.
    return create_engine(url, hide_parameters=True, connect_args=connect_args, pool_timeout=WAIT_S, pool_pre_ping=True)


def _make_sqlite_engine(url: URL, *, folder: Path | None) -> Engine:
    connect_args = _unless_in_url(url, {"timeout": WAIT_S})
    pool: dict[str, Any] = {"pool_timeout": WAIT_S}
    if is_in_memory(url):
        # One connection that threads take in turn: with SQLAlchemy's default each thread would have a
        # database of its own.
        pool |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
        connect_args["check_same_thread"] = False
    engine = create_engine(url, hide_parameters=True, connect_args=connect_args, **pool)
    event.listen(engine, "connect", _enforce_foreign_keys)
    if url.database and not is_in_memory(url) and not url.database.startswith("file:"):
        file = Path(url.database)
        event.listen(engine, "do_connect", lambda *_event: _create_private_file(file, folder=folder))
    return engine


def _unless_in_url(url: URL, options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in url.query}


def _enforce_foreign_keys(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


def _create_private_file(file: Path, *, folder: Path | None) -> None:
    """Make the file before SQLite does, which would let everybody read it (mode 0644 by the usual umask).

    SQLite gives its journal and WAL files the mode of the database file (findCreateFileMode in os_unix.c).
    An existing file is left as it is. The file system must have hard links.
    """
    if file.exists():
        return
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # It gets its name once it is closed: a process that closes any descriptor of a file loses every lock that
    # its other threads have on it (sqlite.org/howtocorrupt.html, section 2.2).
    descriptor, unnamed = mkstemp(prefix=f"{file.name}-new-", dir=file.parent)
    try:
        os.close(descriptor)
        with suppress(FileExistsError):
            os.link(unnamed, file)
    finally:
        os.unlink(unnamed)


def _hide_parameters(engine: Engine) -> Engine:
    """Return a view of an engine, on the same pool, whose errors and `echo` lines leave out parameters."""
    view = engine.execution_options()
    view.hide_parameters = True
    return view


def _leave_pool(engine: Engine) -> Pool | None:
    """Give a child's engine a pool of its own and return the parent's, which must be kept.

    If it were collected, drivers would close the connections, and the parent shares their sockets.
    SQLite in memory stays: it was copied with the process.
    """
    if is_in_memory(engine.url):
        return None
    parents = engine.pool
    engine.dispose(close=False)
    return parents
