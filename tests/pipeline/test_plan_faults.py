"""A rule that no request would meet is a fault or a finding: a typo must not fail open."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View

from flask_guard.authz import policies
from flask_guard.pipeline import words
from flask_guard.pipeline.rules import rules_of
from flask_guard.values import Level

from .writing import Writer, asks, view


def forgetful(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that does not use functools.wraps."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


def exact(function: Callable[[], Any]) -> Callable[[], Any]:
    """Another one, for views without arguments."""

    def inner() -> Any:
        return function()

    return inner


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as it should be."""

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


# Nobody routes it ---------------------------------------------------------------------------------------


def test_rule_on_a_function_that_nobody_routes_is_a_fault() -> None:
    app, writer = Flask("app"), Writer()

    @writer.role("a")
    def forgotten() -> str:
        return ""

    (fault,) = writer.faults(app)
    assert fault.startswith("require(role(a)) is written on ")
    assert "<locals>.forgotten, which no application or blueprint routes." in fault
    assert forgotten() == ""


def test_rule_on_a_class_that_nobody_routes_is_a_fault() -> None:
    app, writer = Flask("app"), Writer()

    @writer.role("a")
    class Forgotten(MethodView):
        pass

    (fault,) = writer.faults(app)
    assert "Forgotten, which no application or blueprint routes." in fault
    assert rules_of(Forgotten)


def test_rule_on_a_method_that_answers_no_http_method_is_a_fault() -> None:
    app, writer = Flask("app"), Writer()

    class Notes(MethodView):
        def get(self) -> str:
            return ""

        @writer.role("a")
        def remove(self) -> str:
            return ""

    app.add_url_rule("/", view_func=Notes.as_view("notes"))

    (fault,) = writer.faults(app)
    assert "Notes.remove, which no application or blueprint routes." in fault


def test_rule_on_a_wrapper_above_the_route_is_a_fault() -> None:
    app, writer = Flask("app"), Writer()

    @writer.role("a")
    @kept
    @app.get("/")
    def index() -> str:
        return ""

    assert "which no application or blueprint routes." in writer.faults(app)[0]
    assert index


def test_every_fault_is_told_at_once_and_each_one_once() -> None:
    app, writer = Flask("app"), Writer()
    written = [writer.role("a")(forgetful(view)), writer.write(words.optional_auth())(forgetful(view))]
    both = writer.public()(writer.role("b")(lambda: ""))
    app.add_url_rule("/", "index", both, methods=["GET", "POST"])
    writer.match({"docs.*": policies.role("a")})

    faults = writer.faults(app)

    assert len(faults) == 4
    assert faults[0] == "view index is public and has require(role(b)); one of the two must go."
    assert faults[1] == "The pattern 'docs.*' of guard.rules() matches no endpoint."
    assert len(written) == 2


# Wrappers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decorator", [forgetful, exact], ids=["any arguments", "no arguments"])
def test_rule_below_a_wrapper_without_wraps_is_a_fault_that_names_the_wrapper(decorator: Any) -> None:
    app, writer = Flask("app"), Writer()

    @app.get("/", endpoint="index")
    @decorator
    @writer.role("a")
    def index() -> str:
        return ""

    (fault,) = writer.faults(app)
    assert "the endpoint 'index' routes a wrapper around it that does not use functools.wraps" in fault
    assert index


@pytest.mark.parametrize(
    "wrap",
    [lambda f: forgetful(forgetful(f)), lambda f: forgetful(kept(f)), lambda f: kept(forgetful(f))],
    ids=["two without", "without around one with", "with around one without"],
)
def test_rule_below_several_wrappers_is_found_or_a_fault(wrap: Callable[[Any], Any]) -> None:
    app, writer = Flask("app"), Writer()
    guarded = writer.role("a")(lambda: "")
    app.add_url_rule("/", "index", wrap(guarded))

    (fault,) = writer.faults(app)
    assert "which no application or blueprint routes" in fault or "functools.wraps" in fault


