"""A condition that every statement on a table carries, whoever writes the statement.

    force_filter(Invoice, "region", "in", lambda: current_principal.claims.get("regions"))

The function is asked once for each execution of a statement on the table: None means no condition, an empty list no
row at all. When it fails, nothing is executed.
Rule: the condition holds for what is read, changed and deleted. What is inserted is not its matter.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    FromClause,
    Integer,
    String,
    Table,
    TypeDecorator,
    and_,
    inspect,
    not_,
    or_,
)
from sqlalchemy.exc import DontWrapMixin, NoInspectionAvailable
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import ColumnProperty, Mapper
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.types import TypeEngine

from ..errors import ConfigError, TenancyError
from ..tenancy.parameters import Ambient
from ..tenancy.rules import COMMANDS, RowPredicate, add_predicate

_LISTS = ("in", "not_in")
_OPERATORS: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "in": lambda column, values: _Among(column, values),
    "not_in": lambda column, values: not_(_Among(column, values)),
    "is_null": lambda column, value: column.is_(None) == value,
}
_COMPARE, _EVERY_ROW, _NO_ROW = range(3)


class ForceFilterFailed(TenancyError, DontWrapMixin):
    """The function of a forced filter failed, or returned what its operator cannot use. Nothing was executed."""


def force_filter(model: Any, field: str, operator: str, function: Callable[[], Any]) -> None:
    """Have every SELECT, UPDATE and DELETE on a table carry the condition `field operator function()`.

    model: a mapped class or a Table. field: of the model's own table, not of one that it inherits from.
    operator: eq, ne, lt, le, gt, ge; in, not_in (the function returns a list); is_null (it returns True or False).
    As in SQL, `ne` and `not_in` do not match a field that is NULL.
    Raises ConfigError for an unknown model, field or operator.
    """
    if operator not in _OPERATORS:
        raise ConfigError(f"force_filter has no operator {operator!r}; it has {', '.join(_OPERATORS)}.")
    if not callable(function):
        raise ConfigError("force_filter takes a function that is called for each statement, not a value.")
    table, column = _find_column(model, field)
    question = _Question(f"force_filter on {table.name}.{column.name}", operator, function)
    add_predicate(table, RowPredicate(COMMANDS, _make_build(column, operator, question)))


def _find_column(model: Any, field: str) -> tuple[Table, Column[Any]]:
    try:
        inspected = inspect(model)
    except NoInspectionAvailable:
        inspected = None
    if isinstance(inspected, Mapper):
        table, attribute = inspected.local_table, inspected.attrs.get(field)
        column = attribute.columns[0] if isinstance(attribute, ColumnProperty) else None
    else:
        table, column = inspected, inspected.columns.get(field) if isinstance(inspected, Table) else None
    if not isinstance(table, Table):
        raise ConfigError(f"force_filter takes a mapped class or a Table, not {model!r}.")
    if not isinstance(column, Column) or column.table is not table:
        raise ConfigError(f"force_filter: the table {table.name!r} has no field {field!r} of its own.")
    return table, column


def _make_build(column: Column[Any], name: str, question: _Question) -> Callable[[FromClause], ColumnElement[bool]]:
    key = column.key
    type_ = Boolean() if name == "is_null" else _List(column.type) if name in _LISTS else column.type
    kind = _Kind("filter_kind", Integer(), question.ask)
    kind.question = question
    value = Ambient("filter", type_, question.repeat)

    def build(from_: FromClause) -> ColumnElement[bool]:
        # The kind comes first: values are asked for in the order of the statement.
        return or_(kind == _EVERY_ROW, and_(kind == _COMPARE, _OPERATORS[name](from_.c[key], value)))

    return build


class _List(TypeDecorator[Any]):
    """Values of a column's type in one parameter: SQLAlchemy takes no IN of several where many rows are written."""

    impl = String
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(self.item) if dialect.name == "postgresql" else String())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if dialect.name == "postgresql":
            return value
        convert = self.item.dialect_impl(dialect).bind_processor(dialect)
        return json.dumps([convert(each) if convert else each for each in value])


class _Among(ColumnElement[bool]):
    """Whether the value of a column is among those of a list."""

    inherit_cache = True
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], values: Ambient) -> None:
        self.column = column
        self.values = values

    def self_group(self, against: Any = None) -> ColumnElement[Any]:
        return Grouping(self)


@compiles(_Among)
def _compile_among(among: _Among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in (among.column, among.values))
    if compiler.dialect.name == "postgresql":
        return f"{column} = ANY ({values})"
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  # SQL that was compiled


class _Kind(Ambient):
    """What kind of condition a filter is in an execution."""

    inherit_cache = True
    question: _Question

    def recall(self) -> object:
        return self.question.recall()


@dataclass(slots=True)
class _Answer:
    """What a function has said for one execution. is_new: that execution has not been looked at yet."""

    kind: int
    value: Any
    is_new: bool = True


class _Question:
    """Asks the function of a filter once for the several parameters that its answer is needed for.

    The answer stays with the thread, task or greenlet that asked.
    """

    def __init__(self, what: str, operator: str, function: Callable[[], Any]) -> None:
        self._what = what
        self._operator = operator
        self._function = function
        self._answer: ContextVar[_Answer] = ContextVar("flask_guard_filter")

    def ask(self) -> int:
        """Return what kind of condition it is."""
        try:
            answer = self._function()
        except Exception as exc:
            raise ForceFilterFailed(f"{self._what}: its function failed.") from exc
        kind, value = self._read(answer)
        self._answer.set(_Answer(kind, value))
        return kind

    def repeat(self) -> Any:
        """Return the value that `ask` has learnt for the same execution."""
        return self._answer.get().value

    def recall(self) -> int:
        """Return what `ask` has returned for the same execution. Raises TenancyError when it was not asked."""
        answer = self._answer.get(None)
        if answer is None or not answer.is_new:
            raise ForceFilterFailed(f"{self._what}: a statement brought the answer along.")
        answer.is_new = False
        return answer.kind

    def _read(self, answer: Any) -> tuple[int, Any]:
        nothing: Any = [] if self._operator in _LISTS else None
        if answer is None:
            return _EVERY_ROW, nothing
        is_list = isinstance(answer, (list, tuple, set, frozenset))
        if is_list and not answer:
            return _NO_ROW, nothing
        is_right = is_list if self._operator in _LISTS else not is_list
        if not is_right or (self._operator == "is_null" and not isinstance(answer, bool)):
            raise ForceFilterFailed(f"{self._what}: {self._operator!r} cannot use a {type(answer).__name__}.")
        return _COMPARE, list(answer) if is_list else answer
