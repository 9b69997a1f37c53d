"""Rules that are not there, or are not what the map says: what a reviewer would sign and an attacker would find."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, Request, abort, request
from flask.views import MethodView

from flask_guard import ConfigError, Guard
from flask_guard.pipeline.access_map import AccessRow, Change, compare, dump_lock, make_access_map, parse_lock
from flask_guard.policies import cors, csp, limit, no_csrf, public
from tests.requests.conftest import AppMaker, assert_problem

BASE = "https://notes.test"
EVIL = {"Origin": "https://evil.test"}
Decorate = Callable[[Guard], Any]
Decorates = tuple[Decorate, ...]


def _map(make_app: AppMaker, decorates: Decorates, **options: Any) -> list[AccessRow]:
    """Return the map of an application with one view, under these rules."""

    def setup(app: Flask, guard: Guard) -> None:
        def view() -> str:
            return ""

        for decorate in decorates:
            decorate(guard)(view)
        app.add_url_rule("/view", view_func=view, methods=["POST"])

    app, guard = make_app(setup, **options)
    guard.compile(app)
    return make_access_map(app.extensions["guard.runtime"].plans)


def _changes(make_app: AppMaker, before: Decorates, after: Decorates, **options: Any) -> list[Change]:
    """Return what `flask guard routes --check` says of an application that has changed."""
    locked = parse_lock(dump_lock(_map(make_app, before, **options)))
    return compare(locked, _map(make_app, after, **options))


def _never() -> bool:
    return False


# The lock file ---------------------------------------------------------------------------------------------

WIDENED: dict[str, tuple[Decorates, Decorates]] = {
    "two fences become one": (
        (lambda guard: guard.require_network("10.0.0.0/8"), lambda guard: guard.require_network("10.1.0.0/16")),
        (lambda guard: guard.require_network("10.0.0.0/8", "10.1.0.0/16"),),
    ),
    "a hidden route is shown": (
        (lambda guard: guard.require_network("10.0.0.0/8", status=404),),
        (lambda guard: guard.require_network("10.0.0.0/8"),),
    ),
    "pages may send cookies": (
        (lambda guard: guard.cors("https://a.test", credentials=False),),
        (lambda guard: guard.cors("https://a.test", credentials=True),),
    ),
    "pages may use another method": (
        (lambda guard: guard.cors("https://a.test", allow_methods=["POST"]),),
        (lambda guard: guard.cors("https://a.test", allow_methods=["POST", "DELETE"]),),
    ),
    "pages may send another header": (
        (lambda guard: guard.cors("https://a.test", headers=["X-A"]),),
        (lambda guard: guard.cors("https://a.test", headers=["X-A", "Authorization"]),),
    ),
    "no page could read it, now all that are listed": ((lambda guard: guard.cors(),), ()),
    "the content policy is switched off": ((), (lambda guard: guard.csp("off"),)),
    "the content policy is another one": (
        (lambda guard: guard.csp("default-src 'self'"),),
        (lambda guard: guard.csp("default-src *"),),
    ),
    "a fence is gone": ((lambda guard: guard.require_network("10.0.0.0/8"),), ()),
    "a limit is gone": ((lambda guard: guard.limit("5/minute"),), ()),
    "a limit counts more": ((lambda guard: guard.limit("5/minute"),), (lambda guard: guard.limit("6/minute"),)),
    "a limit has an exception": (
        (lambda guard: guard.limit("5/minute"),),
        (lambda guard: guard.limit("5/minute", exempt_when=_never),),
    ),
    "limits do not count": ((), (lambda guard: guard.unlimited(reason="test"),)),
    "foreign pages may write": ((), (lambda guard: guard.no_csrf(reason="test"),)),
    "other pages may read": (
        (lambda guard: guard.cors("https://a.test"),),
        (lambda guard: guard.cors("https://b.test"),),
    ),
}


@pytest.mark.parametrize("name", WIDENED)
def test_whatever_widens_a_route_is_told_of_as_opening(make_app: AppMaker, name: str) -> None:
    before, after = WIDENED[name]

    changes = _changes(make_app, before, after, cors_origins="https://app.test", cors_credentials=True)

    assert any(change.opens for change in changes)


@pytest.mark.parametrize("name", WIDENED)
def test_what_is_told_of_a_change_says_what_has_changed(make_app: AppMaker, name: str) -> None:
    """ "was authenticated, is authenticated" asks a reviewer to sign what the line hides."""
    before, after = WIDENED[name]

    for change in _changes(make_app, before, after, cors_origins="https://app.test", cors_credentials=True):
        was, _comma, now = change.text.partition(": was ")[2].partition(", is ")
        assert was != now


# The map ---------------------------------------------------------------------------------------------------


def test_a_route_without_a_content_policy_is_seen_in_the_map(make_app: AppMaker) -> None:
    app, _guard = make_app(lambda app, guard: app.add_url_rule("/page", "page", guard.csp("off")(lambda: "")))

    printed = app.test_cli_runner().invoke(args=["guard", "routes"]).output

    (line,) = [line for line in printed.splitlines() if line.startswith("GET") and "/page" in line]
    assert "csp" in line


# Rules that nobody reads -----------------------------------------------------------------------------------


def test_a_limit_without_parentheses_is_refused(make_app: AppMaker) -> None:
    """It takes the view for the function that gives the limit's text; above the route, the view has no limit."""

    def setup(app: Flask, guard: Guard) -> None:
        @guard.limit
        @app.get("/view")
        @guard.public(reason="test")
        def view() -> str:
            return ""

    with pytest.raises(ConfigError, match="limit"):
        _start(make_app, setup)


def _start(make_app: AppMaker, setup: Callable[[Flask, Guard], None]) -> None:
    app, guard = make_app(setup)
    guard.compile(app)