def test_class_behind_a_wrapper_without_wraps_is_a_fault_that_names_it() -> None:
    app, writer = Flask("app"), Writer()

    @writer.role("cls")
    class Notes(MethodView):
        @writer.role("get")
        def get(self) -> str:
            return ""

    app.add_url_rule("/", "notes", forgetful(Notes.as_view("notes")))

    faults = writer.faults(app)
    assert len(faults) == 2
    assert all("the endpoint 'notes' routes a wrapper around it" in fault for fault in faults)


@pytest.mark.parametrize("decorator", [forgetful, exact], ids=["any arguments", "no arguments"])
def test_rule_that_counts_on_one_route_and_is_hidden_on_another_is_a_finding(decorator: Any) -> None:
    """The hidden route asks for less than its view says."""
    app, writer = Flask("app"), Writer()
    guarded = writer.role("a")(lambda: "")
    app.add_url_rule("/plain", "plain", guarded)
    app.add_url_rule("/hidden", "hidden", decorator(guarded))

    table = writer.compile(app)

    (finding,) = table.findings
    assert finding.id == "FG-ROUTE-001"
    assert finding.level is Level.WARNING
    assert "'hidden' is a wrapper without functools.wraps: require(role(a)) on " in finding.message
    assert asks(table.plans["hidden"]["GET"]) == "authenticated"


def test_class_that_counts_on_one_route_and_is_hidden_on_another_is_a_finding() -> None:
    app, writer = Flask("app"), Writer()

    @writer.role("cls")
    class Page(View):
        def dispatch_request(self) -> str:
            return ""

    app.add_url_rule("/plain", view_func=Page.as_view("plain"))
    app.add_url_rule("/hidden", "hidden", forgetful(Page.as_view("hidden")))

    (finding,) = writer.compile(app).findings
    assert "require(role(cls))" in finding.message


def test_wrapper_without_wraps_is_a_finding_also_where_nothing_is_lost() -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", "index", forgetful(lambda: ""))

    (finding,) = writer.compile(app).findings
    assert finding.message.endswith("rules below it are not seen.")


def test_views_that_are_no_wrappers_are_no_finding() -> None:
    """Views of a factory close over helpers and over each other; static files take any argument."""
    app, writer = Flask("app", static_folder="static"), Writer()

    def helper() -> str:
        return ""

    @app.get("/a")
    @writer.role("a")
    def first() -> str:
        return helper()

    @app.get("/b")
    @writer.public()
    def second() -> str:
        return first()

    app.add_url_rule("/c", "third", kept(writer.role("c")(lambda: "")))

    assert writer.compile(app).findings == ()


def test_closure_with_a_variable_that_has_no_value_yet_is_no_obstacle() -> None:
    app, writer = Flask("app"), Writer()

    def later() -> str:
        return str(missing)

    if not app:
        missing = 1
    app.add_url_rule("/", "later", later)
    forgotten = writer.role("a")(lambda: "")

    assert "which no application or blueprint routes" in writer.faults(app)[0]
    assert forgotten


# Blueprints that are not registered ---------------------------------------------------------------------


def unregistered(writer: Writer) -> dict[str, Blueprint]:
    """Return blueprints that no application has, each with a rule of another kind."""
    by_function, by_class, by_method, itself = (Blueprint(n, __name__) for n in ("f", "c", "m", "i"))

    class Ruled(MethodView):
        @writer.role("method")
        def get(self) -> str:
            return ""

    @writer.role("class")
    class RuledAsAWhole(MethodView):
        pass

    by_function.add_url_rule("/", "x", writer.role("function")(lambda: ""))
    by_class.add_url_rule("/", view_func=RuledAsAWhole.as_view("x"))
    by_method.add_url_rule("/", view_func=Ruled.as_view("x"))
    outer = Blueprint("outer", __name__)
    outer.register_blueprint(by_function)
    return {"f": by_function, "c": by_class, "m": by_method, "i": writer.role("itself")(itself), "o": outer}


