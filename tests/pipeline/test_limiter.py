"""What the decorators of `guard.limiter` write, and which of it counts on a route."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Blueprint, Flask, request
from flask.views import MethodView
from flask_limiter import ExemptionScope, RouteLimit
from flask_limiter.util import get_remote_address

from flask_guard.errors import ConfigError
from flask_guard.limits.rule import LimitRule
from flask_guard.pipeline.context import ENVIRON_KEY
from flask_guard.pipeline.discover import find_endpoints
from flask_guard.pipeline.limiter import (
    GuardLimiter,
    make_limiter,
    network,
    principal_or_network,
    resolve_limits,
)
from flask_guard.pipeline.plan import PlacedLimit
from flask_guard.values import ANONYMOUS, Client, Principal

from .writing import Writer, view


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def limiter(writer: Writer) -> GuardLimiter:
    return make_limiter(writer.write)


@pytest.fixture
def app() -> Flask:
    return Flask("app", static_folder=None)


def limits_of(app: Flask, endpoint: str, method: str = "GET") -> tuple[PlacedLimit, ...]:
    (found,) = [found for found in find_endpoints(app) if found.name == endpoint]
    return resolve_limits(app, found, method)


def rule_of(app: Flask, endpoint: str, method: str = "GET") -> LimitRule:
    ((rule, _methods),) = limits_of(app, endpoint, method)
    return rule


def who() -> str:
    return "ada"


def text() -> str:
    return "5/minute"


def weight() -> int:
    return 2


def is_internal() -> bool:
    return False


# A decorator is a note --------------------------------------------------------------------------------


def test_what_is_decorated_is_given_back_as_it_is(limiter: GuardLimiter) -> None:
    class Notes(MethodView):
        pass

    def index() -> str:
        return ""

    for target in (index, Notes, Blueprint("b", __name__)):
        assert limiter.limit("5/minute")(target) is target
        assert limiter.shared_limit("5/minute", scope="s")(target) is target
        assert limiter.exempt(target) is target
        assert limiter.exempt()(target) is target


def test_a_limit_counts_above_and_below_the_route_and_on_classes_and_methods(app: Flask, limiter: GuardLimiter) -> None:
    @app.get("/below")
    @limiter.limit("1/minute")
    def below() -> str:
        return ""

    @limiter.limit("2/minute")
    @app.get("/above")
    def above() -> str:
        return ""

    class Notes(MethodView):
        decorators = [limiter.limit("3/minute")]  # noqa: RUF012 - as Flask documents it

        def get(self) -> str:
            return ""

        @limiter.limit("4/minute")
        def post(self) -> str:
            return ""

    app.add_url_rule("/notes", view_func=Notes.as_view("notes"))

    assert [rule_of(app, name).text for name in ("below", "above", "notes")] == ["1/minute", "2/minute", "3/minute"]
    assert [rule.text for rule, _ in limits_of(app, "notes", "POST")] == ["3/minute", "4/minute"]


@pytest.mark.parametrize(
    ("options", "rule", "methods"),
    [
        pytest.param({}, LimitRule("9/hour"), None, id="the text alone"),
        pytest.param({"key_func": get_remote_address}, LimitRule("9/hour", by="address"), None, id="by address"),
        pytest.param({"key_func": who}, LimitRule("9/hour", by=who), None, id="by a function"),
        pytest.param({"cost": 2}, LimitRule("9/hour", cost=2), None, id="cost"),
        pytest.param({"cost": weight}, LimitRule("9/hour", cost=weight), None, id="cost by a function"),
        pytest.param({"methods": ["get"]}, LimitRule("9/hour"), {"GET", "HEAD"}, id="GET brings HEAD along"),
        pytest.param({"methods": ["GET", "POST"]}, LimitRule("9/hour"), {"GET", "HEAD", "POST"}, id="methods"),
        pytest.param({"per_method": True}, LimitRule("9/hour"), {"GET", "HEAD"}, id="per method"),
        pytest.param({"scope": "s"}, LimitRule("9/hour", shared="index:s", label="route"), None, id="scope"),
        pytest.param(
            {"scope": "s", "per_method": True},
            LimitRule("9/hour", shared="index:s:GET", label="route"),
            {"GET", "HEAD"},
            id="scope per method",
        ),
    ],
)
def test_options_mean_what_they_mean_to_flask_limiter(
    options: dict[str, Any], rule: LimitRule, methods: set[str] | None, app: Flask, limiter: GuardLimiter
) -> None:
    @app.route("/", methods=["GET", "POST"])
    @limiter.limit("9/hour", **options)
    def index() -> str:
        return ""

    assert limits_of(app, "index") == ((rule, None if methods is None else frozenset(methods)),)


def test_a_text_from_a_function_stays_a_function(app: Flask, limiter: GuardLimiter) -> None:
    app.add_url_rule("/", "index", limiter.limit(text)(lambda: ""))

    assert rule_of(app, "index").text is text


@pytest.mark.parametrize(
    ("options", "get", "post"),
    [
        pytest.param({}, "login", "login", id="one bucket"),
        pytest.param({"per_method": True}, "login:GET", "login:POST", id="a bucket for each method"),
    ],
)
def test_a_shared_limit_is_one_bucket_for_several_routes(
    options: dict[str, Any], get: str, post: str, app: Flask, limiter: GuardLimiter
) -> None:
    shared = limiter.shared_limit("9/hour", "login", **options)
    app.add_url_rule("/a", "a", shared(lambda: ""))
    app.add_url_rule("/b", "b", shared(lambda: ""), methods=["POST"])

    assert [rule_of(app, "a").shared, rule_of(app, "a", "HEAD").shared, rule_of(app, "b", "POST").shared] == [
        get,
        get,
        post,
    ]
    assert rule_of(app, "a").label == "login"


@pytest.mark.parametrize(
    ("principal", "key_func", "key"),
    [
        pytest.param(ANONYMOUS, None, "shop.example|203.0.113.7", id="nobody by network"),
        pytest.param(Principal("ada", method="jwt"), None, "shop.example|p:jwt: ada", id="a principal"),
        pytest.param(Principal("ada"), get_remote_address, "shop.example|203.0.113.7", id="by address"),
        pytest.param(Principal("ada"), who, "shop.example|ada", id="by a function"),
        pytest.param(Principal("ada"), lambda: "", "", id="a function without a key"),
    ],
)
@pytest.mark.parametrize("is_shared", [False, True], ids=["of one route", "shared"])
def test_a_scope_from_a_function_is_part_of_the_key(
    is_shared: bool, principal: Principal, key_func: Any, key: str, app: Flask, limiter: GuardLimiter
) -> None:
    def host(endpoint: str) -> str:
        assert endpoint == "index"
        return request.host

    write: Any = limiter.shared_limit if is_shared else limiter.limit
    app.add_url_rule("/", "index", write("9/hour", scope=host, key_func=key_func)(lambda: ""))
    rule = rule_of(app, "index")
    client = Client("203.0.113.7", "203.0.113.7", "http", "shop.example")
    context = SimpleNamespace(client=client, principal=principal)

    with app.test_request_context(headers={"Host": "shop.example"}, environ_overrides={ENVIRON_KEY: context}):
        assert callable(rule.by)
        assert rule.by() == key
    assert rule.shared == ("limiter" if is_shared else None)


def test_there_is_no_key_outside_of_a_guarded_request(app: Flask) -> None:
    with app.test_request_context():
        assert principal_or_network() == network() == ""


def test_a_limit_about_other_methods_is_not_there(app: Flask, limiter: GuardLimiter) -> None:
    view_of_both = limiter.limit("9/hour", methods=["POST"])(lambda: "")
    app.add_url_rule("/", "index", view_of_both, methods=["GET", "POST"])

    assert limits_of(app, "index", "GET") == ()
    assert len(limits_of(app, "index", "POST")) == 1


def test_the_limits_of_another_guard_count_too(app: Flask, writer: Writer) -> None:
    app.add_url_rule("/", "index", make_limiter(Writer().write).limit("9/hour")(lambda: ""))

    assert rule_of(app, "index").text == "9/hour"


# Exemptions ---------------------------------------------------------------------------------------------


def test_an_exempt_view_has_none_of_the_limits_of_every_route(
    app: Flask, limiter: GuardLimiter, writer: Writer
) -> None:
    app.add_url_rule("/", "index", limiter.exempt(lambda: ""))
    app.add_url_rule("/other", "other", lambda: "")

    plans = writer.compile(app).plans

    assert plans["index"]["GET"].unlimited == "limiter.exempt()"
    assert plans["other"]["GET"].unlimited == ""
    assert limits_of(app, "index") == ()


def test_a_view_is_not_limited_and_exempt_at_once(app: Flask, limiter: GuardLimiter) -> None:
    app.add_url_rule("/", "index", limiter.exempt(limiter.limit("9/hour")(lambda: "")))

    with pytest.raises(ConfigError, match=r"^view index has limiter.limit\(\) and limiter.exempt\(\) at once"):
        limits_of(app, "index")


def test_an_exempt_blueprint_must_not_exempt_the_one_inside_of_it(app: Flask, limiter: GuardLimiter) -> None:
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    outer.add_url_rule("/outer", "index", lambda: "")
    inner.add_url_rule("/inner", "index", lambda: "")
    outer.register_blueprint(inner)
    app.register_blueprint(limiter.exempt(outer))

    assert limits_of(app, "outer.index") == ()
    with pytest.raises(ConfigError, match=r"on the blueprint 'outer' would exempt 'outer.inner.index'"):
        limits_of(app, "outer.inner.index")


def test_a_filter_exempts_from_every_limit_and_so_does_the_limits_own(app: Flask, limiter: GuardLimiter) -> None:
    asked: list[str] = []

    def answer(name: str, value: object) -> Callable[[], Any]:
        def asks() -> object:
            asked.append(name)
            return value

        return asks

    limiter.request_filter(answer("filter", 1))
    app.add_url_rule("/a", "a", limiter.limit("9/hour")(lambda: ""))
    app.add_url_rule("/b", "b", limiter.limit("9/hour", exempt_when=answer("own", True))(lambda: ""))

    first, second = rule_of(app, "a").exempt_when, rule_of(app, "b").exempt_when

    assert first is not None
    assert second is not None
    assert not first()  # only True exempts
    assert second()
    assert asked == ["filter", "filter", "own"]


def test_a_filter_that_comes_too_late_is_refused(app: Flask, limiter: GuardLimiter) -> None:
    app.add_url_rule("/a", "a", limiter.limit("9/hour")(lambda: ""))
    assert rule_of(app, "a").exempt_when is None

    with pytest.raises(ConfigError, match="came after the rules were compiled"):
        limiter.request_filter(is_internal)


# What is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit_value", "options", "fault"),
    [
        pytest.param("5/minute", {"deduct_when": bool}, "has deduct_when=, but it is decided by", id="deduct_when"),
        pytest.param("5/minute", {"error_message": "Slow down"}, "GUARD_RATE_LIMIT_MESSAGE", id="error_message"),
        pytest.param("5/minute", {"meta_limits": ["1/day"]}, "has meta_limits=, but", id="meta_limits"),
        pytest.param("5/minute", {"on_breach": print}, "has on_breach=, but", id="on_breach"),
        pytest.param("5 a minute", {}, "is not a limit such as", id="text"),
        pytest.param("", {}, "is not a limit such as", id="empty text"),
        pytest.param("5/minute", {"cost": 0}, "has cost=0", id="cost"),
        pytest.param("5/minute", {"methods": ["FETCH"]}, "methods= takes HTTP methods", id="methods"),
        pytest.param("5/minute", {"key_func": lambda request: ""}, "that needs arguments", id="key with arguments"),
    ],
)
def test_what_guard_cannot_do_is_refused_where_it_is_written(
    limit_value: str, options: dict[str, Any], fault: str, limiter: GuardLimiter
) -> None:
    with pytest.raises(ConfigError) as caught:
        limiter.limit(limit_value, **options)

    assert fault in str(caught.value)


def test_a_shared_limit_needs_a_name(limiter: GuardLimiter) -> None:
    with pytest.raises(ConfigError, match="has shared=''"):
        limiter.shared_limit("5/minute", scope="")


def test_ways_around_the_decorators_are_refused(app: Flask, limiter: GuardLimiter) -> None:
    with pytest.raises(ConfigError, match=r"guard\.init_app\(app\) is all that it needs"):
        limiter.init_app(app)
    with pytest.raises(ConfigError, match="as a decorator"), limiter.limit("5/minute"):
        pass
    with pytest.raises(ConfigError, match=r"write @guard\.limiter\.limit"):
        RouteLimit("5/minute", limiter=limiter)(lambda: "")
    with pytest.raises(ConfigError, match=r"on the blueprint b is not for guard\.limiter"):
        RouteLimit("5/minute", limiter=limiter)(Blueprint("b", __name__))
    with pytest.raises(ConfigError, match="takes no flags"):
        limiter.exempt(view, flags=ExemptionScope.DEFAULT)
    assert app.before_request_funcs == app.after_request_funcs == {}


def test_a_limit_that_no_route_reads_is_refused(app: Flask, limiter: GuardLimiter, writer: Writer) -> None:
    @limiter.limit("5/minute")
    def helper() -> str:
        return ""

    (fault,) = writer.faults(app)

    assert fault.startswith("limiter.limit(5/minute by principal) is written on ")
    assert fault.endswith("helper, which no application or blueprint routes.")
