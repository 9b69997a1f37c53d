"""The order in which a plan gets its steps, and where the functions of an application stand among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask

from flask_guard import Guard
from flask_guard.authz import policies
from flask_guard.authz.policies import Policy
from flask_guard.browser.headers import HeaderRule
from flask_guard.pipeline.binder import Registration
from flask_guard.pipeline.discover import Endpoint, find_endpoints
from flask_guard.pipeline.plan import Plan
from flask_guard.pipeline.rules import Access
from flask_guard.pipeline.steps import ORDER

STAFF = policies.role("staff")


def named(name: str) -> Callable[..., Any]:
    def step(*_context: Any) -> None:
        return None

    step.__name__ = name
    return step


def registration(step: str, name: str, position: Any = "before", **options: Any) -> Registration:
    places = {"endpoints": (), "blueprints": (), "methods": None, **options}
    return Registration(step=step, function=named(name), position=position, name=name, **places)


def bound(plan: Plan, *registrations: Registration, endpoint: Endpoint | None = None, report: Any = None) -> Plan:
    runtime = Guard(Flask("bound", static_folder=None)).runtime
    binder = dataclasses.replace(
        runtime.make_binder(),
        registrations=registrations,
        limits_of=lambda _plan, _endpoint: (),
        headers_of=lambda name: (HeaderRule("X-For", name or "nobody"),),
        report=report,
    )
    return binder.bind(plan, endpoint)


def names(steps: Any) -> list[str]:
    return [step.__name__ for step in steps]


def endpoint_of(method: str = "GET") -> Endpoint:
    app = Flask("app", static_folder=None)
    notes = Blueprint("notes", __name__)
    notes.add_url_rule("/", "index", lambda: "", methods=[method])
    app.register_blueprint(notes)
    return find_endpoints(app)[0]


@pytest.mark.parametrize(
    ("access", "requirement", "steps"),
    [
        (Access.PUBLIC, None, ["host", "payload", "rates"]),
        (Access.OPTIONAL, None, ["host", "payload", "authenticate", "rates"]),
        (Access.OPTIONAL, STAFF, ["host", "payload", "authenticate", "rates", "authorize"]),
        (Access.AUTHENTICATED, None, ["host", "payload", "authenticate", "rates", "authorize"]),
        (Access.AUTHENTICATED, STAFF, ["host", "payload", "authenticate", "rates", "authorize"]),
    ],
)
def test_plan_has_the_steps_that_its_route_needs(access: Access, requirement: Policy | None, steps: list[str]) -> None:
    plan = bound(Plan("notes.index", "GET", access, requirement), endpoint=endpoint_of())

    assert names(plan.before) == steps
    assert plan.after == ()


def test_functions_stand_around_their_step_in_the_order_of_registration() -> None:
    wanted = [
        registration("authorize", "b1"),
        registration("authorize", "a1", "after"),
        registration("authorize", "b2"),
        registration("authorize", "a2", "after"),
        registration("tenant", "t"),
        registration("respond", "r1", "after"),
        registration("respond", "r2"),
    ]

    plan = bound(Plan("notes.index", "GET", Access.AUTHENTICATED), *wanted, endpoint=endpoint_of())

    assert names(plan.before) == ["host", "payload", "authenticate", "rates", "t", "b1", "b2", "authorize", "a1", "a2"]
    assert names(plan.after) == ["r2", "r1"]


def test_last_replacement_stands_in_the_place_of_the_step() -> None:
    plan = bound(
        Plan("notes.index", "GET", Access.AUTHENTICATED),
        registration("authorize", "one", "replace"),
        registration("authorize", "other", "replace"),
        endpoint=endpoint_of(),
    )

    assert names(plan.before) == ["host", "payload", "authenticate", "rates", "other"]
    assert plan.replaced == ("authorize is replaced by other",)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("authenticate", ("authenticate is replaced by mine",)),
        ("authorize", ("authorize is replaced by mine",)),
        ("payload", ()),
        ("tenant", ()),
        ("respond", ()),
    ],
)
def test_plan_says_which_deciding_step_is_replaced(step: str, said: tuple[str, ...]) -> None:
    plan = Plan("notes.index", "GET", Access.AUTHENTICATED)

    assert bound(plan, registration(step, "mine", "replace"), endpoint=endpoint_of()).replaced == said
    assert bound(plan, registration(step, "mine"), endpoint=endpoint_of()).replaced == ()
    elsewhere = registration(step, "mine", "replace", endpoints=("other",))
    assert bound(plan, elsewhere, endpoint=endpoint_of()).replaced == ()


def test_plan_has_the_headers_of_its_endpoint() -> None:
    assert bound(Plan("notes.index", "GET", Access.PUBLIC)).headers == (HeaderRule("X-For", "notes.index"),)
    assert bound(Plan(None, "", Access.PUBLIC)).headers == (HeaderRule("X-For", "nobody"),)


@pytest.mark.parametrize(
    ("options", "method", "applies"),
    [
        ({}, "GET", True),
        ({"endpoints": ("notes.*",)}, "GET", True),
        ({"endpoints": ("other",)}, "GET", False),
        ({"blueprints": ("notes",)}, "GET", True),
        ({"blueprints": ("other",)}, "GET", False),
        ({"methods": frozenset({"POST"})}, "GET", False),
        ({"methods": frozenset({"POST"})}, "POST", True),
        ({"endpoints": ("other",), "blueprints": ("notes",)}, "GET", True),
        ({"endpoints": ("notes.*",), "methods": frozenset({"POST"})}, "GET", False),
    ],
)
def test_function_runs_where_it_was_registered_for(options: dict[str, Any], method: str, applies: bool) -> None:
    plan = bound(
        Plan("notes.index", method, Access.PUBLIC), registration("tenant", "mine", **options), endpoint=endpoint_of()
    )

    assert ("mine" in names(plan.before)) is applies


def test_unrouted_request_meets_functions_for_everything_at_its_steps_only() -> None:
    wanted = [registration(step, step[:3]) for step in ORDER]
    wanted.append(registration("payload", "not", endpoints=("*",)))
    wanted.append(registration("payload", "nor", methods=frozenset({"POST"})))

    plan = bound(Plan(None, "", Access.PUBLIC), *wanted)

    assert names(plan.before) == ["hos", "host", "pay", "payload", "pre", "preflight", "add", "rat", "rates"]
    assert names(plan.after) == ["res"]


def test_report_wraps_every_step_on_the_way_in() -> None:
    reported: list[str] = []

    def report(step: Callable[..., Any]) -> Callable[..., Any]:
        reported.append(step.__name__)
        return step

    bound(Plan("notes.index", "GET", Access.AUTHENTICATED), registration("tenant", "t"), report=report,
          endpoint=endpoint_of())  # fmt: skip

    assert reported == ["host", "payload", "authenticate", "rates", "t", "authorize"]
