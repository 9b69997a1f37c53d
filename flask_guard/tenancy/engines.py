"""Puts every SQLAlchemy connection of the process behind the guarded compiler.

A connection gets a dialect of its own: an object of a subclass of the dialect's class that shares the state of the
engine's dialect and has another compiler and another execution context. The dialect is part of every key of
SQLAlchemy's caches of compiled SQL, so what is compiled for one kind of connection is never executed on another.
There are three kinds: guarded ones; privileged ones, opened in an unscoped block, which end with it; and the one that
SQLAlchemy uses by itself to learn what a new database can do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.engine.default import DefaultExecutionContext

from .batches import require_no_cascade
from .compiler import GuardedCompiler
from .faults import TenancyFault
from .inserts import verify_writes
from .parameters import require_ambient
from .rules import current_generation
from .scope import Unscoped, find_unscoped, is_open
from .text_guard import require_harmless, require_unprotected

# Under these names of its own state an engine's dialect has those that stand for it.
_GUARDED = "_flask_guard_guarded"
_PRIVILEGED = "_flask_guard_privileged"
_BLOCK = "_flask_guard_block"
_MARK = "_flask_guard_init"


def install() -> None:
    """Guard every connection that is opened in this process from now on. May be called again."""
    if not is_installed():
        Connection.__init__ = _wrap(Connection.__init__)  # type: ignore[method-assign]


def is_installed() -> bool:
    """Say whether the connections of this process are guarded."""
    return hasattr(Connection.__init__, _MARK)


def is_privileged(connection: Connection) -> bool:
    """Say whether a connection sees all tenants."""
    return isinstance(connection.dialect, PrivilegedDialect)


def _wrap(original: Callable[..., None]) -> Callable[..., None]:
    """Return what makes guarded connections.

    The event `engine_connect` would do, but one listener of a Connection or Engine makes SQLAlchemy prepare for
    listeners of all kinds in each execution, which costs a short statement a tenth.
    """

    @wraps(original)
    def init(self: Connection, engine: Engine, *args: Any, **options: Any) -> None:
        original(self, engine, *args, **options)
        # Without events: what SQLAlchemy looks at a new database with, before anybody else does.
        if options.get("_has_events") is not False:
            _choose_dialect(self)

    setattr(init, _MARK, True)
    return init


def _choose_dialect(connection: Connection) -> None:
    block = find_unscoped()
    if block is None:
        connection.dialect = guarded_dialect(connection.engine.dialect)
    else:
        connection.dialect = privileged_dialect(connection.engine.dialect)
        connection.__dict__[_BLOCK] = block


# -- dialects


class GuardedDialect:
    """Marks the dialects of connections that see the bound tenant. guard_generation: that of the rules compiled in."""

    __slots__ = ("guard_generation",)
    guard_generation: int


class PrivilegedDialect:
    """Marks the dialects of connections that see all tenants."""

    __slots__ = ()


def guarded_dialect(dialect: Dialect) -> Dialect:
    """Return what stands for an engine's dialect in connections that see the bound tenant."""
    found = dialect.__dict__.get(_GUARDED)
    if found is None or found.guard_generation != current_generation():
        compiler = _mix(GuardedCompiler, dialect.statement_compiler)
        context = _mix(GuardedContext, dialect.execution_ctx_cls)
        found = _twin(dialect, GuardedDialect, compiler, context)
        found.guard_generation = current_generation()
        dialect.__dict__[_GUARDED] = found
    return cast(Dialect, found)


def privileged_dialect(dialect: Dialect) -> Dialect:
    """Return what stands for an engine's dialect in connections that see all tenants."""
    found = dialect.__dict__.get(_PRIVILEGED)
    if found is None:
        context = _mix(PrivilegedContext, dialect.execution_ctx_cls)
        found = _twin(dialect, PrivilegedDialect, dialect.statement_compiler, context)
        dialect.__dict__[_PRIVILEGED] = found
    return cast(Dialect, found)


def _twin(dialect: Dialect, mark: type[Any], compiler: type[Any], context: type[Any]) -> Any:
    base = type(dialect)
    members = {
        "__slots__": (),
        # Properties, for the state that is shared could have attributes of these names.
        "statement_compiler": property(lambda _self: compiler),
        "execution_ctx_cls": property(lambda _self: context),
        # It is looked for in a dialect's own class and in no other.
        "supports_statement_cache": base.__dict__.get("supports_statement_cache"),
    }
    twin: Any = object.__new__(type(f"{mark.__name__}_{base.__name__}", (mark, base), members))
    twin.__dict__ = dialect.__dict__
    return twin


_mixtures: dict[tuple[Any, Any], type[Any]] = {}


def _mix(first: type[Any], second: type[Any]) -> type[Any]:
    """Return a class that has the methods of the first, and behind them those of the second."""
    mixture = _mixtures.get((first, second))
    if mixture is None:
        mixture = _mixtures[first, second] = type(f"{first.__name__}_{second.__name__}", (first, second), {})
    return mixture


# -- executions


class GuardedContext(DefaultExecutionContext):
    """What stands before the class of an execution: it looks at what is about to be sent."""

    def pre_exec(self) -> None:
        compiled: Any = self.compiled
        dialect: Any = self.dialect
        if compiled is None or self.isddl:
            require_harmless(_as_text(self.statement, self.root_connection), dialect.name)
        elif self.invoked_statement is None or compiled.dialect is not dialect:
            raise TenancyFault("A statement was compiled beforehand, maybe without conditions: pass it as it is.")
        elif dialect.guard_generation != current_generation():
            raise TenancyFault("The rules of rows have changed while a connection was open: open another one.")
        else:
            require_ambient(compiled.guard_ambient, self.compiled_parameters)
            if compiled.guard_names:
                require_unprotected(compiled.guard_names)
            if compiled.guard_writes:
                verify_writes(compiled.guard_writes, self.compiled_parameters, self.root_connection)
        if self.isddl and dialect.name == "sqlite":
            require_no_cascade(compiled.statement, self.root_connection)
        super().pre_exec()  # type: ignore[no-untyped-call]


def _as_text(statement: Any, connection: Connection) -> str:
    """Return a statement of the driver as text: psycopg takes what its module `sql` composes, too."""
    if isinstance(statement, str):
        return statement
    if not hasattr(statement, "as_string"):
        raise TenancyFault(f"A statement of the driver must be text to be looked at, not {type(statement).__name__}.")
    return cast(str, statement.as_string(connection.connection.dbapi_connection))


class PrivilegedContext(DefaultExecutionContext):
    """What stands before the class of an execution that sees all tenants: it ends with its block."""

    def pre_exec(self) -> None:
        block = self.root_connection.__dict__.get(_BLOCK)
        if not (isinstance(block, Unscoped) and is_open(block)):
            raise TenancyFault("A connection that was opened in an unscoped block is used after the block has ended.")
        if self.isddl and self.dialect.name == "sqlite":
            require_no_cascade(cast(Any, self.compiled).statement, self.root_connection)
        super().pre_exec()  # type: ignore[no-untyped-call]
