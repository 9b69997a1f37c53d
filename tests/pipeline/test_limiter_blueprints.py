"""Which limits of a view and of the blueprints around it count together: those that count in Flask-Limiter."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint, Flask
from flask_limiter import Limiter
from flask_limiter.util import get_qualified_name, get_remote_address

from flask_guard.pipeline.discover import find_endpoints
from flask_guard.pipeline.limiter import make_limiter, resolve_limits

from .writing import Writer

# (text, override_defaults): what is written on the outer blueprint, on the inner one, and on the view.
OUTER, INNER, VIEW = ("1/minute", True), ("2/minute", True), ("3/minute", True)
OUTER_TOO, INNER_TOO, VIEW_TOO = ("1/minute", False), ("2/minute", False), ("3/minute", False)
Written = list[tuple[str, bool]]

CASES = {
    "nothing": ([], [], []),
    "the outer blueprint": ([OUTER], [], []),
    "the inner blueprint": ([], [INNER], []),
    "the inner stands in for the outer": ([OUTER], [INNER], []),
    "the inner beside the outer": ([OUTER], [INNER_TOO], []),
    "one of two of the inner stands in": ([OUTER], [INNER, ("4/minute", False)], []),
    "the view stands in for both": ([OUTER], [INNER], [VIEW]),
    "the view beside the inner": ([OUTER], [INNER], [VIEW_TOO]),
    "all three": ([OUTER_TOO], [INNER_TOO], [VIEW_TOO]),
    "one of two of the view stands in": ([OUTER], [INNER_TOO], [VIEW, ("4/minute", False)]),
}


def build(limiter: Any, outer_limits: Written, inner_limits: Written, view_limits: Written) -> Flask:
    """Return an application with a view in a blueprint in a blueprint, decorated by a Limiter of either kind."""
    app = Flask("app", static_folder=None)
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)

    def index() -> str:
        return ""

    view: Any = index
    for text, overrides in view_limits:
        view = limiter.limit(text, override_defaults=overrides)(view)
    for blueprint, limits in ((outer, outer_limits), (inner, inner_limits)):
        for text, overrides in limits:
            limiter.limit(text, override_defaults=overrides)(blueprint)
    inner.add_url_rule("/", "index", view)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


@pytest.mark.parametrize("written", CASES.values(), ids=CASES)
def test_the_same_limits_count_as_in_flask_limiter(written: tuple[Written, Written, Written]) -> None:
    theirs = Limiter(get_remote_address)
    app = build(theirs, *written)
    with app.test_request_context("/"):
        name = get_qualified_name(app.view_functions["outer.inner.index"])
        _defaults, expected = theirs.limit_manager.resolve_limits(app, "outer.inner.index", "outer.inner", name)

    ours = build(make_limiter(Writer().write), *written)
    (endpoint,) = find_endpoints(ours)
    found = resolve_limits(ours, endpoint, "GET")

    assert sorted(str(rule.text) for rule, _methods in found) == sorted(
        f"{limit.limit.amount}/minute" for limit in expected
    )


def test_a_limit_of_a_view_about_other_methods_leaves_those_of_its_blueprint() -> None:
    """Flask-Limiter drops them for every method, so that a GET has no limit at all."""
    limiter = make_limiter(Writer().write)
    app, blueprint = Flask("app", static_folder=None), Blueprint("b", __name__)
    limiter.limit("1/minute")(blueprint)
    blueprint.add_url_rule(
        "/", "index", limiter.limit("2/minute", methods=["POST"])(lambda: ""), methods=["GET", "POST"]
    )
    app.register_blueprint(blueprint)
    (endpoint,) = find_endpoints(app)

    texts = {method: [rule.text for rule, _ in resolve_limits(app, endpoint, method)] for method in ("GET", "POST")}

    assert texts == {"GET": ["1/minute"], "POST": ["2/minute"]}
