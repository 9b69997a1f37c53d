"""A permanent session is refreshed whatever its cookie looks like; the lazy interface answers as Flask's own does."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from flask import Flask, session
from flask.sessions import TaggedJSONSerializer

from flask_guard import Guard
from flask_guard.policies import public

from .conftest import AppMaker


def _routes(app: Flask, guard: Guard) -> None:
    guard.rules({"*": public(reason="test")})

    @app.get("/begin")
    def begin() -> str:
        return "begun"

    @app.get("/untouched")
    def untouched() -> str:
        return "untouched"


@pytest.fixture(params=["lazy", "flask"])
def app(request: pytest.FixtureRequest, make_app: AppMaker) -> Flask:
    return make_app(_routes, session_interface=request.param)[0]


def _cookie_of(app: Flask, **content: Any) -> str:
    """Return the session cookie, name and value, that the application itself sets for this content."""
    app.view_functions["begin"] = lambda: session.update(content) or "begun"
    return app.test_client().get("/begin").headers["Set-Cookie"].split(";")[0]


def _is_refreshed(app: Flask, cookies: str) -> bool:
    answer = app.test_client(use_cookies=False).get("/untouched", headers={"Cookie": cookies})
    assert answer.text == "untouched"
    assert ("Vary" in answer.headers) is ("Set-Cookie" in answer.headers)
    return "Set-Cookie" in answer.headers


@pytest.mark.parametrize(
    "around",
    ["{0}", "theme=dark; {0}; lang=en", "my{1}; {0}", "{0}; {1}", "theme=dark;{0}", "csrf=a.b.c; {0}"],
    ids=["alone", "between-others", "after-a-longer-name", "twice", "without-a-space", "after-dots"],
)
def test_a_permanent_session_is_refreshed_among_other_cookies(app: Flask, around: str) -> None:
    permanent, other = _cookie_of(app, _permanent=True, user=7), _cookie_of(app, user=8)

    assert _is_refreshed(app, around.format(permanent, other))


def test_a_permanent_session_that_was_compressed_is_refreshed(app: Flask) -> None:
    cookie = _cookie_of(app, _permanent=True, text="long " * 200)

    assert cookie.partition("=")[2].startswith(".")
    assert _is_refreshed(app, cookie)


@pytest.mark.parametrize("spelling", ['{}="{}"', "{} = {}", "{}= {}"], ids=["quoted", "spaces", "space-behind"])
def test_a_permanent_session_is_refreshed_in_every_spelling_that_flask_reads(app: Flask, spelling: str) -> None:
    name, _, value = _cookie_of(app, _permanent=True, user=7).partition("=")

    assert _is_refreshed(app, spelling.format(name, value))


@pytest.mark.parametrize("content", [{"user": 7}, {"_permanent": False, "user": 7}], ids=["not-said", "said-no"])
def test_another_session_is_not_refreshed(app: Flask, content: dict[str, Any]) -> None:
    cookie = _cookie_of(app, **content)

    assert not _is_refreshed(app, cookie)


@pytest.mark.parametrize(
    "forge",
    [
        lambda payload: f"{payload}.{secrets.token_urlsafe(6)}.{secrets.token_urlsafe(20)}",
        lambda payload: payload,
        lambda payload: f"{payload}x.{secrets.token_urlsafe(20)}",
        lambda payload: f".{payload}",
        lambda _payload: "",
        lambda _payload: "===.%00.é",
    ],
    ids=["foreign-signature", "no-signature", "bad-base64", "says-compressed", "empty", "noise"],
)
def test_a_forged_session_is_not_refreshed(app: Flask, forge: Any) -> None:
    name, _, value = _cookie_of(app, _permanent=True, user=7).partition("=")

    assert not _is_refreshed(app, f"{name}={forge(value.partition('.')[0])}")


class _BackwardSerializer(TaggedJSONSerializer):
    """Writes a session so that nothing of it can be read at a look."""

    def dumps(self, value: Any) -> str:
        return super().dumps(value)[::-1]

    def loads(self, value: str) -> Any:
        return super().loads(value[::-1])


def test_a_permanent_session_in_a_form_of_the_applications_own_is_refreshed(app: Flask) -> None:
    app.session_interface.serializer = _BackwardSerializer()  # type: ignore[attr-defined]
    cookie = _cookie_of(app, _permanent=True, user=7)

    assert _is_refreshed(app, cookie)
