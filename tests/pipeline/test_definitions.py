"""What a program says through its Guard is checked when it is said, and again against the routes."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint, Flask

from flask_guard.authz import policies
from flask_guard.errors import ConfigError
from flask_guard.pipeline import words
from flask_guard.pipeline.definitions import Definitions
from flask_guard.pipeline.discover import Endpoint, find_endpoints

from .writing import view


def function(_context: Any) -> None:
    """A step that does nothing."""


def routes() -> list[Endpoint]:
    app = Flask("app")
    notes = Blueprint("notes", __name__)
    notes.add_url_rule("/a", "a", view)
    notes.add_url_rule("/b", "b", view, methods=["POST"])
    app.register_blueprint(notes)
    return find_endpoints(app)


def with_step(step: str = "authorize", **options: Any) -> Definitions:
    definitions = Definitions()
    given = {"position": "before", "endpoints": (), "blueprints": (), "methods": (), "name": "mine", **options}
    definitions.add_step(step, given.pop("function", function), **given)
    return definitions


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"step": "authorise"}, "There is no step 'authorise'; the steps are host, fence, payload"),
        ({"step": "authorise"}, "Did you mean authorize?"),
        ({"step": "view"}, "There is no step 'view'"),
        ({"position": "around"}, "not 'around'"),
        ({"function": "name"}, "which cannot be called"),
        ({"function": None}, "which cannot be called"),
        ({"methods": ("post",)}, "methods= takes HTTP methods in capitals"),
        ({"methods": "FETCH"}, "methods= takes HTTP methods in capitals"),
    ],
)
def test_step_that_cannot_be_is_refused_when_it_is_registered(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_step(**options)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"endpoints": ("notes.x",)}, "the endpoint 'notes.x', which nobody has", id="no endpoint"),
        pytest.param({"endpoints": ("notes.*", "nots.*")}, "the endpoint 'nots.*', which", id="one of two"),
        pytest.param({"endpoints": "nots.a"}, "the endpoint 'nots.a', which nobody has", id="text, not a list"),
        pytest.param({"blueprints": ("nots",)}, "the blueprint 'nots', which nobody has", id="no blueprint"),
        pytest.param({"methods": ("DELETE",)}, "could never run", id="no such method"),
        pytest.param({"endpoints": ("notes.a",), "methods": ("POST",)}, "could never run", id="not both"),
    ],
)
def test_step_that_could_never_run_is_a_fault(options: dict[str, Any], said: str) -> None:
    faults = with_step(**options).find_faults(routes())

    assert said in " ".join(faults)
    assert all(fault.startswith("The function 'mine' at step 'authorize'") for fault in faults)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"endpoints": ("notes.a",)},
        {"endpoints": ("*",)},
        {"blueprints": "notes"},
        {"methods": ("POST",)},
        {"endpoints": ("static",), "blueprints": ("notes",)},
    ],
    ids=["all", "one endpoint", "a pattern", "a blueprint", "a method", "both"],
)
def test_step_that_can_run_is_no_fault(options: dict[str, Any]) -> None:
    assert with_step(**options).find_faults(routes()) == []


def test_step_on_get_is_on_head_too() -> None:
    """A HEAD is answered by the view for GET, so a check on GET alone could be walked around."""
    (registration,) = with_step(methods=("GET",)).registrations

    (endpoint,) = (endpoint for endpoint in routes() if endpoint.name == "notes.a")
    assert registration.applies(endpoint, "HEAD")
    assert not registration.applies(endpoint, "POST")


def test_step_is_named_after_its_function() -> None:
    (registration,) = with_step(name=None).registrations

    assert registration.name == "function"


def test_two_replacements_of_one_step_are_told() -> None:
    definitions = with_step(position="replace")
    definitions.add_step(
        "authorize", function, position="replace", endpoints=("notes.a",), blueprints=(), methods=(), name="b"
    )
    definitions.add_step("tenant", function, position="replace", endpoints=(), blueprints=(), methods=(), name="c")

    assert definitions.find_double_replacements(routes()) == [
        "Step 'authorize' of 'notes.a' is replaced twice; the last one wins."
    ]


def test_header_for_endpoints_that_nobody_has_is_a_fault() -> None:
    definitions = Definitions()
    definitions.add_header("X-A", "1", mode="set", endpoints=("notes.*",))
    definitions.add_header("X-B", "1", mode="set", endpoints=("notes.*", "nots.*"))
    definitions.add_header("X-C", "1", mode="set", endpoints=())

    assert definitions.find_faults(routes()) == ["The header X-B is for the endpoint 'nots.*', which nobody has."]


@pytest.mark.parametrize(
    ("endpoint", "applies"), [("notes.a", True), ("static", False), (None, False)], ids=["match", "other", "no route"]
)
def test_header_is_sent_where_it_was_asked_for(endpoint: str | None, applies: bool) -> None:
    definitions = Definitions()
    definitions.add_header("X-A", "1", mode="set", endpoints=("notes.*",))
    definitions.add_header("X-B", "1", mode="set", endpoints=())

    some, every = definitions.headers
    assert some.applies(endpoint) is applies
    assert every.applies(endpoint)


def test_rules_of_one_pattern_add_up() -> None:
    definitions = Definitions()
    definitions.add_rules({"a": policies.role("a")})
    definitions.add_rules({"a": [policies.role("b"), words.max_body(1)], "b": policies.role("c")})

    assert [rule.text for rule in definitions.patterns["a"]] == [
        "require(role(a))",
        "require(role(b))",
        "max_body(1)",
    ]


@pytest.mark.parametrize(
    ("name", "check", "said"),
    [("db", view, "is Guard's own"), ("other", "view", "cannot be called"), ("other", None, "cannot be called")],
)
def test_health_check_is_a_function_under_a_name_of_its_own(name: str, check: Any, said: str) -> None:
    definitions = Definitions()
    definitions.add_health_check("queue", view)

    with pytest.raises(ConfigError, match=said):
        definitions.add_health_check(name, check)
    assert definitions.health_checks == {"queue": view}


def test_headers_of_an_endpoint_are_those_that_apply_to_it() -> None:
    definitions = Definitions()
    definitions.add_header("X-A", "1", mode="set", endpoints=("notes.*",))
    definitions.add_header("X-B", "1", mode="append", endpoints=())

    assert [header.name for header in definitions.headers_of("notes.a")] == ["X-A", "X-B"]
    assert [header.name for header in definitions.headers_of(None)] == ["X-B"]
