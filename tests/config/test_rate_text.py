"""The text of a limit means here what it means to Flask-Limiter."""

from __future__ import annotations

import limits
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.config.kinds import rate
from flask_guard.config.rate_text import parse_rate

UNITS = ("second", "minute", "hour", "day", "month", "year")

one_limit = st.builds(
    "{}{}{}{}{}{}".format,
    st.integers(1, 10**12 - 1),
    st.sampled_from(["/", " per ", " / ", "  per  "]),
    st.sampled_from(["", "2", "5 ", "60 "]),
    st.sampled_from(UNITS),
    st.sampled_from(["", "s"]),
    st.sampled_from(["", " "]),
)


@given(st.lists(one_limit, min_size=1, max_size=4), st.sampled_from([";", ",", "|", " ; "]))
def test_what_is_read_here_is_what_the_library_reads(parts: list[str], between: str) -> None:
    text = between.join(parts)

    assert parse_rate(text) == [(item.amount, item.get_expiry()) for item in limits.parse_many(text)]


@given(st.text("0123456789 /;,|persecondmiuthayPER\n", max_size=40))
def test_what_is_read_here_the_library_reads_too(text: str) -> None:
    try:
        found = parse_rate(text)
    except ValueError:
        return

    assert found == [(item.amount, item.get_expiry()) for item in limits.parse_many(text)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "5/", "/minute", "5/fortnight", "5 minutes", "-5/minute", "5.5/minute", "5/minute;", ";5/minute"),
        *("\u0665/minute", "5/\u0665 minutes", "5/minute/hour", "off", "1e3/minute", "9999999999999/minute"),
    ],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a rate such as 100/minute"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["0/minute", "5/0 minutes", "5/minute; 0/hour", "000/day"])
def test_what_lets_nothing_through_is_refused_with_the_word_for_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="write off for no limit"):
        parse_rate(text)


def test_off_is_a_setting_and_no_limit() -> None:
    assert rate("OFF") == "off"
    assert rate(" 5/minute ") == "5/minute"
    with pytest.raises(ValueError, match="must be a rate"):
        rate("of")