@pytest.mark.parametrize(
    "policy",
    ["default-scr 'self'", "default-src self", "default-src 'self' script-src 'self'", "script-src 'nonce-AAAAAAAA'"],
    ids=["a name misspelt", "no quotes", "no semicolon", "a nonce for all"],
)
def test_a_policy_of_a_route_that_means_something_else_is_told(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    """As one of the settings is: browsers pass over what they do not know, and allow it."""
    app, guard = make_app(lambda app, guard: app.add_url_rule("/page", "page", guard.csp(policy)(lambda: "")))

    with caplog.at_level(logging.WARNING, "flask_guard"):
        guard.compile(app)

    assert "The directive" in caplog.text


# What runs is what was judged ------------------------------------------------------------------------------


class _Overriding(Request):
    """Lets a link name the method, as some applications do for forms."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.method = self.args.get("_method", self.method)


def _overridden(app: Flask, guard: Guard) -> None:
    app.request_class = _Overriding
    ran: list[str] = app.extensions.setdefault("ran", [])

    class Orders(MethodView):
        @guard.public(reason="test")
        def get(self) -> str:
            return ""

        @guard.public(reason="test")
        def post(self) -> str:
            ran.append("post")
            return ""

        @guard.require_role("admin")
        def delete(self) -> str:
            ran.append("delete")
            return ""

    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))


def test_a_request_that_names_its_method_itself_is_judged_by_that_method(make_app: AppMaker) -> None:
    """A view class runs `request.method`: neither its role nor its CSRF protection is that of the GET on the wire."""
    app, _guard = make_app(_overridden)
    client = app.test_client()

    deleted = client.get("/orders?_method=DELETE", base_url=BASE)
    written = client.get("/orders?_method=POST", base_url=BASE, headers=EVIL)

    assert app.extensions["ran"] == []
    assert_problem(deleted, 401, "unauthorized")
    assert_problem(written, 403, "csrf_validation_failed")


def _preprocessed(app: Flask, guard: Guard) -> None:
    """As Flask's own pattern has it: what an address names is loaded before the view, or is not there."""

    @app.url_value_preprocessor
    def load(_endpoint: str | None, values: dict[str, Any] | None) -> None:
        if values and values.get("number", 7) != 7:
            abort(404)

    @app.get("/notes/<int:number>")
    @guard.require_network("10.0.0.0/8")
    def note(number: int) -> str:
        return str(number)


def test_nothing_answers_ahead_of_the_rules(make_app: AppMaker) -> None:
    """Otherwise whoever is refused learns what is there and what is not."""
    app, _guard = make_app(_preprocessed)
    client = app.test_client()

    answers = {client.get(f"/notes/{number}").status_code for number in (6, 7)}

    assert answers == {403}


def test_no_answer_is_free(make_app: AppMaker) -> None:
    app, _guard = make_app(_preprocessed, rate_limit_anonymous="5/minute")
    client = app.test_client()

    statuses = [client.get("/notes/6").status_code for _ in range(8)]

    assert statuses[5:] == [429] * 3


# What held -------------------------------------------------------------------------------------------------


def test_an_exception_of_a_blueprint_stays_with_the_places_it_was_registered_in(make_app: AppMaker) -> None:
    """One blueprint under two parents: the exception of one of them is not that of the other."""

    def setup(app: Flask, guard: Guard) -> None:
        child, parent = Blueprint("child", __name__), Blueprint("parent", __name__, url_prefix="/parent")
        child.add_url_rule("/hook", "hook", guard.public(reason="test")(lambda: ""), methods=["POST"])
        guard.no_csrf(reason="signed by the sender")(parent)
        parent.register_blueprint(child)
        app.register_blueprint(parent)
        app.register_blueprint(parent, name="again", url_prefix="/again")
        app.register_blueprint(child, name="alone", url_prefix="/alone")

    app, _guard = make_app(setup)
    paths = ("/parent/hook", "/again/hook", "/alone/hook")

    statuses = [app.test_client().post(path, base_url=BASE, headers=EVIL).status_code for path in paths]

    assert statuses == [200, 200, 403]


def test_an_exception_for_one_method_is_none_for_another(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.route("/view", methods=["POST", "PUT", "PURGE"])
        @guard.public(reason="test")
        @guard.no_csrf(reason="signed by the sender", methods=["POST"])
        def view() -> str:
            return request.method

    app, _guard = make_app(setup)
    client = app.test_client()

    statuses = [
        client.open("/view", method=m, base_url=BASE, headers=EVIL).status_code for m in ("POST", "PUT", "PURGE")
    ]

    assert statuses == [200, 403, 403]


def test_a_pattern_may_say_all_that_a_decorator_may(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        app.add_url_rule("/hook", "hook", lambda: "taken", methods=["POST"])
        said = [public(reason="test"), no_csrf(reason="signed"), cors("https://a.test"), csp("off"), limit("1/minute")]
        guard.rules({"ho*": said})

    app, _guard = make_app(setup)
    client = app.test_client()

    first, second = (client.post("/hook", base_url=BASE, headers={"Origin": "https://a.test"}) for _ in range(2))

    assert (first.text, second.status_code) == ("taken", 429)
    assert first.headers["Access-Control-Allow-Origin"] == "https://a.test"
    assert "Content-Security-Policy" not in first.headers


@pytest.mark.parametrize("word", ["public", "optional_auth", "no_csrf", "csp", "cors", "require_network", "unlimited"])
def test_a_decorator_without_parentheses_is_refused_at_once(word: str) -> None:
    def view() -> str:
        return ""

    with pytest.raises((ConfigError, TypeError)):
        getattr(Guard(), word)(view)
