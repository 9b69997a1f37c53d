"""Guard's tables in the database of the application, whatever brings it, and the commands that make them."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, jsonify

from flask_guard import Guard, current_principal

from .conftest import assert_problem


def _with_flask_sqlalchemy(app: Flask, url: str) -> dict[str, Any]:
    from flask_sqlalchemy import SQLAlchemy

    app.config["SQLALCHEMY_DATABASE_URI"] = url
    return {"db": SQLAlchemy(app)}


def _with_extension_found(app: Flask, url: str) -> dict[str, Any]:
    _with_flask_sqlalchemy(app, url)
    return {}


def _with_lite(app: Flask, url: str) -> dict[str, Any]:
    from flask_sqlalchemy_lite import SQLAlchemy

    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    return {"db": SQLAlchemy(app)}


def _with_engine(app: Flask, url: str) -> dict[str, Any]:
    return {"engine": sa.create_engine(url)}


def _with_setting(app: Flask, url: str) -> dict[str, Any]:
    return {"database_url": url}


_WAYS = [_with_flask_sqlalchemy, _with_extension_found, _with_lite, _with_engine, _with_setting]


@pytest.fixture(params=_WAYS, ids=lambda way: way.__name__.removeprefix("_with_"))
def guarded(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Any:
    """An application whose database Guard shares; (app, guard, url)."""
    app = Flask("app", instance_path=str(tmp_path / "instance"))
    supplied = request.param(app, database_url)
    guard = Guard(app, jwt_secret_key=secrets.token_urlsafe(48), **supplied)

    @app.get("/me")
    def me() -> Any:
        return jsonify(id=current_principal.id)

    yield app, guard, database_url
    guard.runtime.database.engine.dispose()


def _users_table(url: str) -> set[str]:
    engine = sa.create_engine(url)
    names = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_a_key_made_in_the_applications_database_is_accepted(guarded: Any, tmp_path: Path) -> None:
    app, _guard, url = guarded
    runner = app.test_cli_runner()

    assert runner.invoke(args=["guard", "init-db"]).exit_code == 0
    made = runner.invoke(args=["guard", "keys", "create", "--name", "ci"])
    key = made.stdout.strip().splitlines()[0]

    answer = app.test_client().get("/me", headers={"X-API-Key": key})
    assert answer.status_code == 200
    assert "guard_api_keys" in _users_table(url)
    assert not (tmp_path / "instance" / "guard.sqlite3").exists()


def test_without_tables_postgresql_is_closed_and_the_log_says_what_to_do(
    tmp_path: Path, postgres_db: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask("app", instance_path=str(tmp_path))
    guard = Guard(app, database_url=postgres_db)
    app.add_url_rule("/", "index", lambda: "ok")
    other = Flask("other", instance_path=str(tmp_path / "other"))
    maker = Guard(other)
    with other.app_context():
        _, key = maker.api_keys.create(name="elsewhere")

    with caplog.at_level("INFO", logger="flask_guard"):
        answer = app.test_client().get("/", headers={"X-API-Key": key})

    problem = assert_problem(answer, 503, "credential_store_unavailable")
    assert "init-db" not in str(problem)
    assert "flask guard init-db" in caplog.text
    assert app.test_cli_runner().invoke(args=["guard", "keys", "list"]).exit_code == 2
    guard.runtime.database.engine.dispose()


def test_a_database_that_is_down_lets_nobody_in(tmp_path: Path) -> None:
    app = Flask("app", instance_path=str(tmp_path))
    Guard(app, database_url="postgresql://nobody@127.0.0.1:1/none")
    app.add_url_rule("/", "index", lambda: "ok")
    other = Flask("other", instance_path=str(tmp_path / "other"))
    maker = Guard(other)
    with other.app_context():
        _, key = maker.api_keys.create(name="elsewhere")

    answer = app.test_client().get("/", headers={"X-API-Key": key})

    assert_problem(answer, 503, "credential_store_unavailable")
    assert_problem(app.test_client().get("/", headers={"X-API-Key": key + "x"}), 401, "invalid_api_key")


def test_tokens_need_no_database_at_all(tmp_path: Path) -> None:
    app = Flask("app", instance_path=str(tmp_path))
    guard = Guard(app, database_url="postgresql://nobody@127.0.0.1:1/none", jwt_secret_key=secrets.token_urlsafe(48))
    app.add_url_rule("/", "index", lambda: "ok")

    headers = {"Authorization": f"Bearer {guard.tokens.issue('ada')}"}

    assert app.test_client().get("/", headers=headers).status_code == 200
