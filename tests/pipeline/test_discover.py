"""What an application routes, read from its URL map."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask
from flask.views import MethodView
from werkzeug.routing import Rule as UrlRule

from flask_guard.authz import policies
from flask_guard.pipeline import words
from flask_guard.pipeline.discover import Endpoint, find_endpoints, find_levels
from flask_guard.pipeline.rules import HTTP_METHODS, Rule, annotate

from .writing import view

RULE = words.require(policies.role("a"))


def endpoints_of(app: Flask) -> dict[str, Endpoint]:
    return {endpoint.name: endpoint for endpoint in find_endpoints(app)}


def test_endpoints_are_sorted_and_have_their_paths_and_methods() -> None:
    app = Flask("app", static_folder=None)
    app.add_url_rule("/z", "z", view)
    app.add_url_rule("/a/<int:number>", "a", view, methods=["DELETE"])
    app.add_url_rule("/a", "a", view)

    found = find_endpoints(app)

    assert [endpoint.name for endpoint in found] == ["a", "z"]
    assert found[0].paths == ("/a", "/a/<int:number>")
    assert found[0].methods == ("DELETE", "GET", "HEAD", "OPTIONS")
    assert found[0].view is view


def test_url_rule_past_flask_answers_every_method_and_has_no_view() -> None:
    app = Flask("app", static_folder=None)
    app.url_map.add(UrlRule("/raw", endpoint="raw"))

    (endpoint,) = find_endpoints(app)

    assert endpoint.methods == tuple(sorted(HTTP_METHODS))
    assert endpoint.view is None
    assert find_levels(app, endpoint, {}, method="GET") == []


def test_blueprints_are_named_from_the_outside() -> None:
    app = Flask("app")
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    inner.add_url_rule("/x", "x", view)
    outer.register_blueprint(inner, name="renamed")
    app.register_blueprint(outer)
    app.register_blueprint(inner, name="dotted.name")
    app.add_url_rule("/y", "no.blueprint.y", view)

    found = endpoints_of(app)

    assert found["outer.renamed.x"].blueprints == ("outer", "outer.renamed")
    assert found["dotted.name.x"].blueprints == ("dotted.name",)
    assert found["no.blueprint.y"].blueprints == ()


def test_levels_run_from_the_outside_in_and_empty_ones_are_left_out() -> None:
    app = Flask("app")

    class Base(MethodView):
        pass

    class Notes(Base):
        @annotate_with(RULE)
        def get(self) -> str:
            return ""

        def post(self) -> str:
            return ""

    annotate(Base, RULE)
    notes = annotate(Blueprint("notes", __name__), RULE)
    notes.add_url_rule("/", view_func=annotate(Notes.as_view("all"), RULE))
    app.register_blueprint(notes)
    endpoint = endpoints_of(app)["notes.all"]
    patterns = {"notes.all": (RULE,), "*": (RULE,), "other": (RULE,)}

    names = {
        method: [level.name for level in find_levels(app, endpoint, patterns, method=method)]
        for method in ("GET", "POST")
    }

    outer = ["blueprint notes", "pattern '*'", "pattern 'notes.all'", f"class {Base.__qualname__}", "view notes.all"]
    assert names == {"GET": [*outer, "method notes.all.get"], "POST": outer}


def test_blueprint_pattern_and_class_are_wide_and_a_view_and_a_method_are_not() -> None:
    """The name of the level, which a user chooses, has no part in it."""
    app = Flask("app")

    class Notes(MethodView):
        @annotate_with(RULE)
        def get(self) -> str:
            return ""

    annotate(Notes, RULE)
    notes = annotate(Blueprint("notes", __name__), RULE)
    notes.add_url_rule("/", view_func=annotate(Notes.as_view("class all"), RULE))
    app.register_blueprint(notes)

    levels = find_levels(app, endpoints_of(app)["notes.class all"], {"notes.*": (RULE,)}, method="GET")

    assert [level.is_wide for level in levels] == [True, True, True, False, False]


def annotate_with(rule: Rule) -> Any:
    return lambda function: annotate(function, rule)


def annotated_view() -> str:
    return ""
