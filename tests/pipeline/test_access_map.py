"""The access map is what requests meet, its lock comes back as written, and nothing opens unnoticed."""

from __future__ import annotations

import dataclasses
import json
import secrets
from typing import Any, cast

import pytest
from flask import Blueprint, Flask
from hypothesis import assume, given
from hypothesis import strategies as st

from flask_guard.authz import policies
from flask_guard.authz.policies import Policy
from flask_guard.config.sections import DefaultAccess
from flask_guard.errors import ConfigError, Refusal
from flask_guard.pipeline import words
from flask_guard.pipeline.access_map import (
    AccessRow,
    Change,
    compare,
    dump_lock,
    make_access_map,
    parse_lock,
)
from flask_guard.pipeline.plan import Plan, PlanTable
from flask_guard.pipeline.rules import Access, Rule
from flask_guard.pipeline.steps import authorize_step
from flask_guard.values import ANONYMOUS, Decision, Principal

from .writing import Writer


def row(**facts: Any) -> AccessRow:
    plain = AccessRow("notes", "GET", ("/notes",), "authenticated", "", "", "default", (), None)
    return dataclasses.replace(plain, **facts)


# The map ------------------------------------------------------------------------------------------------


def test_map_shows_what_the_plans_say() -> None:
    app, writer = Flask("app"), Writer()
    notes = writer.role("staff")(Blueprint("notes", __name__))
    notes.add_url_rule("/n", "open", writer.public(methods=("GET",))(lambda: ""), methods=["GET", "POST"])
    notes.add_url_rule("/m", "big", writer.write(words.max_body("1K"))(lambda: ""))
    app.register_blueprint(notes)

    rows = {found.key: found for found in make_access_map(writer.compile(app))}

    assert rows["notes.open", "GET"] == AccessRow(
        "notes.open", "GET", ("/n",), "public", "", "open", "view notes.open", ("role(staff)",), None
    )
    assert rows["notes.open", "HEAD"].asks == "public"
    assert rows["notes.open", "POST"].asks == "role(staff)"
    assert rows["notes.big", "GET"].max_body_bytes == 1024
    assert rows["static", "GET"].asks == "authenticated"
    assert list(rows) == sorted(rows)


def test_map_says_when_nothing_is_enforced() -> None:
    app, writer = Flask("app", static_folder=None), Writer("report-only")
    app.add_url_rule("/", "index", writer.role("a")(lambda: ""))

    assert {found.asks for found in make_access_map(writer.compile(app))} == {"report-only; role(a)"}


@pytest.mark.parametrize(
    ("facts", "asks"),
    [
        ({}, "authenticated"),
        ({"access": "public"}, "public"),
        ({"requirement": "role(a)"}, "role(a)"),
        ({"access": "optional", "requirement": "role(a)"}, "optional; role(a)"),
        ({"is_enforced": False}, "report-only; authenticated"),
        (
            {"requirement": "role(a)", "replaced": ("authorize is replaced by f",)},
            "role(a); authorize is replaced by f",
        ),
    ],
)
def test_row_says_what_it_asks_for(facts: dict[str, Any], asks: str) -> None:
    assert row(**facts).asks == asks


# The lock file ------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.builds(
    AccessRow,
    endpoint=TEXT,
    method=TEXT,
    paths=st.lists(TEXT, max_size=3).map(tuple),
    access=st.sampled_from([str(access) for access in Access]),
    requirement=TEXT,
    reason=TEXT,
    origin=TEXT,
    lifted=st.lists(TEXT, max_size=2).map(tuple),
    max_body_bytes=st.one_of(st.none(), st.integers(1, 10**9)),
    replaced=st.lists(TEXT, max_size=2).map(tuple),
    is_enforced=st.booleans(),
)


@given(rows=st.lists(ROWS, max_size=5))
def test_lock_comes_back_as_written(rows: list[AccessRow]) -> None:
    assert parse_lock(dump_lock(rows)) == rows


def test_lock_has_one_route_a_line() -> None:
    lines = dump_lock([row(), row(method="POST")]).splitlines()

    assert len(lines) == 4
    assert json.loads(lines[1].rstrip(","))["method"] == "GET"


