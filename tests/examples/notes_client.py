"""The notes example as tests hold it: an application, and a client that shows a token."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

BOTH = ("notes:read", "notes:write")


def make_app(notes: Any, **config: Any) -> Flask:
    app: Flask = notes.create_app({"GUARD_JWT_SECRET_KEY": secrets.token_urlsafe(48), **config})
    return app


class Caller:
    """A client that always shows the same token."""

    def __init__(self, app: Flask, tenant: str | None = "acme", *, subject: str = "ada", **issued: Any) -> None:
        issued.setdefault("scopes", BOTH)
        self._client: FlaskClient = app.test_client()
        with app.app_context():
            token = app.extensions["guard"].tokens.issue(subject, tenant=tenant, **issued)
        self._headers = {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, **request: Any) -> TestResponse:
        return self._client.open(path, method=method, headers=self._headers, **request)

    def write(self, title: str = "Milk", body: str = "Two bottles") -> dict[str, Any]:
        answer = self("POST", "/notes", json={"title": title, "body": body})
        assert answer.status_code == 201, answer.text
        note: dict[str, Any] = answer.get_json()
        return note

    def titles(self) -> list[str]:
        return [note["title"] for note in self("GET", "/notes").get_json()["notes"]]