def test_rules_of_an_unregistered_blueprint_are_findings_and_no_faults() -> None:
    app, writer = Flask("app"), Writer()
    blueprints = unregistered(writer)

    findings = writer.compile(app).findings

    assert {finding.id for finding in findings} == {"FG-ROUTE-002"}
    said = " ".join(finding.message for finding in findings)
    for name, rule in {"f": "function", "c": "class", "m": "method"}.items():
        assert f"require(role({rule})) is written on " in said
        assert f"which is part of the blueprint {name!r}; it is not registered with an application" in said
    assert "require(role(itself)) is written on the blueprint 'i', which is not registered" in said
    assert len(blueprints) == 5


def test_registered_blueprint_without_a_route_is_a_finding() -> None:
    app, writer = Flask("app"), Writer()
    app.register_blueprint(writer.role("a")(Blueprint("empty", __name__)))

    (finding,) = writer.compile(app).findings

    assert finding.message == "require(role(a)) is written on the blueprint 'empty', which has no routes."


def test_function_beside_an_unregistered_blueprint_is_still_a_fault() -> None:
    app, writer = Flask("app"), Writer()
    blueprints = unregistered(writer)
    forgotten = writer.role("a")(lambda: "")

    assert len(writer.faults(app)) == 1
    assert blueprints
    assert forgotten


# Methods and patterns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("routed", "ruled", "missing"),
    [
        (["GET"], ["POST"], "POST"),
        (["GET"], ["GET", "PUT"], "PUT"),
        (["POST"], ["GET"], "GET, HEAD"),
        (["POST"], ["HEAD"], "HEAD"),
    ],
    ids=["another", "one of two", "get", "head alone"],
)
def test_rule_about_a_method_that_the_route_does_not_answer_is_a_fault(
    routed: list[str], ruled: list[str], missing: str
) -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", "index", writer.role("a", methods=ruled)(lambda: ""), methods=routed)

    assert writer.faults(app) == (f"require(role(a)) on view index is about {missing}, which it does not answer.",)


def test_rule_on_a_method_about_another_method_is_a_fault() -> None:
    app, writer = Flask("app"), Writer()

    class Notes(MethodView):
        @writer.role("a", methods=("POST",))
        def get(self) -> str:
            return ""

        def post(self) -> str:
            return ""

    app.add_url_rule("/", view_func=Notes.as_view("notes"))

    assert "on method notes.get is about POST, which it does not answer." in writer.faults(app)[0]


def test_wide_rule_may_be_about_a_method_that_some_of_its_routes_lack() -> None:
    app, writer = Flask("app"), Writer()
    notes = writer.role("a", methods=("POST", "PUT"))(Blueprint("notes", __name__))
    notes.add_url_rule("/a", "a", view)
    notes.add_url_rule("/b", "b", view, methods=["POST"])
    app.register_blueprint(notes)

    assert asks(writer.compile(app).plans["notes.b"]["POST"]) == "authenticated role(a)"


def test_wide_rule_about_methods_that_none_of_its_routes_has_is_a_fault() -> None:
    app, writer = Flask("app"), Writer()
    notes = writer.role("a", methods=("PUT",))(Blueprint("notes", __name__))
    notes.add_url_rule("/a", "a", view)
    app.register_blueprint(notes)

    (fault,) = writer.faults(app)
    assert fault == "require(role(a)) on blueprint notes is about PUT, which it does not answer."


@pytest.mark.parametrize("pattern", ["docs.*", "STATIC", "static.*", "stati", "", "*.index"])
def test_pattern_that_matches_nothing_is_a_fault(pattern: str) -> None:
    app, writer = Flask("app"), Writer()
    writer.match({pattern: policies.role("a"), "static": policies.role("b")})

    assert writer.faults(app) == (f"The pattern {pattern!r} of guard.rules() matches no endpoint.",)
