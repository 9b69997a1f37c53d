"""Whole applications for tests of what a request meets. Each is new, in production mode, with a random secret."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify

from flask_guard import Guard, current_principal

AppMaker = Callable[..., tuple[Flask, Guard]]


@pytest.fixture
def make_app(tmp_path: Path) -> AppMaker:
    """Return a maker of (app, guard): `setup(app, guard)` adds routes, options are those of Guard."""

    def make(setup: Callable[[Flask, Guard], None] | None = None, **options: Any) -> tuple[Flask, Guard]:
        app = Flask("app", instance_path=str(tmp_path / "instance"))
        app.config["SECRET_KEY"] = secrets.token_hex(32)
        guard = Guard()

        @app.get("/closed")
        def closed() -> Any:
            return jsonify(id=current_principal.id)

        if setup is not None:
            setup(app, guard)
        options.setdefault("jwt_secret_key", secrets.token_urlsafe(48))
        guard.init_app(app, **options)
        return app, guard

    return make


def bearer(guard: Guard, subject: str = "ada", **issued: Any) -> dict[str, str]:
    """Return the header of a fresh token of this guard's application."""
    return {"Authorization": f"Bearer {guard.tokens.issue(subject, **issued)}"}


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The answer is an RFC 9457 problem of this status and code, under the request's id."""
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.get_json(force=True)
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["type"] == f"urn:flask-guard:error:{code}"
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    return problem
