"""The lazy session reads and writes what Flask's own does, and nothing when nobody asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface

from flask_guard import Guard
from flask_guard.pipeline.session import LazySessionInterface
from flask_guard.policies import public

from .conftest import AppMaker


def _routes(app: Flask, guard: Guard) -> None:
    guard.rules({"*": public(reason="test")})

    @app.get("/none")
    def none() -> str:
        return "untouched"

    @app.get("/set/<value>")
    def set_value(value: str) -> str:
        session["value"] = value
        return "set"

    @app.get("/get")
    def get_value() -> str:
        return str(session.get("value"))

    @app.get("/look/<how>")
    def look(how: str) -> str:
        looks: dict[str, Any] = {
            "in": lambda: "value" in session,
            "len": lambda: len(session),
            "iter": lambda: list(session),
            "dict": lambda: dict(session),
            "items": lambda: list(session.items()),
            "eq": lambda: session == {"value": "a"},
            "bool": lambda: bool(session),
            "copy": lambda: session.copy(),  # type: ignore[attr-defined]
            "or": lambda: session | {"other": 1},  # type: ignore[operator]
            "repr": lambda: repr(session),
        }
        return str(looks[how]())

    @app.get("/clear")
    def clear() -> str:
        session.clear()
        return "cleared"

    @app.get("/permanent")
    def permanent() -> str:
        session.permanent = True
        return "permanent"

    @app.get("/nested")
    def nested() -> str:
        session.setdefault("list", []).append(1)
        session.modified = True
        return str(session["list"])


@pytest.fixture(params=["lazy", "flask"])
def app(request: pytest.FixtureRequest, make_app: AppMaker) -> Flask:
    """The same application with each interface: one behaviour is asked of both."""
    return make_app(_routes, session_interface=request.param)[0]


def test_values_come_back(app: Flask) -> None:
    client = app.test_client()

    assert client.get("/get").text == "None"
    client.get("/set/a")

    assert client.get("/get").text == "a"
    assert client.get("/nested").text == "[1]"
    assert client.get("/nested").text == "[1, 1]"


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("in", "True"),
        ("len", "1"),
        ("iter", "['value']"),
        ("dict", "{'value': 'a'}"),
        ("items", "[('value', 'a')]"),
        ("eq", "True"),
        ("bool", "True"),
        ("copy", "{'value': 'a'}"),
        ("or", "{'value': 'a', 'other': 1}"),
        ("repr", "<SecureCookieSession {'value': 'a'}>"),
    ],
)
def test_every_way_of_looking_opens_the_session(app: Flask, how: str, seen: str) -> None:
    client = app.test_client()
    client.get("/set/a")

    answer = client.get(f"/look/{how}")

    assert answer.text == seen
    assert "Cookie" in answer.headers["Vary"]


def test_an_untouched_session_sends_nothing(app: Flask) -> None:
    client = app.test_client()
    client.get("/set/a")

    answer = client.get("/none")

    assert "Set-Cookie" not in answer.headers
    assert "Vary" not in answer.headers


def test_clearing_removes_the_cookie(app: Flask) -> None:
    client = app.test_client()
    client.get("/set/a")

    assert "Expires=Thu, 01 Jan 1970" in client.get("/clear").headers["Set-Cookie"]
    assert client.get("/get").text == "None"


@pytest.mark.parametrize("refresh", [True, False])
def test_a_permanent_session_is_refreshed_on_each_request_if_asked(app: Flask, refresh: bool) -> None:
    app.config["SESSION_REFRESH_EACH_REQUEST"] = refresh
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(hours=1)
    client = app.test_client()
    client.get("/permanent")

    answer = client.get("/none")

    assert ("Set-Cookie" in answer.headers) is refresh
    assert ("Vary" in answer.headers) is refresh


def test_the_cookies_are_interchangeable(make_app: AppMaker) -> None:
    lazy, _ = make_app(_routes, session_interface="lazy")
    plain, _ = make_app(_routes, session_interface="flask")
    plain.secret_key = lazy.secret_key
    cookie = lazy.test_client().get("/set/a").headers["Set-Cookie"].split(";")[0]

    assert plain.test_client(use_cookies=False).get("/get", headers={"Cookie": cookie}).text == "a"


def test_a_forged_cookie_is_an_empty_session(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    genuine = client.get("/set/a").headers["Set-Cookie"].split(";")[0]
    name, _, value = genuine.partition("=")
    payload, rest = value.split(".", 1)
    forged = f"{name}={payload[:-1]}x.{rest}"

    assert client.get("/get", headers={"Cookie": genuine}).text == "a"
    assert client.get("/get", headers={"Cookie": forged}).text == "None"


def test_without_a_secret_key_reading_works_and_writing_says_why(make_app: AppMaker) -> None:
    app, _ = make_app(_routes)
    app.secret_key = None
    app.testing = True

    assert app.test_client().get("/get").text == "None"
    with pytest.raises(RuntimeError, match="secret key"):
        app.test_client().get("/set/a")


def test_a_test_client_can_write_the_session(app: Flask) -> None:
    client = app.test_client()

    with client.session_transaction() as changed:
        changed["value"] = "from the test"

    assert client.get("/get").text == "from the test"


def test_an_applications_own_interface_stays(make_app: AppMaker) -> None:
    class Own(SecureCookieSessionInterface):
        pass

    def setup(app: Flask, guard: Guard) -> None:
        app.session_interface = Own()

    app, _ = make_app(setup)

    assert type(app.session_interface) is Own
    assert type(make_app()[0].session_interface) is LazySessionInterface
