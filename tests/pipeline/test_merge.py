"""How the rules of several levels become one answer."""

from __future__ import annotations

import pytest

from flask_guard.authz import policies
from flask_guard.config.sections import DefaultAccess
from flask_guard.pipeline import words
from flask_guard.pipeline.merge import Level, Merged, default_for, merge
from flask_guard.pipeline.rules import Access, Rule

PUBLIC = words.public(reason="open")
OPTIONAL = words.optional_auth()
CLOSED = words.require_authenticated()
A = words.require(policies.role("a"))
B = words.require(policies.role("b"))
C = words.require(policies.scope("c"))


def merged_of(
    *levels: list[Rule], method: str = "GET", default: DefaultAccess = "authenticated"
) -> tuple[Merged, list[str]]:
    named = [Level(f"level {number}", tuple(written)) for number, written in enumerate(levels, start=1)]
    return merge(named, method=method, default=default)


def sound(*levels: list[Rule], method: str = "GET", default: DefaultAccess = "authenticated") -> Merged:
    merged, faults = merged_of(*levels, method=method, default=default)
    assert faults == []
    return merged


def asks(merged: Merged) -> str:
    requirement = merged.requirement
    return f"{merged.access} {requirement.describe() if requirement is not None else '-'}"


@pytest.mark.parametrize(
    ("levels", "result", "origin", "lifted"),
    [
        pytest.param([], "authenticated -", "default", [], id="no rule"),
        pytest.param([[PUBLIC]], "public -", "level 1", [], id="public"),
        pytest.param([[OPTIONAL]], "optional -", "level 1", [], id="optional"),
        pytest.param([[A]], "authenticated role(a)", "level 1", [], id="a requirement"),
        pytest.param([[A], [B]], "authenticated role(a) & role(b)", "level 1", [], id="requirements add up"),
        pytest.param([[A, B], [], [C]], "authenticated role(a) & role(b) & scope(c)", "level 1", [], id="all levels"),
        pytest.param([[A], [PUBLIC]], "public -", "level 2", ["role(a)"], id="public lifts what is outside"),
        pytest.param([[A], [B], [PUBLIC]], "public -", "level 3", ["role(a)", "role(b)"], id="all of it"),
        pytest.param([[PUBLIC], [A]], "authenticated role(a)", "level 2", [], id="a requirement closes a public"),
        pytest.param([[A], [PUBLIC], [B]], "authenticated role(b)", "level 3", ["role(a)"], id="lifted is lifted"),
        pytest.param([[PUBLIC], [CLOSED]], "authenticated -", "level 2", [], id="the innermost base wins"),
        pytest.param([[CLOSED], [PUBLIC]], "public -", "level 2", [], id="also the open one"),
        pytest.param([[OPTIONAL], [CLOSED]], "authenticated -", "level 2", [], id="closed inside optional"),
        pytest.param([[A], [CLOSED]], "authenticated role(a)", "level 2", [], id="authenticated lifts nothing"),
        pytest.param([[A], [OPTIONAL]], "optional role(a)", "level 2", [], id="optional lifts nothing"),
        pytest.param([[OPTIONAL], [A]], "optional role(a)", "level 1", [], id="a requirement judges nobody too"),
        pytest.param([[OPTIONAL, A]], "optional role(a)", "level 1", [], id="on one level"),
        pytest.param([[PUBLIC, PUBLIC]], "public -", "level 1", [], id="public twice"),
        pytest.param([[CLOSED, A]], "authenticated role(a)", "level 1", [], id="authenticated with a requirement"),
        pytest.param([[PUBLIC], [PUBLIC]], "public -", "level 2", [], id="public on two levels"),
    ],
)
def test_levels_become_one_answer(levels: list[list[Rule]], result: str, origin: str, lifted: list[str]) -> None:
    merged = sound(*levels)

    assert asks(merged) == result
    assert merged.origin == origin
    assert merged.lifted == lifted


@pytest.mark.parametrize(
    ("rules_of_level", "said"),
    [
        ([PUBLIC, A], "level 1 is public and has require(role(a)); one of the two must go."),
        ([A, PUBLIC], "level 1 is public and has require(role(a)); one of the two must go."),
        ([PUBLIC, CLOSED], "level 1 is authenticated and public at once."),
        ([OPTIONAL, CLOSED], "level 1 is authenticated and optional at once."),
        ([PUBLIC, OPTIONAL, CLOSED, A], "level 1 is authenticated and optional and public at once."),
        ([words.max_body(1), words.max_body(2)], "level 1 has max_body(1) and max_body(2) at once."),
    ],
    ids=["public, then a role", "a role, then public", "two bases", "two others", "three", "two sizes"],
)
def test_level_that_contradicts_itself_is_a_fault(rules_of_level: list[Rule], said: str) -> None:
    _merged, faults = merged_of(rules_of_level)

    assert faults == [said]


def test_rules_about_different_methods_do_not_contradict() -> None:
    level = [words.public(reason="open", methods=("GET",)), words.require(policies.role("a"), methods=("POST",))]

    assert asks(sound(level)) == "public -"
    assert asks(sound(level, method="HEAD")) == "public -"
    assert asks(sound(level, method="POST")) == "authenticated role(a)"
    assert asks(sound(level, method="DELETE")) == "authenticated -"
    assert asks(sound(level, method="OPTIONS")) == "authenticated -"


@pytest.mark.parametrize(
    ("default", "open_methods", "closed_methods"),
    [
        ("authenticated", [], ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "PURGE"]),
        ("report-only", [], ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "PURGE"]),
        ("public-read", ["GET", "HEAD", "OPTIONS"], ["POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "PURGE"]),
        ("public", ["GET", "POST", "DELETE", "PURGE"], []),
    ],
)
def test_default_opens_what_it_says(default: DefaultAccess, open_methods: list[str], closed_methods: list[str]) -> None:
    assert {default_for(method, default) for method in open_methods} <= {Access.OPTIONAL}
    assert {default_for(method, default) for method in closed_methods} <= {Access.AUTHENTICATED}


@pytest.mark.parametrize("default", ["public", "public-read"])
def test_requirement_closes_an_open_default(default: DefaultAccess) -> None:
    """`~role("banned")` would let the anonymous one in."""
    banned = words.require(~policies.role("banned"))

    assert asks(sound([banned], default=default)) == "authenticated ~role(banned)"
    assert asks(sound([CLOSED], default=default)) == "authenticated -"


def test_open_default_still_looks_at_a_credential() -> None:
    assert sound(default="public").access is Access.OPTIONAL


def test_reason_of_a_public_is_kept_and_goes_when_it_is_closed() -> None:
    assert sound([PUBLIC]).reason == "open"
    assert sound([PUBLIC], [A]).reason == ""
    assert sound([PUBLIC], [CLOSED]).reason == ""


def test_probe_on_any_level_is_one() -> None:
    assert sound([words.probe()], [A]).is_probe
    assert sound([PUBLIC], [words.probe()]).is_probe
    assert not sound([PUBLIC], [A]).is_probe


def test_innermost_size_and_kinds_win() -> None:
    outer = [words.max_body(10), words.json_body("array")]
    inner = [words.max_body(20, methods=("POST",)), words.json_body("scalar", methods=("POST",))]

    get, post = sound(outer, inner), sound(outer, inner, method="POST")

    assert (get.max_body_bytes, get.json_kinds) == (10, frozenset({"array"}))
    assert (post.max_body_bytes, post.json_kinds) == (20, frozenset({"scalar"}))
    assert sound().max_body_bytes is None
    assert sound().json_kinds == frozenset({"object"})
