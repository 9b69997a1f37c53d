"""Rows of tenants in a whole application: whose they are is told by the credential, whatever brings the database."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, Response, jsonify, request, stream_with_context
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler

from flask_guard import ConfigError, Guard, tenant_scope
from flask_guard.db import TenantMixin, unscoped
from flask_guard.errors import TenancyError
from flask_guard.tenancy.compiler import GuardedCompiler

from .conftest import assert_problem
from .databases import with_engine, with_flask_sqlalchemy, with_lite


@pytest.fixture(params=[with_flask_sqlalchemy, with_lite, with_engine], ids=lambda way: way.__name__[5:])
def site(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Any]:
    """(a client, headers for a tenant, the application, the model, a way to a Session)."""
    app = Flask("app", instance_path=str(tmp_path / "instance"))
    base, get_session, supplied = request.param(app, database_url)

    class Note(TenantMixin, base):  # type: ignore[misc,valid-type]
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]
        copy_of_id: Mapped[int | None] = mapped_column(sa.ForeignKey("notes.id"))

    guard = Guard(app, jwt_secret_key=secrets.token_hex(32), **supplied)
    _add_views(app, guard, Note, get_session)
    with app.app_context():
        engine = supplied.get("engine") or supplied["db"].engine
        base.metadata.create_all(engine)
        for number, tenant in enumerate(("acme", "zeta"), start=1):
            with tenant_scope(tenant), Session(engine) as session, session.begin():
                session.add(Note(id=number, title=tenant))

    def as_tenant(tenant: str | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {guard.tokens.issue('ada', tenant=tenant)}"}

    yield app.test_client(), as_tenant, app, Note, get_session
    engine.dispose()


def _add_views(app: Flask, guard: Guard, note: Any, get_session: Callable[[], Any]) -> None:
    @app.get("/notes")
    def list_notes() -> Any:
        return jsonify(list(get_session().scalars(select(note.title))))

    @app.get("/notes/<int:number>")
    def get_note(number: int) -> Any:
        found = get_session().get(note, number)
        return (jsonify(found.title), 200) if found else ("", 404)

    @app.post("/notes")
    def make_note() -> Any:
        session = get_session()
        session.add(note(**request.get_json()))
        session.commit()
        return "", 201

    @app.get("/stream/<kind>")
    def stream(kind: str) -> Any:
        session = Session(get_session().get_bind())

        def lines() -> Iterator[str]:
            with session:
                for _ in range(2):
                    yield "\n".join(session.scalars(select(note.title))) + "\n"

        return Response(stream_with_context(lines()) if kind == "context" else lines())

    @app.get("/all")
    @guard.public(reason="a test")
    def list_all() -> Any:
        with unscoped(reason="a test"), Session(get_session().get_bind()) as session:
            return jsonify(sorted(session.scalars(select(note.title))))


def test_each_tenant_sees_its_own(site: Any) -> None:
    client, as_tenant, *_ = site

    for _ in range(2):
        for tenant in ("acme", "zeta"):
            assert client.get("/notes", headers=as_tenant(tenant)).json == [tenant]


def test_a_foreign_row_is_not_there(site: Any) -> None:
    client, as_tenant, *_ = site

    assert client.get("/notes/2", headers=as_tenant("acme")).status_code == 404
    assert client.get("/notes/2", headers=as_tenant("zeta")).json == "zeta"


def test_without_a_tenant_nothing_is_answered(site: Any) -> None:
    client, as_tenant, *_ = site

    problem = assert_problem(client.get("/notes", headers=as_tenant(None)), 403, "forbidden")

    assert problem["detail"] == "Tenant identity could not be determined."


def test_a_foreign_reference_is_a_fault_of_the_body(site: Any) -> None:
    client, as_tenant, *_ = site

    answers = [
        client.post("/notes", json={"title": "x", "copy_of_id": number}, headers=as_tenant("acme"))
        for number in (2, 99)
    ]

    for answer in answers:
        problem = assert_problem(answer, 422, "validation_error")
        assert problem["errors"] == [{"pointer": "/copy_of_id", "message": "What this refers to is not there."}]
    assert client.get("/notes", headers=as_tenant("acme")).json == ["acme"]


def test_a_row_for_another_tenant_is_refused(site: Any) -> None:
    client, as_tenant, *_ = site

    answer = client.post("/notes", json={"title": "x", "tenant_id": "zeta"}, headers=as_tenant("acme"))

    assert_problem(answer, 403, "cross_tenant_write")
    assert client.get("/notes", headers=as_tenant("zeta")).json == ["zeta"]


def test_a_taken_key_says_the_same_whoever_has_it(site: Any) -> None:
    client, as_tenant, *_ = site

    problems = [
        assert_problem(
            client.post("/notes", json={"id": number, "title": "x"}, headers=as_tenant("acme")), 409, "conflict"
        )
        for number in (1, 2)
    ]

    for problem in problems:
        del problem["request_id"]
    assert problems[0] == problems[1]
    assert "zeta" not in str(problems)


def test_a_stream_with_its_request_goes_on_for_its_tenant(site: Any) -> None:
    client, as_tenant, *_ = site

    assert client.get("/stream/context", headers=as_tenant("acme")).text == "acme\nacme\n"
    assert client.get("/stream/context", headers=as_tenant("zeta")).text == "zeta\nzeta\n"


def test_a_stream_without_its_request_has_no_tenant(site: Any) -> None:
    client, as_tenant, *_ = site

    with pytest.raises(Exception) as refused:  # noqa: PT011  # of either kind below
        client.get("/stream/plain", headers=as_tenant("acme"))

    assert type(refused.value).__name__ in ("UnboundTenant", "SessionPinned", "RuntimeError")
    assert client.get("/notes", headers=as_tenant("zeta")).json == ["zeta"]


def test_an_unscoped_block_in_a_view_leaves_nothing_behind(site: Any) -> None:
    client, as_tenant, *_ = site

    assert client.get("/all").json == ["acme", "zeta"]
    assert client.get("/notes", headers=as_tenant("acme")).json == ["acme"]


def test_an_error_in_a_view_leaves_nothing_behind(site: Any) -> None:
    client, as_tenant, app, _note, _get_session = site
    app.config["PROPAGATE_EXCEPTIONS"] = False

    client.post("/notes", json={"colour": "red"}, headers=as_tenant("acme"))

    assert client.get("/notes", headers=as_tenant("zeta")).json == ["zeta"]
    assert client.get("/notes/1", headers=as_tenant("zeta")).status_code == 404


# At start -----------------------------------------------------------------------------------------------


@pytest.fixture
def engine_of() -> Iterator[Callable[[str], sa.Engine]]:
    made: list[sa.Engine] = []

    def make(url: str) -> sa.Engine:
        made.append(sa.create_engine(url))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


def _declare(**tables: Any) -> Any:
    """Return a metadata with a table of tenants and others. tables: the options of each."""
    metadata = sa.MetaData()
    tenant = sa.Column("tenant_id", sa.String(20), nullable=False, info={"guard": "tenant"})
    sa.Table("notes", metadata, sa.Column("id", sa.Integer, primary_key=True), tenant)
    for name, options in tables.items():
        sa.Table(name, metadata, sa.Column("note_id", sa.ForeignKey("notes.id")), **options)
    return metadata


# Nothing is connected to at start; that the application has a database of its own is what counts.
MODELS = sa.create_engine("sqlite://")


def test_tables_that_nothing_is_said_about_are_refused_at_start(tmp_path: Path) -> None:
    held = _declare(lines={}, words={}, shared={"info": {"guard": {"global": True}}})
    app = Flask("app", instance_path=str(tmp_path))

    with pytest.raises(ConfigError) as refused:
        Guard(app, engine=MODELS)

    told = str(refused.value)
    assert held is not None
    assert "'lines'" in told
    assert "'words'" in told
    assert "'shared'" not in told


def test_an_owner_does_not_say_which_tenant_a_row_is_of(tmp_path: Path) -> None:
    metadata = sa.MetaData()
    sa.Table("drafts", metadata, sa.Column("owner_id", sa.String(20), info={"guard": "owner"}))
    sa.Table("words", metadata, sa.Column("word", sa.String(20)))
    Guard(Flask("alone", instance_path=str(tmp_path)))

    tenant = sa.Column("tenant_id", sa.String(20), info={"guard": "tenant"})
    sa.Table("notes", metadata, tenant)

    with pytest.raises(ConfigError) as refused:
        Guard(Flask("app", instance_path=str(tmp_path)), engine=MODELS)
    assert len(refused.value.faults) == 2


def test_tables_that_come_later_are_refused_when_the_rules_are_compiled(tmp_path: Path) -> None:
    app = Flask("app", instance_path=str(tmp_path))
    guard = Guard(app, engine=MODELS)
    held = _declare(lines={})

    with pytest.raises(ConfigError, match="'lines'"):
        guard.compile(app)
    assert held is not None


def test_a_parent_that_has_not_been_imported_yet_is_waited_for(tmp_path: Path) -> None:
    metadata = _declare()
    sa.Table("lines", metadata, sa.Column("page", sa.ForeignKey("pages.id")), info={"guard": {"parent": "page"}})
    app = Flask("app", instance_path=str(tmp_path))
    guard = Guard(app, engine=MODELS)
    with pytest.raises(ConfigError, match="pages"):
        Guard(other := Flask("other", instance_path=str(tmp_path))).compile(other)

    tenant = sa.Column("tenant_id", sa.String(20), info={"guard": "tenant"})
    sa.Table("pages", metadata, sa.Column("id", sa.Integer, primary_key=True), tenant)

    guard.compile(app)


def test_tables_of_a_program_whose_database_is_not_known_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They may be those of another application of the process."""
    held = _declare(lines={})

    Guard(Flask("app", instance_path=str(tmp_path)))

    assert held is not None
    assert any("'lines'" in record.message and "engine=" in record.message for record in caplog.records)


