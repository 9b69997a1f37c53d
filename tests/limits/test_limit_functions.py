"""No function of an application can switch a limit off by accident, and every spelling of a field is one key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.limits import rule as rule_module
from flask_guard.limits.rates import MAX_COST
from flask_guard.limits.rule import (
    COMPLAIN_EVERY_S,
    MAX_KEY_CHARACTERS,
    STRICT_TEXT,
    normalise_field,
    safe_cost,
    safe_exempt,
    safe_key,
    safe_text,
)


@pytest.fixture(autouse=True)
def nothing_complained_of() -> Iterator[None]:
    rule_module._complained_at.clear()
    yield
    rule_module._complained_at.clear()


class Failing:
    """A function that answers with the values one by one and raises those that are exceptions."""

    def __init__(self, *values: object) -> None:
        self.values = list(values)

    def __call__(self) -> Any:
        value = self.values.pop(0)
        if isinstance(value, Exception):
            raise value
        return value


@pytest.mark.parametrize(
    ("value", "key"),
    [
        pytest.param("ada", "ada", id="text"),
        pytest.param("Ada Łovelace", "Ada Łovelace", id="blanks and letters"),
        pytest.param("k" * MAX_KEY_CHARACTERS, "k" * MAX_KEY_CHARACTERS, id="as long as may be"),
        pytest.param(42, "42", id="number"),
        pytest.param(0, "0", id="zero"),
    ],
)
def test_a_key_is_taken_as_it_is(value: object, key: str, caplog: pytest.LogCaptureFixture) -> None:
    assert safe_key(lambda: value)() == key
    assert caplog.records == []


NO_KEYS = {
    "none": None,
    "empty": "",
    "blank": "  ",
    "too long": "k" * (MAX_KEY_CHARACTERS + 1),
    "true": True,
    "a float": 1.5,
    "bytes": b"ada",
    "a list": ["ada"],
    "line end": "ada\n",
    "NUL": "a\x00da",
    "half a surrogate pair": "\ud800",
    "a number of too many digits": 10**5000,
    "an error": RuntimeError("secret-of-ada"),
    "a missing key": KeyError("secret-of-ada"),
}


@pytest.mark.parametrize("value", NO_KEYS.values(), ids=NO_KEYS)
def test_no_key_counts_by_network_and_is_logged(value: object, caplog: pytest.LogCaptureFixture) -> None:
    assert safe_key(Failing(value))() is None

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("flask_guard.limits", logging.ERROR)
    assert "Failing of a rate limit" in record.getMessage()
    assert "the client's network counts" in record.getMessage()
    assert "ada" not in record.getMessage()


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.binary(), st.floats()))
def test_a_key_is_always_one_that_can_be_stored(value: object) -> None:
    key = safe_key(lambda: value)()

    if key is not None:
        assert 0 < len(key) <= MAX_KEY_CHARACTERS
        assert key.strip()
        key.encode()


def test_a_failing_function_is_told_of_once_in_ten_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(rule_module.time, "monotonic", lambda: now)
    first, again = safe_key(who_is_nobody), safe_key(who_is_nobody)

    for _ in range(100):
        first()
        again()
    assert len(caplog.records) == 1

    now = COMPLAIN_EVERY_S - 0.1
    first()
    assert len(caplog.records) == 1

    now = COMPLAIN_EVERY_S
    first()
    safe_cost(lambda: 0)()
    assert len(caplog.records) == 3


def who_is_nobody() -> str:
    return ""


def test_what_a_function_raised_is_in_the_log_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    safe_key(Failing(LookupError("no such user")))()

    assert "no such user" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("values", "costs"),
    [
        pytest.param([3, 1, MAX_COST], [3, 1, MAX_COST], id="as it says"),
        pytest.param([RuntimeError(), 0, -1, None, "2", 1.0, True], [1] * 7, id="one before any is known"),
        pytest.param([7, 2, RuntimeError(), None, 0, 2], [7, 2, 7, 7, 7, 2], id="the highest so far"),
        pytest.param([MAX_COST + 1, 10**400, 1], [MAX_COST, MAX_COST, 1], id="no more than may be"),
        pytest.param([MAX_COST + 1, None], [MAX_COST, 1], id="what was no cost is not remembered"),
    ],
)
def test_a_cost_never_falls_by_a_fault(values: list[object], costs: list[int]) -> None:
    cost = safe_cost(Failing(*values))

    assert [cost() for _ in values] == costs


@pytest.mark.parametrize(
    ("value", "is_exempt", "lines"),
    [
        pytest.param(True, True, 0, id="true"),
        pytest.param(False, False, 0, id="false"),
        pytest.param(None, False, 0, id="nothing"),
        pytest.param("no", False, 1, id="a text"),
        pytest.param(1, False, 1, id="one"),
        pytest.param(object(), False, 1, id="an object"),
        pytest.param(RuntimeError("boom"), False, 1, id="an error"),
    ],
)
def test_only_true_exempts(value: object, is_exempt: bool, lines: int, caplog: pytest.LogCaptureFixture) -> None:
    assert safe_exempt(Failing(value))() is is_exempt
    assert len(caplog.records) == lines


NO_LIMITS = {
    "empty": "",
    "off": "off",
    "none": None,
    "garbage": "a lot",
    "nothing allowed": "0/minute",
    "a number": 5,
    "bytes": b"5/minute",
    "too long": "5/minute" + " " * 1000,
    "an error": RuntimeError("boom"),
}


@pytest.mark.parametrize("value", NO_LIMITS.values(), ids=NO_LIMITS)
def test_no_limit_means_the_strict_one_while_none_is_known(value: object, caplog: pytest.LogCaptureFixture) -> None:
    assert safe_text(Failing(value))() == STRICT_TEXT
    assert len(caplog.records) == 1


@pytest.mark.parametrize("value", NO_LIMITS.values(), ids=NO_LIMITS)
def test_no_limit_means_the_strictest_that_is_known(value: object) -> None:
    text = safe_text(Failing("100/minute", "10/minute; 1000/day", "5000/minute", value, "5000/minute"))

    said = [text() for _ in range(5)]

    assert said == ["100/minute", "10/minute; 1000/day", "5000/minute", "10/minute; 1000/day", "5000/minute"]


def test_known_texts_are_bounded_and_the_strictest_is_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_module, "_KNOWN_TEXTS", 2)
    values = [f"{amount}/minute" for amount in (9, 8, 7, 6, 5)]
    text = safe_text(Failing(*values, ""))

    assert [text() for _ in values] == values
    assert text() == "5/minute"


def test_a_known_text_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    original: Callable[..., Any] = rule_module.parse_windows
    monkeypatch.setattr(
        rule_module, "parse_windows", lambda text, **options: [parsed.append(text), original(text, **options)][1]
    )
    text = safe_text(lambda: "5/minute")

    assert [text() for _ in range(10)] == ["5/minute"] * 10
    assert parsed == ["5/minute"]


# Members of a body --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "key"),
    [
        pytest.param("ada@example.com", "ada@example.com", id="as it is"),
        pytest.param("  ADA@Example.COM\t", "ada@example.com", id="case and blanks"),
        pytest.param("\uff41\uff44\uff41@example.com", "ada@example.com", id="full width"),
        pytest.param("ada@example.com\u00a0", "ada@example.com", id="a blank that does not break"),
        pytest.param("a\u200bda\u00ad@example.com", "ada@example.com", id="invisible characters"),
        pytest.param("Stra\u00dfe", "strasse", id="sharp s"),
        pytest.param("Rose\u0301", "ros\u00e9", id="composed"),
        pytest.param("\ud800ada", "ada", id="half a surrogate pair"),
        pytest.param(42, "42", id="number"),
        pytest.param("k" * MAX_KEY_CHARACTERS + " " * 5000, "k" * MAX_KEY_CHARACTERS, id="padded"),
        pytest.param("k" * (MAX_KEY_CHARACTERS + 1), None, id="too long"),
        pytest.param("\ufdfa" * 200, None, id="too long when it is spelt out"),
        pytest.param("k" * 1_000_000, None, id="far too long"),
        pytest.param(10**MAX_KEY_CHARACTERS, None, id="too many digits"),
        pytest.param(-(10**5000), None, id="more digits than Python prints"),
        pytest.param("", None, id="empty"),
        pytest.param(" \u200b ", None, id="nothing to see"),
        pytest.param(None, None, id="none"),
        pytest.param(True, None, id="true"),
        pytest.param(1.5, None, id="float"),
        pytest.param(["ada"], None, id="list"),
        pytest.param({"ada": 1}, None, id="object"),
    ],
)
def test_every_spelling_of_a_field_is_one_key(value: object, key: str | None) -> None:
    assert normalise_field(value) == key


@given(st.text())
def test_a_field_that_is_a_key_stays_as_it_is(value: str) -> None:
    key = normalise_field(value)

    if key is not None:
        assert normalise_field(key) == key
        assert normalise_field(f" {value}\u200b") == key
        assert 0 < len(key) <= MAX_KEY_CHARACTERS
        key.encode()
