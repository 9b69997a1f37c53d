"""The mixins declare whose rows are, and importing one guards the process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column

import flask_guard.db
from flask_guard import Principal, tenant_scope
from flask_guard.db import OwnedMixin, TenantMixin, parent, shared
from flask_guard.errors import ConfigError


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


def test_the_columns_are_what_the_contract_says() -> None:
    class Base(DeclarativeBase):
        pass

    class Note(TenantMixin, OwnedMixin, Base):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)

    for name in ("tenant_id", "owner_id"):
        column = Note.__table__.c[name]
        assert isinstance(column.type, sa.String)
        assert (column.type.length, column.nullable, column.index) == (255, False, True)


def test_the_public_names_resolve() -> None:
    for name in flask_guard.db.__all__:
        assert getattr(flask_guard.db, name) is not None
        assert name in dir(flask_guard.db)
    assert flask_guard.db.__all__ == sorted(flask_guard.db.__all__)
    with pytest.raises(AttributeError, match="no attribute 'TenantMixn'"):
        _ = flask_guard.db.TenantMixn


def test_a_mixin_may_stand_in_a_base_class_and_in_a_dataclass(engine: sa.Engine) -> None:
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class Owned(TenantMixin, Base):
        __abstract__ = True

    class Note(Owned):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]

    Base.metadata.create_all(engine)
    for tenant in ("acme", "zeta"):
        with tenant_scope(tenant), Session(engine) as session, session.begin():
            session.add(Note(id=len(tenant) + ord(tenant[0]), title=tenant))
    with tenant_scope("acme"), Session(engine) as session:
        assert session.scalars(select(Note.title)).all() == ["acme"]


def test_a_table_of_core_is_declared_by_its_info(engine: sa.Engine) -> None:
    metadata = sa.MetaData()
    notes = sa.Table(
        "notes",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant_id", sa.String(20), nullable=False),
        info={"guard": {"tenant": "tenant_id"}},
    )
    lines = sa.Table("lines", metadata, sa.Column("note_id", sa.ForeignKey("notes.id")), info=parent("note_id"))
    words = sa.Table("words", metadata, sa.Column("word", sa.String(20)), info=shared())
    metadata.create_all(engine)
    for number, tenant in enumerate(("acme", "zeta")):
        with tenant_scope(tenant), engine.begin() as connection:
            connection.execute(notes.insert().values(id=number, tenant_id=tenant))
            connection.execute(lines.insert().values(note_id=number))
            connection.execute(words.insert().values(word=tenant))

    with tenant_scope("zeta"), engine.connect() as connection:
        assert connection.execute(select(notes.c.id)).scalars().all() == [1]
        assert connection.execute(select(lines.c.note_id)).scalars().all() == [1]
        assert len(connection.execute(select(words)).all()) == 2


def test_what_a_declaration_returns_is_not_shared() -> None:
    assert shared() is not shared()
    assert parent("x") is not parent("x")


def test_bulk_statements_get_the_tenant_and_the_owner(engine: sa.Engine) -> None:
    class Base(DeclarativeBase):
        pass

    class Note(TenantMixin, OwnedMixin, Base):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)

    Base.metadata.create_all(engine)
    with tenant_scope("acme", principal=Principal("ada")), Session(engine) as session:
        session.execute(sa.insert(Note), [{"id": 1}, {"id": 2}])
        session.bulk_save_objects([Note(id=3)])

        rows = session.execute(select(Note.tenant_id, Note.owner_id)).all()
    assert [tuple(row) for row in rows] == [("acme", "ada")] * 3


@pytest.mark.parametrize("roles", ["admin", ("",), (5,)])
def test_roles_above_owners_are_names(roles: Any) -> None:
    class Base(DeclarativeBase):
        pass

    with pytest.raises(ConfigError, match="takes several names of roles"):
        type(
            "Note",
            (TenantMixin, OwnedMixin, Base),
            {
                "__tablename__": "notes",
                "__owner_bypass_roles__": roles,
                "id": mapped_column(sa.Integer, primary_key=True),
            },
        )


def _run(program: str) -> Any:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


# Engine, Connection and Session are there before anything of ours is imported; there is no application.
_EARLY = """
import json, sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
session = Session(engine)
class Base(DeclarativeBase): pass
{imports}
class Note({mixin}Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
Base.metadata.create_all(engine)
try:
    print(json.dumps(len(session.scalars(sa.select(Note)).all())))
except Exception as refused:
    print(json.dumps(type(refused).__mro__[1].__name__))
"""


def test_importing_a_mixin_guards_what_is_there_already() -> None:
    imports = "from flask_guard.db import TenantMixin"

    assert _run(_EARLY.format(imports=imports, mixin="TenantMixin, ")) == "TenantRequired"
    assert _run(_EARLY.format(imports="", mixin="")) == 0


def test_the_names_that_have_nothing_to_do_with_tenants_guard_nothing() -> None:
    program = (
        "import json, sys; from flask_guard.db import quote_identifier; import flask_guard.db.stores;"
        "print(json.dumps('flask_guard.tenancy.process' in sys.modules))"
    )

    assert _run(program) is False
    assert _run(program.replace("quote_identifier", "unscoped")) is True
