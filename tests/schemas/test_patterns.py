"""Patterns: what matches, and that no text can keep one busy. The guard's estimate is compared with the clock."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from marshmallow import fields

from flask_guard import ConfigError
from flask_guard.schemas import GuardSchema, Pattern
from flask_guard.schemas.regex_cost import EXPONENTIAL, CannotTell, find_degree

from .support import faults_of


def _schema(pattern: Pattern) -> Any:
    return GuardSchema.from_dict({"x": fields.Raw(allow_none=True, validate=pattern)})()


@pytest.mark.parametrize(
    ("pattern", "value", "passes"),
    [
        pytest.param(Pattern("b"), "abc", True, id="searched"),
        pytest.param(Pattern("b", full=True), "abc", False, id="not the whole"),
        pytest.param(Pattern("[a-c]{3}", full=True), "abc", True, id="the whole"),
        pytest.param(Pattern("[a-c]{3}", full=True), "abc\n", False, id="a line end"),
        pytest.param(Pattern("a|b", full=True), "ab", False, id="alternatives are anchored as one"),
        pytest.param(Pattern("B", flags=re.IGNORECASE), "abc", True, id="a flag"),
        pytest.param(Pattern(re.compile("B", re.IGNORECASE)), "abc", True, id="a compiled one"),
        pytest.param(Pattern("a"), None, True, id="null"),
        pytest.param(Pattern("a"), 5, True, id="no text"),
        pytest.param(Pattern("a", max_length=3), "aaaa", False, id="a text that is too long"),
    ],
)
def test_a_text_has_to_match(pattern: Pattern, value: Any, passes: bool) -> None:
    if passes:
        assert _schema(pattern).load({"x": value}) == {"x": value}
    else:
        assert faults_of(_schema(pattern), {"x": value}) == {"x": ["Has an invalid format."]}


def test_a_missing_value_is_not_its_matter() -> None:
    assert _schema(Pattern("a")).load({}) == {}


SAFE = [
    r"^[a-z0-9]+(-[a-z0-9]+)*$",
    r"^[^@\s]+@[^@\s]+\.[a-z]+$",
    r"^(?=.*\d)(?=.*[a-z]).{8,}$",
    r"^\+?[0-9]{6,15}$",
    r"[A-Z]{3}[0-9A-Z]{3}[A-Z]{2}",
    r"^(foo|bar)+$",
    r"(?i)^[a-z]+(-[A-Z]+)*$",
    r"^(?:[01]\d|2[0-3]):[0-5]\d$",
    r"^[a-f0-9]{64}$",
    r"^\w+( \w+)*$",
    r"\s+$",
    r"^#(?:[0-9a-f]{3}){1,2}$",
    r"^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$",
    r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)day$",
]
# Each with a text, as a function of its length, that keeps it busy.
CATASTROPHES: list[Any] = [
    pytest.param(r"^(a+)+$", lambda n: "a" * n + "!", id="a repetition of a repetition"),
    pytest.param(r"^(a|a)*$", lambda n: "a" * n + "!", id="alternatives that are the same"),
    pytest.param(r"^(\w+\s?)*$", lambda n: "a" * n + "!", id="a word with an optional space"),
    pytest.param(r"^(x+x+)+y$", lambda n: "x" * n, id="two repetitions in one"),
    pytest.param(r"^(a?){25}a{25}$", lambda n: "a" * n, id="repeated options"),
    pytest.param(r"^(?:a{0,30}){0,30}$", lambda n: "a" * n + "!", id="bounded repetitions"),
    pytest.param(r"^(([a-z])+.)+[A-Z]([a-z])+$", lambda n: "a" * n, id="a class name"),
    pytest.param(r"^(?:[a-z]b|[a-f0-9]b)+$", lambda n: "ab" * n + "!", id="alternatives that overlap"),
    pytest.param("(?:a|aa)" * 24 + "$", lambda n: "a" * n + "!", id="alternatives in a row"),
    pytest.param("(?:a|ab|b|ba)" * 20 + "$", lambda n: "ab" * n + "!", id="alternatives that begin alike"),
    pytest.param(r"^(?:éa|Éa)+!$", lambda n: "éa" * n, id="letters that are the same without case"),
]


@pytest.mark.parametrize("source", SAFE)
def test_a_safe_pattern_is_taken(source: str) -> None:
    assert Pattern(source)("") == "" if re.search(source, "") else True
    worst = max(_seconds(Pattern(source), text) for text in _attacks())

    assert worst < 0.1


def _attacks() -> list[str]:
    return [letter * 1023 + "!" for letter in "a0 -@.xA"] + ["a-" * 511 + "!", "a@" * 511, "a a" * 340 + "!"]


def _seconds(pattern: Pattern, text: str) -> float:
    began = time.process_time()
    pattern._search(text)
    return time.process_time() - began


@pytest.mark.parametrize(("source", "attack"), CATASTROPHES)
def test_a_pattern_that_a_text_keeps_busy_is_refused(source: str, attack: Any) -> None:
    flags = re.IGNORECASE if "É" in source else 0

    with pytest.raises(ConfigError, match=r"Pattern\(\): .*(could take for ever|cannot be told)"):
        Pattern(source, flags=flags)


@pytest.mark.parametrize(("source", "attack"), CATASTROPHES[:4])
def test_what_is_refused_would_have_taken_ever_longer(source: str, attack: Any) -> None:
    pattern = re.compile(source)

    def steps(length: int) -> float:
        began = time.process_time()
        pattern.search(attack(length))
        return time.process_time() - began

    assert steps(20) > 20 * steps(10)


@pytest.mark.parametrize(
    ("source", "degree"),
    [
        pytest.param(r"^\d+$", 1, id="linear"),
        pytest.param(r"\s+$", 2, id="searched"),
        pytest.param(r"^\d+\d+$", 2, id="two in a row"),
        pytest.param(r"^\d+\d+\d+$", 3, id="three in a row"),
        pytest.param(r"^\d+x\d+x\d+$", 1, id="three with something between"),
        pytest.param(r"^.*=.*;.*$", 3, id="three that may swallow what is between"),
        pytest.param(r"^(?:a+)+$", EXPONENTIAL, id="for ever"),
        pytest.param(r"^(?:ab|a|b)+$", EXPONENTIAL, id="one word in two ways"),
        pytest.param(r"^(?:ab|ac)+$", 1, id="a common beginning"),
    ],
)
def test_the_degree_of_a_pattern_is_known(source: str, degree: int) -> None:
    assert find_degree(re.compile(source), is_searched=True) == degree


def test_a_long_text_and_a_steep_pattern_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match=r"give it max_length=103 or less"):
        Pattern(r"^\d+\d+\d+$")

    assert Pattern(r"^\d+\d+\d+$", max_length=103)("123") == "123"


@pytest.mark.parametrize(
    "source",
    [r"(a+)\1", r"(a)?(?(1)b|c)", r"(?:(?=a)a)+", r"(a?b?)+", "(?i:a)b", "a" * 301, "a?" * 13],
    ids=["a reference", "a condition", "a look within a repetition", "nothing repeated", "flags", "long", "options"],
)
def test_what_cannot_be_judged_is_refused(source: str) -> None:
    with pytest.raises(CannotTell):
        find_degree(re.compile(source), is_searched=True)
    with pytest.raises(ConfigError, match="cannot be told"):
        Pattern(source)


@pytest.mark.parametrize("source", ["(", "[a", "a{2,1}", "(?P<n>a)(?P<n>b)", b"a", 5], ids=repr)
def test_what_is_no_pattern_is_refused(source: Any) -> None:
    with pytest.raises(ConfigError, match="regular expression"):
        Pattern(source)


def test_what_is_exported_is_what_json_schema_can_read() -> None:
    assert Pattern("[a-z]+", full=True).regex.pattern == "^(?:[a-z]+)$"
    assert Pattern("[a-z]+").regex.pattern == "[a-z]+"
