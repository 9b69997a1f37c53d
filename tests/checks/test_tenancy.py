"""What the checklist finds in schemas with tenants: in models, and in databases that are older than them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_guard import Guard
from flask_guard.checks import registry
from flask_guard.checks import tenancy as _tenancy  # noqa: F401  registers its checks
from flask_guard.db import parent, shared


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


def find(check_id: str, tmp_path: Path, engine: sa.Engine | None = None) -> list[str]:
    """Return the sentences of one check on an application with the engine."""
    gc.collect()  # the models of other tests, which nobody holds
    guard = Guard(Flask("app", instance_path=str(tmp_path)), engine=engine or sa.create_engine("sqlite://"))
    return [finding.message for finding in registry._checks[check_id](guard.runtime)]


def tenant(**options: Any) -> sa.Column[str]:
    return sa.Column("tenant_id", sa.String(20), info={"guard": "tenant"}, **{"nullable": False, **options})


def id_() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def test_what_is_unique_among_all_tenants_is_found(tmp_path: Path) -> None:
    metadata = sa.MetaData()
    email, slug = sa.Column("email", sa.String(20), unique=True), sa.Column("slug", sa.String(20))
    index = sa.Index("slugs", "slug", unique=True)
    sa.Table("t_users", metadata, id_(), tenant(), email, slug, index)
    sa.Table("t_fine", metadata, id_(), tenant(), sa.Column("x", sa.Integer), sa.UniqueConstraint("tenant_id", "x"))
    sa.Table("t_words", metadata, id_(), sa.Column("word", sa.String(20), unique=True), info=shared())

    found = [sentence for sentence in find("FG-TENANCY-001", tmp_path) if sentence.startswith("t_")]

    assert sorted(found) == [
        "t_users(email) is unique among all tenants.",
        "t_users(slug) is unique among all tenants.",
    ]


def test_references_of_an_old_database_that_leave_the_tenant_out_are_found(tmp_path: Path, engine: sa.Engine) -> None:
    old = sa.MetaData()
    plain = [lambda: sa.Column("id", sa.Integer, primary_key=True), lambda: sa.Column("tenant_id", sa.String(20))]
    sa.Table("t_folders", old, *(make() for make in plain))
    sa.Table("t_files", old, *(make() for make in plain), sa.Column("folder_id", sa.ForeignKey("t_folders.id")))
    old.create_all(engine)
    models = sa.MetaData()
    sa.Table("t_folders", models, id_(), tenant())
    sa.Table("t_files", models, id_(), tenant(), sa.Column("folder_id", sa.ForeignKey("t_folders.id")))

    assert find("FG-TENANCY-002", tmp_path, engine) == ["t_files(folder_id) refers to t_folders of any tenant."]


def test_references_of_a_database_that_was_made_from_the_models_are_fine(tmp_path: Path, engine: sa.Engine) -> None:
    models = sa.MetaData()
    sa.Table("t_folders", models, id_(), tenant())
    columns = [sa.Column("one", sa.ForeignKey("t_folders.id"))]
    columns += [sa.Column("two", sa.ForeignKey("t_folders.id", ondelete="SET NULL"))]
    sa.Table("t_files", models, id_(), tenant(), *columns)
    models.create_all(engine)

    assert find("FG-TENANCY-002", tmp_path, engine) == []


def test_views_of_tables_of_tenants_are_found(tmp_path: Path, engine: sa.Engine) -> None:
    metadata = sa.MetaData()
    sa.Table("t_notes", metadata, id_(), tenant())
    sa.Table("t_words", metadata, id_(), info=shared())
    metadata.create_all(engine)
    connection = engine.raw_connection()
    for name, table in (("all_notes", "t_notes"), ("own_notes", "t_notes"), ("all_words", "t_words")):
        connection.cursor().execute(f"CREATE VIEW {name} AS SELECT * FROM {table}")  # noqa: S608
    connection.commit()
    connection.close()
    sa.Table("own_notes", metadata, id_(), tenant())

    assert find("FG-TENANCY-003", tmp_path, engine) == ["The view all_notes reads t_notes."]


def test_a_tenant_that_may_be_null_is_found(tmp_path: Path) -> None:
    metadata = sa.MetaData()
    sa.Table("t_loose", metadata, id_(), tenant(nullable=True))
    sa.Table("t_tight", metadata, id_(), tenant())

    found = [sentence for sentence in find("FG-TENANCY-004", tmp_path) if sentence.startswith("t_")]

    assert found == ["t_loose.tenant_id may be NULL."]


def test_a_table_without_an_index_that_begins_with_the_tenant_is_found(tmp_path: Path) -> None:
    metadata = sa.MetaData()
    sa.Table("t_slow", metadata, id_(), tenant(), sa.Column("x", sa.Integer, index=True))
    sa.Table("t_indexed", metadata, id_(), tenant(index=True))
    sa.Table("t_keyed", metadata, tenant(primary_key=True), id_())
    sa.Table("t_unique", metadata, id_(), tenant(), sa.UniqueConstraint("tenant_id", "id"))
    sa.Table("t_child", metadata, id_(), sa.Column("slow_id", sa.ForeignKey("t_slow.id")), info=parent("slow_id"))

    found = [sentence for sentence in find("FG-TENANCY-005", tmp_path) if sentence.startswith("t_")]

    assert found == ["t_slow has no index that begins with tenant_id."]


def test_a_database_that_does_not_answer_is_another_checks_matter(tmp_path: Path) -> None:
    engine = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")

    assert find("FG-TENANCY-002", tmp_path, engine) == []
    assert find("FG-TENANCY-003", tmp_path, engine) == []
