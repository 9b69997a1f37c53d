"""When a token is good, to the second."""

from __future__ import annotations

import math
from typing import Any

import pytest

from flask_guard.errors import (
    InvalidToken,
    TokenExpired,
    TokenFutureIssued,
    TokenMissingExpiry,
    TokenNotYetValid,
    TokenTooLongLived,
)
from tests.auth.forge import NOW, admit, claims


@pytest.mark.parametrize(
    ("members", "settings", "now", "error"),
    [
        ({"exp": NOW + 1}, {}, NOW, None),
        ({"exp": NOW}, {}, NOW, TokenExpired),
        ({"exp": NOW}, {}, NOW - 0.001, None),
        ({"exp": NOW + 0.5}, {}, NOW + 0.4, None),
        ({"exp": NOW + 0.5}, {}, NOW + 0.5, TokenExpired),
        ({"exp": NOW - 29}, {"leeway_s": 30.0}, NOW, None),
        ({"exp": NOW - 30}, {"leeway_s": 30.0}, NOW, TokenExpired),
        ({"exp": 0}, {}, NOW, TokenExpired),
        ({"exp": None}, {}, NOW, TokenMissingExpiry),
        ({"exp": None}, {"require_expiry": False}, NOW, None),
        ({"exp": None}, {"require_expiry": False, "max_lifetime_s": 900.0}, NOW, TokenMissingExpiry),
        ({"nbf": NOW + 10}, {}, NOW, None),
        ({"nbf": NOW + 11}, {}, NOW, TokenNotYetValid),
        ({"nbf": NOW + 60}, {"leeway_s": 60.0}, NOW, None),
        ({"nbf": NOW + 10}, {"leeway_s": 1.0}, NOW, None),
        ({"iat": NOW + 10}, {}, NOW, None),
        ({"iat": NOW + 11}, {}, NOW, TokenFutureIssued),
        ({"iat": NOW + 61}, {"leeway_s": 60.0}, NOW, TokenFutureIssued),
        ({"iat": NOW, "exp": NOW + 900}, {"max_lifetime_s": 900.0}, NOW, None),
        ({"iat": NOW, "exp": NOW + 901}, {"max_lifetime_s": 900.0}, NOW, TokenTooLongLived),
        ({"iat": NOW - 600, "exp": NOW + 301}, {"max_lifetime_s": 900.0}, NOW, TokenTooLongLived),
        ({"iat": None}, {"max_lifetime_s": 900.0}, NOW, InvalidToken),
        ({"iat": None}, {}, NOW, None),
        ({"iat": NOW, "exp": NOW + 10**9}, {}, NOW, None),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value),
)
def test_dates(members: dict[str, Any], settings: dict[str, Any], now: float, error: type[Exception] | None) -> None:
    if error is None:
        assert admit(claims(**members), now=now, **settings)[0].id == "user-1"
        return
    with pytest.raises(error) as caught:
        admit(claims(**members), now=now, **settings)
    assert type(caught.value) is error


@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "auth_time"])
@pytest.mark.parametrize(
    "value",
    [True, False, None, "", str(NOW), [], [NOW], {}, -1, -0.5, 253_402_300_800, NOW * 1000, 10**30, math.inf, math.nan],
    ids=ascii,
)
def test_a_date_of_the_wrong_form_is_a_bad_token(name: str, value: Any) -> None:
    """It is not the same as no date: an `exp` of null has no token_missing_expiry, and no leave to stay."""
    for settings in ({}, {"require_expiry": False}):
        with pytest.raises(InvalidToken):
            admit({**claims(), name: value}, **settings)


@pytest.mark.parametrize(
    ("members", "settings", "deadline"),
    [
        ({"exp": NOW + 5}, {}, NOW + 5),
        ({"exp": NOW + 5}, {"leeway_s": 30.0}, NOW + 35),
        ({"exp": NOW + 5.25}, {}, NOW + 5.25),
        ({"exp": None}, {"require_expiry": False}, math.inf),
    ],
)
def test_the_deadline_is_the_moment_of_refusal(members: Any, settings: Any, deadline: float) -> None:
    assert admit(claims(**members), **settings)[1] == deadline


def test_a_huge_leeway_gives_no_life_to_a_token_without_expiry() -> None:
    with pytest.raises(TokenMissingExpiry):
        admit(claims(exp=None), leeway_s=10.0**12)