def test_map_compared_with_its_own_lock_has_not_changed() -> None:
    app, writer = Flask("app"), Writer()
    app.add_url_rule("/", "index", writer.role("a")(lambda: ""))
    rows = make_access_map(writer.compile(app))

    assert compare(parse_lock(dump_lock(rows)), rows) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        "null",
        "{}",
        '{"version": 1, "routes": []}',
        '{"version": 1}',
        '{"version": 1, "routes": 5}',
        '{"version": 1, "routes": [5]}',
        '{"version": 1, "routes": [{}]}',
        dump_lock([row()]).replace('"endpoint"', '"endpont"'),
        dump_lock([row()]).replace('"authenticated"', '"closed"'),
        dump_lock([row()]).replace('"is_enforced"', '"enforced"'),
    ],
    ids=lambda text: text[:30].replace("\n", "") or "empty",
)
def test_file_that_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"lock file|line 1|is not a valid Access"):
        parse_lock(text)


# What has changed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "opens", "text"),
    [
        pytest.param({}, {"access": "public"}, True, "was authenticated, is public", id="to public"),
        pytest.param({}, {"access": "optional"}, True, "was authenticated, is optional", id="to optional"),
        pytest.param({"access": "optional"}, {"access": "public"}, True, "was optional, is public", id="further"),
        pytest.param({"requirement": "role(a)"}, {}, True, "was role(a), is authenticated", id="lost"),
        pytest.param(
            {"requirement": "role(a)"}, {"requirement": "role(b)"}, True, "was role(a), is role(b)", id="another"
        ),
        pytest.param(
            {"requirement": "role(a) & tenant"}, {"requirement": "role(a)"}, True, "is role(a)", id="one less"
        ),
        pytest.param(
            {"requirement": "role(a)"},
            {"requirement": "role(a)", "access": "optional"},
            True,
            "is optional; role(a)",
            id="asked of nobody too",
        ),
        pytest.param({"requirement": "public"}, {"access": "public"}, True, "was public, is public", id="same words"),
        pytest.param({}, {"is_enforced": False}, True, "is report-only; authenticated", id="not enforced"),
        pytest.param({}, {"replaced": ("f decides",)}, True, "is authenticated; f decides", id="replaced"),
        pytest.param({"replaced": ("f decides",)}, {}, True, "was authenticated; f decides", id="no longer replaced"),
        pytest.param({"access": "public"}, {}, False, "was public, is authenticated", id="closed"),
        pytest.param({}, {"requirement": "role(a)"}, False, "was authenticated, is role(a)", id="more asked"),
        pytest.param({"access": "public"}, {"access": "optional"}, False, "is optional", id="half closed"),
        pytest.param({"is_enforced": False}, {}, False, "was report-only; authenticated", id="enforced"),
        pytest.param(
            {"requirement": "role(a)", "access": "optional"},
            {"requirement": "role(a)"},
            False,
            "is role(a)",
            id="no longer asked of nobody",
        ),
        pytest.param({}, {"paths": ("/notes", "/n")}, True, "was at /notes", id="another path"),
        pytest.param({"paths": ("/notes", "/n")}, {}, False, "was at /notes /n", id="a path less"),
        pytest.param({"max_body_bytes": 10}, {"max_body_bytes": 11}, True, "up to 11 bytes", id="larger"),
        pytest.param({"max_body_bytes": 10}, {}, True, "up to the default", id="the default again"),
        pytest.param({}, {"max_body_bytes": 10}, True, "up to 10 bytes", id="its own limit"),
        pytest.param({"max_body_bytes": 11}, {"max_body_bytes": 10}, False, "up to 10 bytes", id="smaller"),
    ],
)
def test_change_is_told_and_judged(before: dict[str, Any], after: dict[str, Any], opens: bool, text: str) -> None:
    (change,) = compare([row(**before)], [row(**after)])

    assert change.opens is opens
    assert change.text.startswith("~ GET ")
    assert text in change.text


def test_new_route_opens_and_one_that_is_gone_does_not() -> None:
    changes = compare([row(endpoint="old")], [row(endpoint="new", requirement="role(a)")])

    assert changes == [
        Change(True, "+ GET /notes (new): role(a), a new route"),
        Change(False, "- GET /notes (old): authenticated, gone"),
    ]


def test_new_method_of_a_route_opens() -> None:
    (change,) = compare([row()], [row(), row(method="POST")])

    assert change == Change(True, "+ POST /notes (notes): authenticated, a new route")


def test_what_has_no_say_in_access_is_no_change() -> None:
    other = {"reason": "other", "origin": "other", "lifted": ("other",)}

    assert compare([row()], [row(**other)]) == []


# Nothing opens unnoticed --------------------------------------------------------------------------------

