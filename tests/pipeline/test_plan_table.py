"""The table of plans: what it knows beside them, and what was noticed while it was made."""

from __future__ import annotations

import dataclasses

import pytest
from flask import Flask

from flask_guard.errors import ConfigError
from flask_guard.pipeline import words
from flask_guard.pipeline.plan import Plan, PlanTable, compile_plans
from flask_guard.pipeline.rules import Access, Annotations
from flask_guard.values import Level

from .writing import Writer, view


def test_what_no_route_answers_has_a_plan_of_its_own() -> None:
    table = Writer().compile(Flask("app"))

    assert (table.unrouted.endpoint, table.unrouted.access) == (None, Access.PUBLIC)
    assert table.unrouted.requirement is None


def test_table_knows_whether_anything_waits_on_the_way_out() -> None:
    quiet = Plan("a", "GET", Access.PUBLIC)
    loud = Plan("a", "GET", Access.PUBLIC, after=(lambda *_: None,))

    assert not PlanTable({"a": {"GET": quiet}}, [], quiet).has_after_steps
    assert PlanTable({"a": {"GET": loud}}, [], quiet).has_after_steps
    assert PlanTable({}, [], loud).has_after_steps


def test_replaced_step_is_a_finding_for_each_endpoint() -> None:
    app = Flask("app", static_folder=None)
    app.add_url_rule("/", "index", view, methods=["GET", "POST"])
    said = "authorize is replaced by mine"

    table = compile_plans(
        app,
        apps=[app],
        annotations=Annotations(),
        patterns={},
        default="authenticated",
        bind=lambda plan, _endpoint: dataclasses.replace(plan, replaced=(said,)),
    )

    (finding,) = table.findings
    assert (finding.id, finding.level) == ("FG-ROUTE-003", Level.WARNING)
    assert finding.message == f"On 'index' {said}: what the map says of it is not what decides."


def test_further_faults_are_told_with_those_of_the_rules() -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", "index", writer.public()(writer.role("a")(lambda: "")))

    with pytest.raises(ConfigError) as caught:
        compile_plans(
            app,
            apps=[app],
            annotations=writer.annotations,
            patterns={},
            default="authenticated",
            bind=lambda plan, _endpoint: plan,
            further_faults=["The function 'f' could never run."],
        )

    assert len(caught.value.faults) == 2
    assert caught.value.faults[1] == "The function 'f' could never run."


def test_quiet_is_in_the_plan() -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", "index", writer.write(words.probe())(lambda: ""))

    plans = writer.compile(app).plans

    assert plans["index"]["GET"].is_probe
    assert not plans["static"]["GET"].is_probe


def test_size_and_kinds_of_a_body_are_in_the_plan() -> None:
    app, writer = Flask("app"), Writer()
    sized = writer.write(words.max_body("1K", methods=("POST",)))(lambda: "")
    app.add_url_rule("/", "index", writer.write(words.json_body("array"))(sized), methods=["GET", "POST"])

    plans = writer.compile(app).plans["index"]

    assert (plans["POST"].max_body_bytes, plans["GET"].max_body_bytes) == (1024, None)
    assert plans["GET"].json_kinds == frozenset({"array"})
