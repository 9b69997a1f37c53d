"""What a limit may say, and what is refused where it is written."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.errors import ConfigError
from flask_guard.limits.rates import MAX_COST, parse_windows
from flask_guard.limits.rule import (
    LimitRule,
    make_limit_rule,
)


def tenant_limit() -> str:
    return "7/minute"


def who() -> str:
    return "ada"


def is_internal() -> bool:
    return True


def weight() -> int:
    return 3


async def later() -> str:
    return "5/minute"


class Later:
    async def __call__(self) -> str:
        return "5/minute"


def needs_request(request: object) -> str:
    return str(request)


@pytest.mark.parametrize(
    ("text", "options", "described"),
    [
        pytest.param("5/minute", {}, "limit(5/minute by principal)", id="by principal without a word"),
        pytest.param(" 5/minute\n", {"by": "address"}, "limit(5/minute by address)", id="blanks around"),
        pytest.param("5/hour; 1/second", {"by": "tenant"}, "limit(5/hour; 1/second by tenant)", id="several windows"),
        pytest.param("5/minute", {"by": "body:email"}, "limit(5/minute by body:email)", id="a field"),
        pytest.param("5/minute", {"by": "body:e mail"}, "limit(5/minute by body:e mail)", id="a field with a blank"),
        pytest.param(
            tenant_limit, {"by": who}, f"limit({__name__}.tenant_limit() by {__name__}.who())", id="functions"
        ),
        pytest.param(
            "5/minute",
            {"cost": 5, "shared": "login", "exempt_when": is_internal, "on_error": "deny", "label": "log-in"},
            f"limit(5/minute by principal, cost 5, shared as login, exempt when {__name__}.is_internal(), "
            "on error deny)",
            id="everything",
        ),
        pytest.param(
            "5/minute", {"cost": weight}, f"limit(5/minute by principal, cost {__name__}.weight())", id="cost"
        ),
        pytest.param(
            "5/minute", {"by": functools.partial(str, 1)}, "limit(5/minute by functools.partial())", id="part"
        ),
    ],
)
def test_a_limit_says_what_was_written(text: Any, options: dict[str, Any], described: str) -> None:
    assert make_limit_rule(text, **options).describe() == described


def test_a_limit_is_a_value() -> None:
    assert make_limit_rule("5/minute", by=who) == make_limit_rule("5/minute", by=who)
    assert len({make_limit_rule("5/minute", by=who), make_limit_rule("5/minute", by=who)}) == 1


@pytest.mark.parametrize(
    ("text", "options", "fault"),
    [
        pytest.param("5/fortnight", {}, "limit(5/fortnight) is not a limit such as", id="unknown unit"),
        pytest.param("", {}, "limit() is not a limit such as", id="empty"),
        pytest.param("0/minute", {}, "limit(0/minute) is not a limit such as", id="nothing allowed"),
        pytest.param("5/minute;", {}, "limit(5/minute;) is not a limit such as", id="half a list"),
        pytest.param("5/minute" + " " * 200 + "x", {}, " is not a limit such as", id="too long"),
        pytest.param(5, {}, "limit(5) is not a limit such as", id="a number"),
        pytest.param(None, {}, "limit(None) is not a limit such as", id="none"),
        pytest.param(" OFF ", {}, "limit( OFF ) sets no limit; guard.unlimited(reason=...)", id="off"),
        pytest.param(later, {}, "has an asynchronous function for text", id="asynchronous text"),
        pytest.param(Later(), {}, "has an asynchronous function for text", id="asynchronous object"),
        pytest.param(needs_request, {}, "has a function for text that needs arguments", id="text with arguments"),
        pytest.param("5/minute", {"by": "ad-dress"}, "Did you mean address?", id="near a word"),
        pytest.param("5/minute", {"by": "Principal"}, "Did you mean principal?", id="capitals"),
        pytest.param("5/minute", {"by": None}, "limit(5/minute) has by=None; it takes address, principal", id="no by"),
        pytest.param("5/minute", {"by": "body:"}, "has by='body:', which names no field", id="no field"),
        pytest.param("5/minute", {"by": "body: "}, "has by='body: ', which names no field", id="blank field"),
        pytest.param("5/minute", {"by": "body:a\n"}, "which names no field", id="control character"),
        pytest.param(
            "5/minute",
            {"by": "body"},
            "has by='body'; it takes address, principal, tenant, body:<field>",
            id="body alone",
        ),
        pytest.param(
            "5/minute", {"by": needs_request}, "has a function for by that needs arguments", id="by arguments"
        ),
        pytest.param("5/minute", {"by": later}, "has an asynchronous function for by", id="asynchronous by"),
        pytest.param("5/minute", {"cost": 0}, "has cost=0; it takes a whole number from 1", id="cost nothing"),
        pytest.param("5/minute", {"cost": -1}, "has cost=-1;", id="cost below nothing"),
        pytest.param("5/minute", {"cost": True}, "has cost=True;", id="cost true"),
        pytest.param("5/minute", {"cost": 1.5}, "has cost=1.5;", id="cost in parts"),
        pytest.param("9/day", {"cost": MAX_COST + 1}, f"has cost={MAX_COST + 1}; it takes", id="cost too high"),
        pytest.param("9/day; 5/minute", {"cost": 6}, "has cost=6, which it never has room for", id="cost over amount"),
        pytest.param("5/minute", {"cost": later}, "has an asynchronous function for cost", id="asynchronous cost"),
        pytest.param(
            "5/minute", {"on_error": "refuse"}, "has on_error='refuse'; it takes allow or deny", id="on_error"
        ),
        pytest.param("5/minute", {"on_error": True}, "has on_error=True; it takes allow or deny", id="on_error true"),
        pytest.param("5/minute", {"shared": ""}, "has shared=''; it takes 1 to 64 printable ASCII", id="shared empty"),
        pytest.param("5/minute", {"shared": "é"}, "has shared='é'; it takes", id="shared not ASCII"),
        pytest.param("5/minute", {"shared": "a\r\nb"}, "has shared='a\\r\\nb'; it takes", id="shared with a line end"),
        pytest.param("5/minute", {"shared": 5}, "has shared=5; it takes", id="shared number"),
        pytest.param("5/minute", {"label": 'a"b'}, "has label='a\"b'; it takes", id="label with a quote"),
        pytest.param("5/minute", {"label": "a\\b"}, "has label='a\\\\b'; it takes", id="label with a backslash"),
        pytest.param("5/minute", {"label": "a" * 65}, "; it takes 1 to 64", id="label too long"),
        pytest.param(
            "5/minute", {"exempt_when": "me"}, "has exempt_when='me', which cannot be called", id="no function"
        ),
        pytest.param(
            "5/minute", {"exempt_when": later}, "asynchronous function for exempt_when", id="asynchronous when"
        ),
    ],
)
def test_what_cannot_count_is_refused_where_it_is_written(text: Any, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_limit_rule(text, **options)

    (sentence,) = caught.value.faults
    assert fault in sentence
    assert sentence.startswith("limit(")
    assert sentence.endswith((".", "?"))


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        make_limit_rule("often", by="me", cost=0, shared="", label="", on_error="maybe")  # type: ignore[arg-type]

    assert len(caught.value.faults) == 6


@given(st.text(max_size=40))
def test_a_text_is_taken_exactly_when_it_has_windows(text: str) -> None:
    try:
        has_windows = bool(parse_windows(text, scope="s", label="l"))
    except ValueError:
        has_windows = False

    try:
        make_limit_rule(text)
        is_taken = True
    except ConfigError:
        is_taken = False

    assert is_taken == has_windows


def test_a_rule_made_by_hand_has_the_defaults_of_a_written_one() -> None:
    assert LimitRule("5/minute") == make_limit_rule("5/minute")
