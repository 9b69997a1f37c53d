"""Rules are written where they can mean something, on the object itself, and refused elsewhere."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View

from flask_guard.authz import policies
from flask_guard.errors import ConfigError
from flask_guard.pipeline import words
from flask_guard.pipeline.rules import Access, Annotations, Rule, annotate, as_methods, rules_of
from flask_guard.pipeline.words import as_rules

OPEN = words.public(reason="open")
ADMIN = words.require(policies.role("admin"))


class Controller:
    def index(self) -> str:
        return ""

    def __call__(self) -> str:
        return ""

    @property
    def name(self) -> str:
        return ""


def new_function() -> Callable[[], str]:
    def view() -> str:
        return ""

    return view


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(new_function, id="a function"),
        pytest.param(lambda: type("Notes", (MethodView,), {}), id="a view class"),
        pytest.param(lambda: type("Page", (View,), {}), id="another view class"),
        pytest.param(lambda: Blueprint("notes", __name__), id="a blueprint"),
        pytest.param(lambda: type("Notes", (MethodView,), {}).as_view("notes"), id="a view made of a class"),
    ],
)
def test_decorator_returns_the_same_object_with_the_rule_on_it(make: Callable[[], Any]) -> None:
    target = make()

    assert annotate(annotate(target, OPEN), ADMIN) is target
    assert [rule.text for rule in rules_of(target)] == ["public(reason='open')", "require(role(admin))"]


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("notes.index", id="an endpoint's name"),
        pytest.param(None, id="None"),
        pytest.param(Controller(), id="an instance"),
        pytest.param(Controller().index, id="a bound method"),
        pytest.param(Controller.name, id="a property"),
        pytest.param(functools.partial(new_function()), id="a partial"),
        pytest.param(staticmethod(new_function()), id="a static method"),
        pytest.param(classmethod(new_function()), id="a class method"),
        pytest.param(len, id="a builtin"),
        pytest.param(dict.get, id="a method of a builtin"),
        pytest.param(dict, id="a builtin class"),
        pytest.param(OPEN, id="a rule"),
        pytest.param(policies.tenant(), id="a policy"),
        pytest.param(Flask("app"), id="an application"),
    ],
)
def test_what_cannot_carry_a_rule_is_refused(target: Any) -> None:
    with pytest.raises(ConfigError, match=r"public\(reason='open'\)"):
        Annotations().decorator(OPEN)(target)

    assert rules_of(target) == ()


def test_rule_is_copied_for_each_target() -> None:
    one, other = annotate(new_function(), OPEN), annotate(new_function(), OPEN)

    assert rules_of(one)[0] is not rules_of(other)[0]
    assert rules_of(one)[0].text == rules_of(other)[0].text


def test_rule_on_a_class_is_not_on_its_subclass_itself() -> None:
    base = annotate(type("Base", (View,), {}), OPEN)
    sub = type("Sub", (base,), {})

    annotate(sub, ADMIN)

    assert [rule.text for rule in rules_of(base)] == ["public(reason='open')"]
    assert [rule.text for rule in rules_of(sub)] == ["require(role(admin))"]


def test_wrapper_made_with_functools_wraps_carries_the_rule_and_does_not_give_back() -> None:
    view = annotate(new_function(), OPEN)

    @functools.wraps(view)
    def wrapper() -> str:
        return view()

    annotate(wrapper, ADMIN)

    assert [rule.text for rule in rules_of(wrapper)] == ["public(reason='open')", "require(role(admin))"]
    assert [rule.text for rule in rules_of(view)] == ["public(reason='open')"]


def test_rules_are_found_on_the_function_of_a_partial_and_of_a_bound_method() -> None:
    annotated = annotate(new_function(), OPEN)
    bound = type("Pages", (), {"index": annotated})().index

    assert rules_of(functools.partial(functools.partial(annotated))) == rules_of(annotated)
    assert rules_of(bound) == rules_of(annotated)


def test_word_of_a_rule_is_no_decorator() -> None:
    """Written past the Guard, a rule on a view that nobody routes would not be noticed."""
    with pytest.raises(ConfigError, match=r"public\(reason='open'\) is a word for guard.rules\(\); on a view"):
        OPEN(new_function())


def words_for(words: Any) -> tuple[Rule, ...]:
    return as_rules(words, pattern="static")


# Words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "access", "text"),
    [
        (words.public(reason="  assets "), Access.PUBLIC, "public(reason='  assets ')"),
        (words.optional_auth(), Access.OPTIONAL, "optional_auth()"),
        (words.require_authenticated(), Access.AUTHENTICATED, "authenticated()"),
        (words.require(policies.tenant()), None, "require(tenant)"),
        (words.max_body("32K"), None, "max_body('32K')"),
        (words.json_body("array", "object"), None, "json_body(array, object)"),
    ],
    ids=["public", "optional_auth", "authenticated", "require", "max_body", "json_body"],
)
def test_word_says_what_it_is(rule: Rule, access: Access | None, text: str) -> None:
    assert rule.access is access
    assert rule.text == text
    assert rule.methods is None


def test_words_carry_their_values() -> None:
    assert words.public(reason=" assets ").reason == "assets"
    assert words.max_body("32K").max_body_bytes == 32768
    assert words.max_body(10).max_body_bytes == 10
    assert words.json_body("array").json_kinds == frozenset({"array"})


@pytest.mark.parametrize(
    ("word", "said"),
    [
        pytest.param(lambda: words.public(reason=""), "needs a reason", id="public without a reason"),
        pytest.param(lambda: words.public(reason=" "), "needs a reason", id="public with a blank reason"),
        pytest.param(lambda: words.public(reason=None), "needs a reason", id="public with None"),  # type: ignore[arg-type]
        pytest.param(lambda: words.require("admin"), "takes a policy", id="require with a name"),  # type: ignore[arg-type]
        pytest.param(lambda: words.require(OPEN), "takes a policy", id="require with a rule"),  # type: ignore[arg-type]
        pytest.param(lambda: words.max_body("big"), "must be a size", id="max_body without a size"),
        pytest.param(lambda: words.max_body(0), "above zero", id="max_body of nothing"),
        pytest.param(
            lambda: words.json_body(), "json_body() needs one at least of array, object", id="json_body of nothing"
        ),
        pytest.param(lambda: words.json_body("list"), "not 'list'", id="json_body of no kind"),
        pytest.param(
            lambda: words.json_body(["array"]), "as in json_body('array'), not ['array']", id="kinds in a list"
        ),  # type: ignore[arg-type]
        pytest.param(lambda: words_for([]), "empty list of rules for the pattern 'static'", id="no rules"),
        pytest.param(lambda: words_for("public"), "has 'public' for the pattern 'static'; it takes", id="a name"),
        pytest.param(lambda: words_for(None), "has None for the pattern 'static'; it takes", id="None"),
        pytest.param(lambda: words_for(words.public), "has public without parentheses for the", id="a word alone"),
        pytest.param(lambda: words_for([OPEN, "role"]), "has 'role' for the pattern 'static'", id="a name in a list"),
    ],
)
def test_word_that_says_nothing_is_refused(word: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        word()

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "decorate"),
    [
        pytest.param("require", words.require, id="require"),
        pytest.param("max_body", words.max_body, id="max_body"),
        pytest.param("json_body", words.json_body, id="json_body"),
        pytest.param("require_fresh", policies.fresh, id="fresh"),
        pytest.param("require_role", policies.role, id="role"),
        pytest.param("require_scope", policies.scope, id="scope"),
    ],
)
@pytest.mark.parametrize("target", [new_function(), Controller], ids=["a view", "a view class"])
def test_decorator_without_parentheses_is_told_so(name: str, decorate: Callable[[Any], Any], target: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        decorate(target)

    assert str(caught.value) == f"{name} has no parentheses above {target.__qualname__!r}; write @guard.{name}(...)."


def test_pattern_takes_a_rule_a_policy_or_several() -> None:
    several = words_for([OPEN, policies.role("a"), policies.authenticated()])

    assert [rule.text for rule in several] == ["public(reason='open')", "require(role(a))", "authenticated()"]
    assert words_for(OPEN)[0] is not OPEN


# Methods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "methods"),
    [
        (None, None),
        (("POST", "PUT"), {"POST", "PUT"}),
        ("POST", {"POST"}),
        (["GET"], {"GET", "HEAD"}),
        (iter(["GET", "DELETE"]), {"GET", "HEAD", "DELETE"}),
        (("HEAD",), {"HEAD"}),
        ({"OPTIONS"}, {"OPTIONS"}),
    ],
    ids=["none", "tuple", "text", "get", "iterator", "head", "set"],
)
def test_methods_are_a_set_and_get_brings_head(written: Any, methods: set[str] | None) -> None:
    assert as_methods(written) == methods


@pytest.mark.parametrize("written", [(), "get", ("GET", "post"), ("FETCH",), "GET,POST", (None,), (5,)], ids=repr)
def test_methods_that_are_none_are_refused(written: Any) -> None:
    with pytest.raises(ConfigError, match="methods= takes HTTP methods in capitals"):
        as_methods(written)


# What no plan was made from -----------------------------------------------------------------------------


def test_rule_is_unplaced_until_a_plan_was_made_from_it() -> None:
    annotations = Annotations()
    view = annotations.decorator(OPEN)(new_function())

    assert [(target, rule.text) for target, rule in annotations.unplaced()] == [(view, "public(reason='open')")]
    annotations.place(rules_of(view))
    assert list(annotations.unplaced()) == []


def test_rule_on_what_is_gone_is_forgotten() -> None:
    annotations = Annotations()
    annotations.decorator(OPEN)(new_function())
    gc.collect()

    assert list(annotations.unplaced()) == []


def test_equal_rules_on_two_views_are_two_rules() -> None:
    annotations = Annotations()
    one, other = (annotations.decorator(OPEN)(new_function()) for _ in range(2))

    annotations.place(rules_of(one))

    assert [target for target, _rule in annotations.unplaced()] == [other]