POLICIES: list[Policy] = [
    policies.role("a"),
    policies.role("b"),
    policies.role("a", "b"),
    policies.role("a", "b", all=True),
    policies.role("a, b"),
    ~policies.role("a"),
    policies.scope("n:read"),
    policies.scope("n:read", "n:write"),
    policies.tenant(),
    policies.role("a") | policies.tenant(),
    policies.role("a") & policies.tenant(),
    policies.authenticated(),
]
PRINCIPALS = [
    ANONYMOUS,
    *(
        Principal(id="ada", method="jwt", roles=frozenset(roles), scopes=frozenset(scopes), tenant=tenant)
        for roles in ([], ["a"], ["b"], ["a", "b"], ["a, b"])
        for scopes in ([], ["n:read"], ["n:*"])
        for tenant in (None, "acme")
    ),
]
RULES = st.one_of(
    st.builds(lambda methods: words.public(reason="x", methods=methods), st.sampled_from([None, "GET", "POST"])),
    st.builds(lambda methods: words.optional_auth(methods=methods), st.sampled_from([None, "GET"])),
    st.builds(lambda methods: words.require_authenticated(methods=methods), st.sampled_from([None, "POST"])),
    st.builds(
        lambda policy, methods: words.require(policy, methods=methods),
        st.sampled_from(POLICIES),
        st.sampled_from([None, "GET", "POST"]),
    ),
)
RULE_SETS = st.fixed_dictionaries(
    {
        "default": st.sampled_from(["authenticated", "authenticated", "public-read", "public", "report-only"]),
        "blueprint": st.lists(RULES, max_size=2),
        "pattern": st.lists(RULES, max_size=1),
        "view": st.lists(RULES, max_size=2),
    }
)


def compiled(rule_set: dict[str, Any]) -> PlanTable | None:
    """Return the plans of a small application under these rules, None when they contradict each other."""
    app, writer = Flask("app", static_folder=None), Writer(cast("DefaultAccess", rule_set["default"]))
    notes = Blueprint("notes", __name__)

    def index() -> str:
        return ""

    for rule in rule_set["view"]:
        writer.write(rule)(index)
    for rule in rule_set["blueprint"]:
        writer.write(rule)(notes)
    notes.add_url_rule("/", "index", index, methods=["GET", "POST"])
    app.register_blueprint(notes)
    if rule_set["pattern"]:
        writer.match({"notes.*": rule_set["pattern"]})
    try:
        return writer.compile(app)
    except ConfigError:
        return None


class Asked:
    """As much of a request's context as the step needs."""

    now = 0.0
    decision: Decision | None = None

    def __init__(self, principal: Principal) -> None:
        self.principal = principal


def accepts(table: PlanTable, plan: Plan, principal: Principal) -> bool:
    """Say whether the steps that requests meet would let the principal in."""
    if not table.is_enforced or plan.access is Access.PUBLIC:
        return True
    try:
        authorize_step(plan.access, plan.requirement)(cast("Any", Asked(principal)))
    except Refusal:
        return False
    return True


@given(before=RULE_SETS, after=RULE_SETS)
def test_whoever_is_let_in_anew_is_told_of_as_opening(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = compiled(before), compiled(after)
    assume(old is not None and new is not None)
    assert old is not None
    assert new is not None

    lock = dump_lock(make_access_map(old))
    changes = compare(parse_lock(lock), make_access_map(new))

    for method in ("GET", "HEAD", "OPTIONS", "POST"):
        was, now = old.plans["notes.index"][method], new.plans["notes.index"][method]
        let_in = [p for p in PRINCIPALS if accepts(new, now, p) and not accepts(old, was, p)]
        told = [change for change in changes if change.opens and f" {method} / " in change.text]
        assert bool(told) >= bool(let_in), (was, now, let_in)


@given(rule_set=RULE_SETS)
def test_rules_that_did_not_change_are_no_change(rule_set: dict[str, Any]) -> None:
    one, other = compiled(rule_set), compiled(rule_set)

    assert (one is None) is (other is None)
    if one is not None and other is not None:
        assert compare(make_access_map(one), make_access_map(other)) == []


def test_name_in_the_lock_may_be_of_any_script() -> None:
    name = f"größe-{secrets.token_hex(4)}"

    assert name in dump_lock([row(endpoint=name)])


def test_rule_of_the_property_is_one_that_can_open() -> None:
    """The property above is not empty: one of its changes does let somebody in."""
    closed: dict[str, list[Rule] | str] = {"default": "authenticated", "blueprint": [], "pattern": [], "view": []}
    opened = {**closed, "view": [words.public(reason="x")]}

    old, new = compiled(closed), compiled(opened)

    assert old is not None
    assert new is not None
    assert not accepts(old, old.plans["notes.index"]["GET"], ANONYMOUS)
    assert accepts(new, new.plans["notes.index"]["GET"], ANONYMOUS)
