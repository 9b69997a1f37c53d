"""Holds what is written against the checks of row policies, where the database does not do so itself.

Objects that a Session flushes are looked up after the flush: a row that its check does not let be, or that its writer
may not see, ends the transaction. An UPDATE of many rows is asked first for rows that would fail, with the new values
put into the check. An INSERT that is no flush is refused, unless PostgreSQL itself checks the table for this role.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    ExceptionContext,
    Insert,
    Table,
    Update,
    and_,
    bindparam,
    event,
    func,
    inspect,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter, Grouping, True_

from ..errors import PolicyViolation
from .engines import is_privileged
from .faults import TenancyFault
from .policy_rules import TablePolicies, find_policies

_BATCH = 500
# How PostgreSQL calls what refuses a new row (execMain.c), whatever the language of its messages.
_CHECKED_BY = "ExecWithCheckOptions"
_INSUFFICIENT_PRIVILEGE = "42501"

_flushing: ContextVar[Session | None] = ContextVar("flask_guard_flushing", default=None)


class RowRefused(PolicyViolation, DontWrapMixin):
    """A row was to be written that its table's policies do not let be."""


def install() -> None:
    """Listen to every Session and Engine of the process. May be called again."""
    if not event.contains(Engine, "before_execute", _on_execute):
        event.listen(Engine, "before_execute", _on_execute, retval=True)
        event.listen(Engine, "handle_error", _on_error)
        event.listen(Session, "before_flush", _on_flush)
        event.listen(Session, "after_flush", _after_flush)


# -- what a Session flushes


def _on_flush(session: Session, _context: object, _instances: object) -> None:
    _flushing.set(session)


def _after_flush(session: Session, _context: object) -> None:
    written: dict[tuple[Mapper[Any], Table, str], list[Any]] = {}
    for command, objects in (("insert", session.new), ("update", session.dirty)):
        for each in objects:
            if command == "insert" or session.is_modified(each):
                for mapper, table in _tables_of(each):
                    written.setdefault((mapper, table, command), []).append(each)
    for (mapper, table, command), rows in written.items():
        _verify(session, mapper, table, command=command, rows=rows)


def _tables_of(instance: object) -> Iterator[tuple[Mapper[Any], Table]]:
    mapper = cast("Mapper[Any]", inspect(instance).mapper)
    for table in mapper.tables:
        if isinstance(table, Table) and find_policies(table) is not None:
            yield mapper, table


def _verify(session: Session, mapper: Mapper[Any], table: Table, *, command: str, rows: Sequence[object]) -> None:
    connection = session.connection(bind_arguments={"mapper": mapper})
    policies = find_policies(table)
    if policies is None or is_privileged(connection):
        return
    columns = list(table.primary_key)
    names = [mapper.get_property_by_column(column).key for column in columns]
    check = policies.check(command, table)
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        wanted = [
            and_(*(column == getattr(row, name) for column, name in zip(columns, names, strict=True))) for row in batch
        ]
        passed = connection.execute(select(func.count()).select_from(table).where(or_(*wanted), check)).scalar_one()
        if passed != len(batch):
            _refuse(table, command)


def _refuse(table: Any, command: str) -> NoReturn:
    raise RowRefused(detail=f"a row of {table.name!r} fails the policies of {command}, or cannot be seen by its writer")


# -- what anybody executes


def _on_execute(
    connection: Connection,
    statement: Any,
    multiparams: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    _options: Mapping[str, Any],
) -> tuple[Any, Any, Any]:
    if isinstance(statement, Insert | Update):
        table = _table_of(statement)
        policies = find_policies(table)
        if policies is not None and not is_privileged(connection) and not _is_verified_later(table):
            if isinstance(statement, Insert):
                _require_native(connection, table, policies)
            else:
                statement = _checked_update(connection, statement, policies, list(multiparams) or [params])
    return statement, multiparams, params


def _table_of(statement: Insert | Update) -> Table:
    """Return the table of a statement itself, where the ORM has a copy of it with notes of its own."""
    return cast(Table, cast(Any, statement.table)._deannotate())


def _is_verified_later(table: Any) -> bool:
    """Say whether this is part of a flush that will look up what it has written to the table."""
    session = _flushing.get()
    if session is None or not session._flushing:
        return False
    return any(table is known for each in (*session.new, *session.dirty) for _mapper, known in _tables_of(each))


def _require_native(connection: Connection, table: Table, policies: TablePolicies) -> None:
    if isinstance(policies.check("insert", table), True_):
        return
    if connection.dialect.name == "postgresql":
        name = connection.dialect.identifier_preparer.format_table(table)
        if connection.execute(text("SELECT row_security_active(:name)"), {"name": name}).scalar_one():
            return
    raise TenancyFault(
        f"The rows that this INSERT into {table.name!r} writes cannot be held against its policies: "
        "add objects to a Session, or use unscoped()."
    )


def _checked_update(
    connection: Connection, statement: Update, policies: TablePolicies, rows: Sequence[Mapping[str, Any]]
) -> Update:
    """Return an UPDATE that writes no row that fails its check; raise PolicyViolation when there is one."""
    table = _table_of(statement)
    check = and_(policies.check("update", table), policies.using("select", table))
    touched = {cast(Any, element).key for element in visitors.iterate(check) if _is_column_of(element, table)}
    given = {policies.keys.get(name, name) for row in rows for name in row}
    if touched & given:
        raise TenancyFault(
            f"The values of {', '.join(sorted(touched & given))} decide on policies of {table.name!r}: "
            "give them with values(), or change objects of a Session."
        )
    renewed = _put_in(check, table, {_key_of(key, policies): value for key, value in _list_values(statement)})
    fails = not_(func.coalesce(renewed, False))
    query = select(func.count()).select_from(table)
    query = query.where(*statement._where_criteria, policies.using("update", table), fails)
    if any(connection.execute(query, dict(row)).scalar_one() for row in rows):
        _refuse(table, "update")
    return statement.where(renewed)


def _list_values(statement: Update) -> Iterable[tuple[Any, Any]]:
    ordered = getattr(statement, "_ordered_values", None)
    return ordered or list((statement._values or {}).items())


def _key_of(key: Any, policies: TablePolicies) -> str:
    name = key if isinstance(key, str) else key.key
    return policies.keys.get(name, name)


def _is_column_of(element: Any, table: Any) -> bool:
    return getattr(element, "table", None) is table


def _put_in(check: ColumnElement[bool], table: Table, values: Mapping[str, Any]) -> ColumnElement[bool]:
    """Return a check with the new values in place of the columns that are set."""

    def replace(element: Any, **_options: Any) -> Any:
        if not _is_column_of(element, table) or element.key not in values:
            return None
        value = values[element.key]
        if isinstance(value, BindParameter):
            return bindparam(None, value.effective_value, type_=element.type, unique=True)
        return Grouping(value)

    return visitors.replacement_traverse(check, {}, replace)


# -- what PostgreSQL refuses


def _on_error(context: ExceptionContext) -> None:
    """Tell a row that a native policy refused as what it is."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
        return
    if getattr(getattr(error, "diag", None), "source_function", None) == _CHECKED_BY:
        raise RowRefused(detail="PostgreSQL refused a row by a policy") from error
