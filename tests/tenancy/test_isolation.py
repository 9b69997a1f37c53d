"""Nothing of one tenant stays behind for the next: in caches, streams, threads, greenlets and commands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import greenlet
import pytest
from flask import Flask, Response, stream_with_context
from flask.cli import with_appcontext
from sqlalchemy import Engine, MetaData, String, create_engine, event, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_guard import Guard, GuardError, tenant_scope
from flask_guard.db import TenantMixin, unscoped
from flask_guard.errors import TenancyError, TenantRequired
from flask_guard.testing import guard_client


class Base(DeclarativeBase):
    pass


class Parcel(TenantMixin, Base):
    __tablename__ = "parcels"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(60))


TEXTS = {"acme": ["acme 1", "acme 2"], "globex": ["globex 1"]}
PARCELS = select(Parcel).order_by(Parcel.text)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database with the parcels of two tenants."""
    engine = create_engine(database_url)
    Base.metadata.create_all(engine)
    for tenant, texts in TEXTS.items():
        with tenant_scope(tenant), Session(engine) as session:
            session.add_all([Parcel(text=one) for one in texts])
            session.commit()
    yield engine
    engine.dispose()


def read(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return [parcel.text for parcel in session.scalars(PARCELS)]


@contextmanager
def recorded(engine: Engine) -> Iterator[list[str]]:
    """Record where SQLAlchemy had each statement from, such as "CACHE_HIT"."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        seen.append(context.cache_hit.name)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


# Caches ------------------------------------------------------------------------------------------------


def test_tenants_take_turns_with_one_cached_statement(engine: Engine) -> None:
    with tenant_scope("acme"):
        read(engine)
    found = []

    with recorded(engine) as seen:
        for tenant in ("acme", "globex", "acme", "globex"):
            with tenant_scope(tenant):
                found.append(read(engine))

    assert found == [TEXTS["acme"], TEXTS["globex"]] * 2
    assert seen == ["CACHE_HIT"] * 4


def test_a_cached_statement_without_a_tenant_is_refused(engine: Engine) -> None:
    with tenant_scope("acme"):
        read(engine)

    with pytest.raises(TenantRequired):
        read(engine)


@pytest.mark.parametrize("order", ["privileged first", "guarded first"])
def test_a_privileged_select_leaves_nothing_in_the_caches(engine: Engine, order: str) -> None:
    """The same statement, privileged and guarded by turns."""
    if order == "guarded first":
        with tenant_scope("globex"):
            read(engine)
    for _ in range(3):
        with unscoped(reason="the test looks at everybody"):
            assert read(engine) == [*TEXTS["acme"], *TEXTS["globex"]]

        with tenant_scope("globex"):
            assert read(engine) == TEXTS["globex"]


def test_a_privileged_flush_leaves_nothing_in_the_caches(engine: Engine) -> None:
    """A mapper has caches of its own for what a flush says."""
    with unscoped(reason="the test changes everybody's"), Session(engine) as session:
        for parcel in session.scalars(PARCELS):
            parcel.text += "!"
        session.commit()
        foreign = session.scalars(select(Parcel.id).where(Parcel.tenant_id == "acme")).first()

    with tenant_scope("globex"), Session(engine) as session:
        parcel = session.scalars(PARCELS).one()
        parcel.text = "globex 2"
        session.commit()
        changed = session.execute(Parcel.__table__.update().values(text="globex 3"))
        session.commit()

        assert changed.rowcount == 1
        assert session.get(Parcel, foreign) is None
    with tenant_scope("acme"):
        assert read(engine) == ["acme 1!", "acme 2!"]


def test_an_exception_leaves_no_tenant_behind(engine: Engine) -> None:
    def fail() -> None:
        with tenant_scope("acme"), Session(engine) as session:
            session.scalars(PARCELS).all()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    with pytest.raises(TenantRequired):
        read(engine)


# Readers past the ORM ----------------------------------------------------------------------------------


def read_table_as_pandas(engine: Engine) -> list[str]:
    """What pandas.read_sql_table() does: reflect the table, select its columns on a connection, fetch in parts."""
    with engine.connect() as connection:
        metadata = MetaData()
        metadata.reflect(bind=connection, only=["parcels"])
        table = metadata.tables["parcels"]
        result = connection.execution_options(stream_results=True).execute(select(*table.columns))
        rows = []
        while part := result.fetchmany(1):
            rows += part
        return sorted(row.text for row in rows)


def read_query_as_pandas(engine: Engine) -> list[str]:
    """What pandas.read_sql_query() does with a statement."""
    with engine.connect() as connection:
        return sorted(row.text for row in connection.execute(select(Parcel.__table__)).fetchall())


@pytest.mark.parametrize("reader", [read_table_as_pandas, read_query_as_pandas])
def test_a_data_frame_has_the_rows_of_its_tenant(engine: Engine, reader: Callable[[Engine], list[str]]) -> None:
    for tenant, texts in TEXTS.items():
        with tenant_scope(tenant):
            assert reader(engine) == texts

    with pytest.raises(TenantRequired):
        reader(engine)


@pytest.mark.parametrize("kind", ["text()", "driver SQL"])
def test_a_data_frame_of_text_is_refused(engine: Engine, kind: str) -> None:
    """What pandas.read_sql_query() does with a text: both have been seen."""
    with tenant_scope("acme"), engine.connect() as connection:
        execute: Any = connection.exec_driver_sql if kind == "driver SQL" else connection.execute
        with pytest.raises(TenancyError):
            execute("SELECT * FROM parcels" if kind == "driver SQL" else text("SELECT * FROM parcels"))


# Threads and greenlets ---------------------------------------------------------------------------------


def test_a_thread_inherits_no_tenant(engine: Engine) -> None:
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(read(engine))
        except GuardError as error:
            outcome.append(type(error).__name__)

    with tenant_scope("acme"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert outcome == ["UnboundTenant"]


def test_threads_of_several_tenants_keep_to_their_own(engine: Engine) -> None:
    begin = threading.Barrier(2)
    found: dict[str, list[list[str]]] = {tenant: [] for tenant in TEXTS}

    def work(tenant: str) -> None:
        begin.wait()
        with tenant_scope(tenant):
            found[tenant] += [read(engine) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(tenant,)) for tenant in TEXTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {tenant: [texts] * 20 for tenant, texts in TEXTS.items()}


def test_greenlets_that_switch_inside_of_their_scopes_keep_to_their_own(engine: Engine) -> None:
    """What gevent does at each wait; a greenlet has context variables of its own, and inherits none."""
    found: dict[str, list[list[str]]] = {tenant: [] for tenant in TEXTS}

    def work(tenant: str) -> None:
        with tenant_scope(tenant):
            for _ in range(3):
                found[tenant].append(read(engine))
                greenlet.getcurrent().parent.switch()

    workers = {tenant: greenlet.greenlet(work) for tenant in TEXTS}
    with tenant_scope("initech"):
        for _ in range(4):
            for tenant, worker in workers.items():
                worker.switch(tenant) if not found[tenant] else worker.switch()
        assert read(engine) == []

    assert found == {tenant: [texts] * 3 for tenant, texts in TEXTS.items()}


# Requests and commands ---------------------------------------------------------------------------------


@pytest.fixture
def app(engine: Engine, tmp_path: Path) -> Flask:
    """An application whose views read parcels in each of the ways in which an answer is made."""
    app = Flask("parcels", instance_path=str(tmp_path / "instance"))
    guard = Guard(app, engine=engine)

    @app.get("/plain")
    def plain() -> Any:
        return read(engine)

    @app.get("/streamed")
    def streamed() -> Response:
        return Response(stream_with_context(f"{one}\n" for one in lazily()))

    @app.get("/late")
    def late() -> Response:
        return Response(f"{one}\n" for one in lazily())

    @app.get("/open")
    @guard.public(reason="nobody's")
    def nobodys() -> Any:
        return read(engine)

    def lazily() -> Iterator[str]:
        yield "begin"
        yield from read(engine)

    @app.cli.command("parcels")
    @click.option("--tenant")
    @with_appcontext
    def parcels(tenant: str | None) -> None:
        if tenant is None:
            click.echo(read(engine))
        else:
            with tenant_scope(tenant):
                click.echo(read(engine))

    return app


def test_requests_of_tenants_take_turns(app: Flask) -> None:
    clients = {tenant: guard_client(app, "ada", tenant=tenant) for tenant in TEXTS}

    for _ in range(2):
        for tenant, client in clients.items():
            assert client.get("/plain").get_json() == TEXTS[tenant]


def test_a_streamed_answer_reads_as_the_tenant_of_its_request(app: Flask) -> None:
    answer = guard_client(app, "ada", tenant="globex").get("/streamed")

    assert answer.get_data(as_text=True) == "begin\nglobex 1\n"


def test_a_generator_that_has_lost_its_request_reads_nothing(app: Flask) -> None:
    client = guard_client(app, "ada", tenant="globex")

    with pytest.raises(TenantRequired):
        client.get("/late", buffered=True)


@pytest.mark.parametrize("tenant", [None, "acme"], ids=["nobody", "a tenant at another route"])
def test_a_request_without_a_tenant_reads_nothing(app: Flask, tenant: str | None) -> None:
    if tenant is not None:
        assert guard_client(app, "ada", tenant=tenant).get("/plain").status_code == 200

    assert guard_client(app).get("/open").status_code == 403
    assert guard_client(app, "grace").get("/plain").status_code == 403


def test_a_command_needs_a_scope(app: Flask) -> None:
    runner = app.test_cli_runner()

    assert isinstance(runner.invoke(args=["parcels"]).exception, TenantRequired)
    assert runner.invoke(args=["parcels", "--tenant", "globex"]).output == "['globex 1']\n"
    assert isinstance(runner.invoke(args=["parcels"]).exception, TenantRequired)


def test_counts_are_those_of_the_tenant(engine: Engine) -> None:
    counted = select(func.count()).select_from(Parcel)

    for tenant, texts in TEXTS.items():
        with tenant_scope(tenant), engine.connect() as connection:
            assert connection.scalar(counted) == len(texts)
