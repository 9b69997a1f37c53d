"""A browser that asks for leave: whose pages read our answers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify, request
from selenium.webdriver import Remote

from flask_guard import Guard, current_principal

from .hostile import make_hostile_site
from .nginx import Nginx
from .sites import Recorder, make_origins, published

pytestmark = pytest.mark.system

UNREADABLE = "TypeError: Failed to fetch"
FETCH = """
    const [address, init, done] = arguments;
    const tell = async (answer) => ({
      status: answer.status,
      body: await answer.json(),
      id: answer.headers.get("X-Request-Id"),
      policy: answer.headers.get("Content-Security-Policy"),
    });
    fetch(address, init).then(tell).then(done, (error) => done(String(error)));
"""


@dataclass(frozen=True, slots=True)
class Api:
    """An API, with the pages of two other origins, of which it lists one. token: for ada."""

    origin: str
    listed: str
    unlisted: str
    recorder: Recorder
    token: str

    def fetch(self, browser: Remote, path: str, *, page: str, **init: Any) -> Any:
        """Ask from a page, and return what its script may read of the answer, or the error that it has."""
        browser.get(f"{page}/own-form")
        return browser.execute_async_script(FETCH, self.origin + path, init)

    def arrived(self, path: str) -> list[tuple[str, int]]:
        return [(exchange.method, exchange.status) for exchange in self.recorder.find(path)]


@pytest.fixture
def api(nginx: Nginx, tmp_path: Path) -> Iterator[Api]:
    origin, listed, unlisted = make_origins("api.test", "app.test", "evil.test")
    app = Flask("api", instance_path=str(tmp_path / "instance"))
    guard = Guard()

    @app.get("/prices")
    @guard.public(reason="test")
    def prices() -> Any:
        return jsonify(prices=[])

    @app.route("/me", methods=["GET", "PUT"])
    def me() -> Any:
        return jsonify(id=current_principal.id, method=request.method)

    secret = secrets.token_urlsafe(48)
    guard.init_app(app, trusted_proxies="127.0.0.1", cors_origins=listed, jwt_secret_key=secret)
    recorder = Recorder(app)
    with app.app_context():
        token = guard.tokens.issue("ada")
    pages = make_hostile_site()
    with published(nginx, {origin: recorder, listed: pages, unlisted: pages}):
        yield Api(origin, listed, unlisted, recorder, token)


def bearer(api: Api) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.token}"}


def test_a_listed_page_asks_and_reads_with_a_token(browser: Remote, api: Api) -> None:
    read = api.fetch(browser, "/me", page=api.listed, headers=bearer(api))

    assert (read["status"], read["body"]) == (200, {"id": "ada", "method": "GET"})
    assert api.arrived("/me") == [("OPTIONS", 204), ("GET", 200)]


def test_a_listed_page_reads_the_headers_that_are_exposed(browser: Remote, api: Api) -> None:
    read = api.fetch(browser, "/prices", page=api.listed)

    assert read["id"]
    assert read["policy"] is None


def test_a_listed_page_writes_json(browser: Remote, api: Api) -> None:
    headers = {**bearer(api), "Content-Type": "application/json"}

    read = api.fetch(browser, "/me", page=api.listed, method="PUT", headers=headers, body="{}")

    assert (read["status"], read["body"]["method"]) == (200, "PUT")
    assert api.arrived("/me") == [("OPTIONS", 204), ("PUT", 200)]


def test_a_listed_page_reads_why_it_is_refused(browser: Remote, api: Api) -> None:
    read = api.fetch(browser, "/me", page=api.listed)

    assert (read["status"], read["body"]["code"]) == (401, "unauthorized")


def test_a_listed_page_reads_nothing_that_was_asked_with_cookies(browser: Remote, api: Api) -> None:
    """Leave to send them is another setting."""
    assert api.fetch(browser, "/prices", page=api.listed, credentials="include") == UNREADABLE
    assert api.arrived("/prices") == [("GET", 200)]


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_another_page_with_a_token_is_not_let_ask(browser: Remote, api: Api, method: str) -> None:
    assert api.fetch(browser, "/me", page=api.unlisted, method=method, headers=bearer(api)) == UNREADABLE
    assert api.arrived("/me") == [("OPTIONS", 403)]


def test_another_page_reads_nothing_even_if_it_need_not_ask(browser: Remote, api: Api) -> None:
    assert api.fetch(browser, "/prices", page=api.unlisted) == UNREADABLE
    assert api.arrived("/prices") == [("GET", 200)]
