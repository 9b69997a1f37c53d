"""Row security in requests: each is told to PostgreSQL, in its role, and one that cannot be is 503."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient
from sqlalchemy import Engine

from flask_guard import Guard
from flask_guard.db import unscoped
from tests.tenancy.rls.world import World, fill, make_world, remove_roles

SECRET = "for-tests-only-" * 8


@pytest.fixture
def world(postgres_db: str) -> Iterator[World]:
    world = make_world(postgres_db)
    fill(world)
    yield world
    remove_roles(world)


Make = Callable[..., tuple[Guard, FlaskClient]]


@pytest.fixture
def make_client(world: World) -> Iterator[Make]:
    """Applications on the database, by the role that they connect as and their settings."""
    with ExitStack() as stack:

        def make(login: str, **options: Any) -> tuple[Guard, FlaskClient]:
            return _make_client(stack.enter_context(world.engine(login)), **options)

        yield make


def _make_client(engine: Engine, **options: Any) -> tuple[Guard, FlaskClient]:
    app = Flask("app")
    guard = Guard(app, engine=engine, env="development", jwt_secret_key=SECRET, **options)

    def answer() -> Any:
        with engine.begin() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("SELECT current_user::text, array(SELECT id FROM rls_notes ORDER BY id)")
            role, ids = cursor.fetchone()  # type: ignore[misc]
        return jsonify(role=role, ids=ids)

    @app.get("/notes")
    @guard.require_tenant()
    def notes() -> Any:
        return answer()

    @app.get("/open")
    @guard.public(reason="test")
    def open_to_all() -> Any:
        return answer()

    @app.get("/every")
    @guard.public(reason="test")
    def every() -> Any:
        with unscoped(reason="test"):
            return answer()

    return guard, app.test_client()


def ask(guard: Guard, client: FlaskClient, path: str, tenant: str | None = None) -> Any:
    if tenant is None:
        return client.get(path)
    with client.application.app_context():
        token = guard.tokens.issue("u1", tenant=tenant)
    return client.get(path, headers={"Authorization": f"Bearer {token}"})


def test_a_request_sees_the_rows_of_its_tenant_in_the_role_that_was_set(world: World, make_client: Make) -> None:
    world.execute(f"GRANT {world.application} TO {world.owner}")
    guard, client = make_client(world.owner, rls_role=world.application)

    assert ask(guard, client, "/notes", "a").json == {"role": world.application, "ids": [1, 2]}
    assert ask(guard, client, "/notes", "b").json == {"role": world.application, "ids": [3]}
    assert ask(guard, client, "/open").json == {"role": world.application, "ids": []}


def test_an_unscoped_block_takes_the_system_role(world: World, make_client: Make) -> None:
    world.execute(f"GRANT {world.system} TO {world.application}")
    guard, client = make_client(world.application, rls_system_role=world.system)

    assert ask(guard, client, "/every").json == {"role": world.system, "ids": [1, 2, 3]}
    assert ask(guard, client, "/notes", "a").json == {"role": world.application, "ids": [1, 2]}


def test_a_request_that_cannot_be_told_is_503_and_says_nothing_of_why(world: World, make_client: Make) -> None:
    guard, client = make_client(world.application, rls_role="rls_no_such_role")

    answer = ask(guard, client, "/notes", "a")
    assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
    assert "rls_no_such_role" not in answer.text


def test_applications_of_one_process_take_their_own_roles(world: World, make_client: Make) -> None:
    world.execute(f"GRANT {world.application} TO {world.owner}")
    one = make_client(world.owner, rls_role=world.application)
    other = make_client(world.owner)

    assert ask(*one, "/notes", "a").json["role"] == world.application
    assert ask(*other, "/notes", "a").json["role"] == world.owner
