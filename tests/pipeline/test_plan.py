"""Plans over real applications: a rule counts wherever it is written, and adds up over the levels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View

from flask_guard.authz import policies
from flask_guard.config.sections import DefaultAccess
from flask_guard.pipeline import words

from .writing import Writer, asks, view


def test_rule_above_and_below_route_is_the_same() -> None:
    app, writer = Flask("app"), Writer()

    @app.get("/above")
    @writer.role("a")
    def below() -> str:
        return ""

    @writer.role("a")
    @app.get("/below")
    def above() -> str:
        return ""

    plans = writer.compile(app).plans
    assert asks(plans["above"]["GET"]) == asks(plans["below"]["GET"]) == "authenticated role(a)"
    assert plans["above"]["GET"].origin == "view above"


def test_rules_on_one_view_add_up_around_the_route() -> None:
    app, writer = Flask("app"), Writer()

    @writer.role("a")
    @app.get("/")
    @writer.role("b")
    def index() -> str:
        return ""

    assert asks(writer.compile(app).plans["index"]["GET"]) == "authenticated role(b) & role(a)"


def test_every_route_has_a_plan_for_every_method_it_answers() -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/a", "a", view, methods=["GET", "POST"])
    app.add_url_rule("/b", "b", view, methods=["PURGE"])

    plans = writer.compile(app).plans

    assert {name: sorted(methods) for name, methods in plans.items()} == {
        "a": ["GET", "HEAD", "OPTIONS", "POST"],
        "b": ["OPTIONS", "PURGE"],
        "static": ["GET", "HEAD", "OPTIONS"],
    }
    assert {asks(plan) for methods in plans.values() for plan in methods.values()} == {"authenticated"}


@pytest.mark.parametrize(
    ("default", "get", "post"),
    [
        ("authenticated", "authenticated", "authenticated"),
        ("public-read", "optional", "authenticated"),
        ("public", "optional", "optional"),
        ("report-only", "authenticated", "authenticated"),
    ],
)
def test_default_stands_where_no_rule_is(default: DefaultAccess, get: str, post: str) -> None:
    app, writer = Flask("app"), Writer(default)
    app.add_url_rule("/", "index", view, methods=["GET", "POST"])

    table = writer.compile(app)

    plans = table.plans["index"]
    assert (asks(plans["GET"]), asks(plans["HEAD"]), asks(plans["POST"])) == (get, get, post)
    assert table.is_enforced is (default != "report-only")


def test_rule_about_get_covers_head_and_not_options() -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", "index", writer.public(methods=("GET",))(lambda: ""), methods=["GET", "POST"])

    plans = writer.compile(app).plans["index"]

    assert {method: asks(plan) for method, plan in plans.items()} == {
        "GET": "public",
        "HEAD": "public",
        "OPTIONS": "authenticated",
        "POST": "authenticated",
    }


def test_automatic_options_have_the_rule_of_the_route() -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", "index", writer.role("a")(lambda: ""))

    assert asks(writer.compile(app).plans["index"]["OPTIONS"]) == "authenticated role(a)"


def test_endpoint_with_several_paths_has_one_plan_for_each_method_of_them() -> None:
    app, writer = Flask("app"), Writer()
    guarded = writer.role("a")(lambda **_: "")
    app.add_url_rule("/a", "index", guarded)
    app.add_url_rule("/a/<int:number>", "index", guarded, methods=["DELETE"])

    table = writer.compile(app)

    assert {method: asks(plan) for method, plan in table.plans["index"].items()} == dict.fromkeys(
        ["DELETE", "GET", "HEAD", "OPTIONS"], "authenticated role(a)"
    )
    (endpoint,) = (endpoint for endpoint in table.endpoints if endpoint.name == "index")
    assert endpoint.paths == ("/a", "/a/<int:number>")


def test_endpoints_that_share_a_view_share_its_rules() -> None:
    app, writer = Flask("app"), Writer()
    shared = writer.role("a", methods=("POST",))(lambda: "")
    app.add_url_rule("/a", "a", shared, methods=["GET"])
    app.add_url_rule("/b", "b", shared, methods=["POST"])

    plans = writer.compile(app).plans

    assert asks(plans["a"]["GET"]) == "authenticated"
    assert asks(plans["b"]["POST"]) == "authenticated role(a)"


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(functools.partial, id="partial"),
        pytest.param(lambda function: type("Pages", (), {"index": function})().index, id="bound method"),
        pytest.param(lambda function: functools.wraps(function)(lambda *args: function(*args)), id="wraps"),
    ],
)
def test_rule_is_seen_through_what_leads_to_the_view(wrap: Callable[[Any], Any]) -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", "index", wrap(writer.role("a")(lambda *_: "")))

    assert asks(writer.compile(app).plans["index"]["GET"]) == "authenticated role(a)"


# View classes -------------------------------------------------------------------------------------------


def notes_class(writer: Writer) -> type[MethodView]:
    """Return a class: role base on Base, role cls on Notes, post public, delete with role del."""

    @writer.role("base")
    class Base(MethodView):
        @writer.role("inherited")
        def put(self) -> str:
            return ""

    @writer.role("cls")
    class Notes(Base):
        def get(self) -> str:
            return ""

        @writer.public()
        def post(self) -> str:
            return ""

        @writer.role("del")
        def delete(self) -> str:
            return ""

    return Notes


def test_class_and_method_rules_add_up_and_are_inherited() -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", view_func=notes_class(writer).as_view("notes"))

    plans = writer.compile(app).plans["notes"]

    assert {method: asks(plan) for method, plan in plans.items()} == {
        "GET": "authenticated role(base) & role(cls)",
        "HEAD": "authenticated role(base) & role(cls)",
        "OPTIONS": "authenticated role(base) & role(cls)",
        "PUT": "authenticated role(base) & role(cls) & role(inherited)",
        "DELETE": "authenticated role(base) & role(cls) & role(del)",
        "POST": "public",
    }
    assert plans["POST"].lifted == ("role(base)", "role(cls)")
    assert plans["POST"].reason == "open"
    assert plans["POST"].origin == "method notes.post"


def test_head_has_the_rule_of_get_unless_the_class_answers_it_itself() -> None:
    app, writer = Flask("app"), Writer()

    class ByGet(MethodView):
        @writer.role("get")
        def get(self) -> str:
            return ""

    class ByItself(ByGet):
        @writer.role("head")
        def head(self) -> str:
            return ""

    app.add_url_rule("/a", view_func=ByGet.as_view("a"))
    app.add_url_rule("/b", view_func=ByItself.as_view("b"))

    plans = writer.compile(app).plans
    assert asks(plans["a"]["HEAD"]) == "authenticated role(get)"
    assert asks(plans["b"]["HEAD"]) == "authenticated role(head)"
    assert asks(plans["b"]["GET"]) == "authenticated role(get)"


def test_method_that_is_written_anew_has_its_own_rules_only() -> None:
    app, writer = Flask("app"), Writer()

    class Base(MethodView):
        @writer.role("old")
        def get(self) -> str:
            return ""

    class Sub(Base):
        @writer.role("new")
        def get(self) -> str:
            return ""

    app.add_url_rule("/base", view_func=Base.as_view("base"))
    app.add_url_rule("/sub", view_func=Sub.as_view("sub"))

    plans = writer.compile(app).plans
    assert asks(plans["base"]["GET"]) == "authenticated role(old)"
    assert asks(plans["sub"]["GET"]) == "authenticated role(new)"


def test_class_with_its_decorators_list_and_a_plain_view_class() -> None:
    app, writer = Flask("app"), Writer()

    @writer.role("cls")
    class Page(View):
        decorators = [writer.role("listed")]  # noqa: RUF012 - as Flask documents it

        def dispatch_request(self) -> str:
            return ""

    app.add_url_rule("/a", view_func=Page.as_view("a"))
    app.add_url_rule("/b", view_func=Page.as_view("b"))

    plans = writer.compile(app).plans
    assert asks(plans["a"]["GET"]) == asks(plans["b"]["GET"]) == "authenticated role(cls) & role(listed)"


def test_class_is_seen_through_a_wrapper_that_uses_wraps() -> None:
    app, writer = Flask("app"), Writer()
    made = notes_class(writer).as_view("notes")
    app.add_url_rule("/", "notes", functools.wraps(made)(lambda **options: made(**options)))

    assert asks(writer.compile(app).plans["notes"]["DELETE"]) == "authenticated role(base) & role(cls) & role(del)"


# Blueprints ---------------------------------------------------------------------------------------------


def test_nested_blueprints_add_up_from_the_outside() -> None:
    app, writer = Flask("app"), Writer()
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    inner.add_url_rule("/x", "x", writer.role("view")(lambda: ""))
    inner.add_url_rule("/open", "open", writer.public()(lambda: ""))
    writer.role("inner")(inner)
    outer.register_blueprint(inner)
    app.register_blueprint(writer.role("outer")(outer))

    plans = writer.compile(app).plans

    assert asks(plans["outer.inner.x"]["GET"]) == "authenticated role(outer) & role(inner) & role(view)"
    assert asks(plans["outer.inner.open"]["GET"]) == "public"
    assert plans["outer.inner.open"]["GET"].lifted == ("role(outer)", "role(inner)")


def test_blueprint_registered_twice_under_other_names_keeps_its_rules() -> None:
    app, writer = Flask("app"), Writer()
    notes = writer.role("a")(Blueprint("notes", __name__))
    notes.add_url_rule("/x", "x", view)
    app.register_blueprint(notes, name="first", url_prefix="/1")
    app.register_blueprint(notes, name="second", url_prefix="/2")

    plans = writer.compile(app).plans

    assert asks(plans["first.x"]["GET"]) == asks(plans["second.x"]["GET"]) == "authenticated role(a)"
    assert plans["second.x"]["GET"].origin == "blueprint second"


def test_rule_written_on_a_blueprint_after_its_registration_counts() -> None:
    app, writer = Flask("app"), Writer()
    notes = Blueprint("notes", __name__)
    notes.add_url_rule("/x", "x", view)
    app.register_blueprint(notes)

    writer.role("late")(notes)

    assert asks(writer.compile(app).plans["notes.x"]["GET"]) == "authenticated role(late)"


def test_blueprint_rule_is_on_its_static_files_and_on_no_other_blueprint() -> None:
    app, writer = Flask("app"), Writer()
    app.register_blueprint(writer.role("a")(Blueprint("notes", __name__, static_folder="static")))
    other = Blueprint("notes_other", __name__)
    other.add_url_rule("/x", "x", view)
    app.register_blueprint(other)

    plans = writer.compile(app).plans

    assert asks(plans["notes.static"]["GET"]) == "authenticated role(a)"
    assert asks(plans["notes_other.x"]["GET"]) == "authenticated"
    assert asks(plans["static"]["GET"]) == "authenticated"


# Patterns -----------------------------------------------------------------------------------------------


def test_patterns_stand_between_blueprint_and_view_and_the_vaguer_outside() -> None:
    app, writer = Flask("app"), Writer()
    docs = writer.role("bp")(Blueprint("docs", __name__))
    docs.add_url_rule("/x", "x", writer.role("view")(lambda: ""))
    docs.add_url_rule("/y", "y", view)
    app.register_blueprint(docs)
    writer.match(
        {
            "docs.y": words.public(reason="exact"),
            "docs.*": policies.role("longer"),
            "*": policies.role("any"),
            "static": words.public(reason="assets"),
        }
    )

    plans = writer.compile(app).plans

    assert asks(plans["docs.x"]["GET"]) == "authenticated role(bp) & role(any) & role(longer) & role(view)"
    assert asks(plans["docs.y"]["GET"]) == "public"
    assert plans["docs.y"]["GET"].lifted == ("role(bp)", "role(any)", "role(longer)")
    assert plans["static"]["GET"].reason == "assets"


@pytest.mark.parametrize("pattern", ["docs.?", "docs.[x]", "*ocs.x", "docs.*"])
def test_exact_name_is_inside_every_pattern_of_its_length(pattern: str) -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", "docs.x", view)
    writer.match({"docs.x": words.public(reason="exact"), pattern: policies.role("a")})

    assert asks(writer.compile(app).plans["docs.x"]["GET"]) == "public"
