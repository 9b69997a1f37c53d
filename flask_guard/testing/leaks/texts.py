"""Reading and writing past the tenant by text: nobody can filter it, so it is refused or reads one's own rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import TextClause, bindparam, literal, literal_column, select, text

from .paths import Paths
from .world import World

TEXTS = Paths()


@TEXTS.add("text()")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.execute(text(f"SELECT * FROM {_name(world)}")).all()  # noqa: S608


@TEXTS.add("text() on a connection")
def _(world: World) -> Any:
    with world.connection() as connection:
        return connection.execute(text(f"SELECT * FROM {_name(world)}")).all()  # noqa: S608


@TEXTS.add("text() with the name in other letters")
def _(world: World) -> Any:
    name = world.table.name
    spelt = name.upper() if world.dialect != "postgresql" or name == name.lower() else name
    with world.as_own() as session:
        return session.execute(text(f"SELECT * FROM {_schema(world)}{spelt}")).all()  # noqa: S608


@TEXTS.add("text() with the name in quotes")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.execute(text(f'SELECT * FROM {_schema(world)}"{world.table.name}"')).all()  # noqa: S608


@TEXTS.add("text() with the name in brackets", dialects=["sqlite"])
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.execute(text(f"SELECT * FROM [{world.table.name}]")).all()  # noqa: S608


@TEXTS.add("text() with the name in escapes", dialects=["postgresql"])
def _(world: World) -> Any:
    name = world.table.name
    escaped = f"\\{ord(name[0]):04x}{name[1:]}"
    with world.as_own() as session:
        return session.execute(text(f'SELECT * FROM {_schema(world)}U&"{escaped}"')).all()  # noqa: S608


@TEXTS.add("text() with a comment")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.execute(text(f"SELECT * FROM/* nothing */{_name(world)}-- all")).all()


@TEXTS.add("text() after a literal with a comment's beginning")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.execute(text(f"SELECT '--', '/*', t.* FROM {_name(world)} AS t")).all()  # noqa: S608


@TEXTS.add("text() with columns")
def _(world: World) -> Any:
    columns = list(world.table.columns)
    names = ", ".join(_quoted(world, one.name) for one in columns)
    wanted = text(f"SELECT {names} FROM {_name(world)}").columns(*columns)  # noqa: S608
    with world.as_own() as session:
        return session.execute(select(wanted.subquery())).all()


@TEXTS.add("entity from a statement of text", "one table")
def _(world: World) -> Any:
    wanted = select(world.model).from_statement(text(f"SELECT * FROM {_name(world)}"))  # noqa: S608
    with world.as_own() as session:
        return session.scalars(wanted).all()


@TEXTS.add("text in WHERE")
def _(world: World) -> Any:
    with world.as_own() as session:
        _require_no_answer(world, session.scalar(select(literal(1)).where(text(_two_rows(world)))))


@TEXTS.add("text in ORDER BY")
def _(world: World) -> Any:
    ordered = select(literal(1)).order_by(text(f"(SELECT count(*) FROM {_name(world)})"))  # noqa: S608
    with world.as_own() as session:
        session.execute(ordered)
        _require_no_answer(world, session.scalar(select(literal(1)).where(text(_two_rows(world)))))


@TEXTS.add("text in FROM")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.execute(select(literal_column("*")).select_from(text(_name(world)))).all()


@TEXTS.add("literal column")
def _(world: World) -> Any:
    with world.as_own() as session:
        counted = session.scalar(select(literal_column(f"(SELECT count(*) FROM {_name(world)})")))  # noqa: S608
        _require_one(world, counted)


@TEXTS.add("prefix")
def _(world: World) -> Any:
    wanted = select(literal(1)).prefix_with(f"(SELECT count(*) FROM {_name(world)}),")  # noqa: S608
    with world.as_own() as session:
        _require_one(world, session.execute(wanted).one()[0])


@TEXTS.add("suffix")
def _(world: World) -> Any:
    wanted = select(literal(1).label("n")).suffix_with(f"UNION ALL SELECT count(*) FROM {_name(world)}")  # noqa: S608
    with world.as_own() as session:
        _require_one(world, max(session.scalars(wanted).all()))


@TEXTS.add("statement hint")
def _(world: World) -> Any:
    wanted = select(literal(1).label("n")).with_statement_hint(
        f"UNION ALL SELECT count(*) FROM {_name(world)}"  # noqa: S608
    )
    with world.as_own() as session:
        _require_one(world, max(session.scalars(wanted).all()))


@TEXTS.add("operator of one's own")
def _(world: World) -> Any:
    odd = literal(1).op(f"+ (SELECT count(*) FROM {_name(world)}) -")  # noqa: S608
    with world.as_own() as session:
        _require_one(world, session.scalar(select(odd(1))))


@TEXTS.add("driver SQL")
def _(world: World) -> Any:
    with world.connection() as connection:
        return connection.exec_driver_sql(f"SELECT * FROM {_name(world)}").all()  # noqa: S608


@TEXTS.add("driver SQL of the session's connection")
def _(world: World) -> Any:
    with world.as_own() as session:
        return session.connection().exec_driver_sql(f"SELECT * FROM {_name(world)}").all()  # noqa: S608


@TEXTS.add("driver SQL with TABLE", dialects=["postgresql"])
def _(world: World) -> Any:
    with world.connection() as connection:
        return connection.exec_driver_sql(f"TABLE {_name(world)}").all()


@TEXTS.add("delete by text()")
def _(world: World) -> Any:
    with world.as_own() as session:
        session.execute(_on_foreign(world, f"DELETE FROM {_name(world)}"))  # noqa: S608


@TEXTS.add("update by text()", "column")
def _(world: World) -> Any:
    changed = world.column_of().property.columns[0]
    with world.as_own() as session:
        update = _on_foreign(world, f"UPDATE {_name(world)} SET {_quoted(world, changed.name)} = :new")  # noqa: S608
        session.execute(update.bindparams(bindparam("new", world.new_value(), changed.type)))


def _name(world: World) -> str:
    return world.engine.dialect.identifier_preparer.format_table(world.table)


def _schema(world: World) -> str:
    return "" if world.table.schema is None else f"{_quoted(world, world.table.schema)}."


def _quoted(world: World, name: str) -> str:
    return world.engine.dialect.identifier_preparer.quote(name)


def _two_rows(world: World) -> str:
    return f"(SELECT count(*) FROM {_name(world)}) > 1"  # noqa: S608


def _on_foreign(world: World, beginning: str) -> TextClause:
    """Return a statement of text about the other tenant's row."""
    columns = list(world.table.primary_key)
    condition = " AND ".join(f"{_quoted(world, one.name)} = :key{number}" for number, one in enumerate(columns))
    keys = (bindparam(f"key{n}", world.foreign.key[n], one.type) for n, one in enumerate(columns))
    return text(f"{beginning} WHERE {condition}").bindparams(*keys)


def _require_one(world: World, count: int | None) -> None:
    if count is not None and count > 1:
        world.leak("another tenant's row was counted")


def _require_no_answer(world: World, answer: object) -> None:
    if answer is not None:
        world.leak("text revealed another tenant's row")
