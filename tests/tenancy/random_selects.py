"""Random selects over tables of tenants: sources that are joined, nested and combined, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    cast,
    distinct,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union,
    union_all,
)
from sqlalchemy.orm import aliased, join

from .random_models import CLASSES, RELATED, TABLES, Author, Book

_AGGREGATES = (func.count, func.min, func.max)
_LIMITS = st.integers(1, 9)
_ALIASES = ("alias", "table alias", "class of a subquery")
_KINDS = ("class", "table", *_ALIASES)


@dataclass(frozen=True)
class Source:
    """Something to select from. columns: of numbers first, then of text, always at least one of each."""

    from_: Any
    numbers: list[Any]
    texts: list[Any]

    @property
    def columns(self) -> list[Any]:
        return [*self.numbers, *self.texts]


def _source(from_: Any, columns: Any) -> Source:
    columns = list(columns)
    numbers = [one for one in columns if isinstance(one.type, Integer)]
    return Source(from_, numbers, [one for one in columns if isinstance(one.type, String)])


@st.composite
def _plain(draw: st.DrawFn, *, kinds: tuple[str, ...] = _KINDS) -> Source:
    """A class, an alias of one, a table, or an alias of that."""
    kind = draw(st.sampled_from(kinds))
    if kind.startswith("table"):
        table = draw(st.sampled_from(TABLES))
        table = table.alias() if kind == "table alias" else table
        return _source(table, table.c)
    class_ = draw(st.sampled_from(CLASSES))
    entity: Any = class_
    if kind == "alias":
        entity = aliased(class_)
    elif kind == "class of a subquery":
        entity = aliased(class_, draw(_filtered(_source(class_, class_.__table__.c), entity=class_)).subquery())
    return _source(entity, (getattr(entity, one.key) for one in class_.__mapper__.column_attrs))


@st.composite
def _filtered(draw: st.DrawFn, source: Source, *, entity: Any = None) -> Select[Any]:
    wanted = select(entity) if entity is not None else select(*source.columns).select_from(source.from_)
    return wanted.where(*draw(st.lists(_conditions(source), max_size=1)))


@st.composite
def _joined(draw: st.DrawFn, parts: st.SearchStrategy[Source]) -> Source:
    left, right = draw(parts), draw(st.one_of(_plain(kinds=_ALIASES), _nested(parts), _combined(parts)))
    on = draw(
        st.sampled_from(
            (
                true(),
                left.numbers[0] == right.numbers[-1],
                left.texts[-1] == right.texts[-1],
                or_(left.numbers[0] != right.numbers[0], right.texts[0].is_(None)),
            )
        )
    )
    both = join(left.from_, right.from_, on, isouter=draw(st.booleans()))
    named = [one.label(f"c{number}") for number, one in enumerate((*left.columns, *right.columns))]
    rows = select(*named).select_from(both).subquery()
    return _source(rows, rows.c)


@st.composite
def _nested(draw: st.DrawFn, parts: st.SearchStrategy[Source]) -> Source:
    source = draw(parts)
    named = [one.label(f"n{number}") for number, one in enumerate(source.columns)]
    wanted = select(*named).select_from(source.from_).where(*draw(st.lists(_conditions(source), max_size=2)))
    kind = draw(st.sampled_from(("subquery", "cte", "alias of a cte", "distinct", "numbered")))
    if kind == "distinct":
        wanted = wanted.distinct()
    if kind == "numbered":
        wanted = wanted.add_columns(func.count().over(partition_by=source.texts[0]).label("counted"))
    rows: Any = wanted.cte() if "cte" in kind else wanted.subquery()
    rows = rows.alias() if kind == "alias of a cte" else rows
    return _source(rows, rows.c)


@st.composite
def _combined(draw: st.DrawFn, parts: st.SearchStrategy[Source]) -> Source:
    """Two selects of a number and a text each, in one set."""
    sides = []
    for source in (draw(parts), draw(parts)):
        number, text = draw(st.sampled_from(source.numbers)), draw(st.sampled_from(source.texts))
        wanted = select(number.label("number"), cast(text, String).label("text")).select_from(source.from_)
        sides.append(wanted.where(*draw(st.lists(_conditions(source), max_size=1))))
    combine = draw(st.sampled_from((union, union_all, lambda a, b: a.intersect(b), lambda a, b: a.except_(b))))
    rows = combine(*sides).subquery()
    return _source(rows, rows.c)


@st.composite
def _conditions(draw: st.DrawFn, source: Source) -> ColumnElement[bool]:
    number, text = draw(st.sampled_from(source.numbers)), draw(st.sampled_from(source.texts))
    kind = draw(st.sampled_from(("number", "text", "everything", "exists", "in", "scalar", "related")))
    if kind == "number":
        return number > draw(st.integers(0, 20))
    if kind == "text":
        return text.like("%a%")
    if kind == "everything":
        return or_(text == "nothing", true())
    if kind == "related":
        related = draw(st.sampled_from(RELATED))
        asked = related.any() if related.property.uselist else related.has()
        return number.in_(select(related.class_.id).where(asked).correlate(None))
    other = draw(_plain(kinds=_ALIASES))
    inner = draw(st.sampled_from(other.numbers))
    if kind == "exists":
        there = exists(select(literal(1)).select_from(other.from_).where(inner == number))
        return draw(st.sampled_from((there, not_(there))))
    if kind == "in":
        return number.in_(select(inner).select_from(other.from_))
    counted = select(func.count()).select_from(other.from_).where(inner <= number).scalar_subquery()
    return and_(counted >= draw(st.integers(0, 5)), number.is_not(None))


SOURCES = st.recursive(
    _plain(), lambda parts: st.one_of(_joined(parts), _nested(parts), _combined(parts)), max_leaves=5
)


@st.composite
def selects(draw: st.DrawFn) -> Select[Any]:
    """A select of columns, entities or aggregates. One with a limit is ordered by everything that it selects."""
    source = draw(SOURCES)
    conditions = draw(st.lists(_conditions(source), max_size=2))
    kind = draw(st.sampled_from(("columns", "aggregates", "groups", "scalars", "entities", "implied")))
    if kind == "entities":
        class_ = draw(st.sampled_from((Author, Book)))
        return draw(_filtered(_source(class_, class_.__table__.c), entity=class_))
    if kind == "implied":
        return select(func.count()).where(source.numbers[0] == source.numbers[-1], *conditions)
    number, text = draw(st.sampled_from(source.numbers)), draw(st.sampled_from(source.texts))
    if kind == "aggregates":
        asked = [aggregate(one) for one in (number, text) for aggregate in _AGGREGATES]
        return select(*asked, func.count(distinct(text))).select_from(source.from_).where(*conditions)
    if kind == "groups":
        return select(text, func.count(), func.max(number)).select_from(source.from_).where(*conditions).group_by(text)
    if kind == "scalars":
        inner = select(func.max(text)).select_from(source.from_).where(*conditions).scalar_subquery()
        return select(inner, func.coalesce(inner, "none"))
    wanted = select(*source.columns).select_from(source.from_).where(*conditions)
    if draw(st.booleans()):
        wanted = wanted.order_by(*source.columns).limit(draw(_LIMITS))
    return wanted