def test_a_compiler_that_does_not_filter_is_refused_at_start(
    tmp_path: Path, engine_of: Callable[[str], sa.Engine], monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    held = _declare()
    engine = engine_of(database_url)
    app = Flask("app", instance_path=str(tmp_path))
    guard = Guard(app, engine=engine)
    original = engine.dialect.statement_compiler.visit_table
    monkeypatch.setattr(GuardedCompiler, "visit_table", original)
    monkeypatch.setattr(GuardedCompiler, "_compose_select_body", SQLCompiler._compose_select_body)

    with pytest.raises(ConfigError, match=r"on 'notes' comes out of SQLAlchemy without the conditions"):
        guard.compile(app)
    assert held is not None


def test_models_that_nobody_holds_any_more_are_not_the_applications(tmp_path: Path) -> None:
    def declare() -> None:
        class Base(DeclarativeBase):
            pass

        class Note(TenantMixin, Base):
            __tablename__ = "notes"
            id: Mapped[int] = mapped_column(primary_key=True)

        class Line(Base):
            __tablename__ = "lines"
            id: Mapped[int] = mapped_column(primary_key=True)

    declare()

    Guard(app := Flask("app", instance_path=str(tmp_path))).compile(app)


def test_a_mistake_in_the_program_is_a_500_that_says_nothing(tmp_path: Path) -> None:
    app = Flask("app", instance_path=str(tmp_path))
    guard = Guard(app)

    @app.get("/")
    @guard.public(reason="a test")
    def index() -> str:
        raise TenancyError("the table 'notes' of the tenant 'zeta'")

    problem = assert_problem(app.test_client().get("/"), 500, "internal")

    assert "zeta" not in str(problem)
