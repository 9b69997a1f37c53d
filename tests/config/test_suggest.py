"""The nearest name is suggested, and nothing is when none is near."""

from __future__ import annotations

from typing import Any

import pytest

from flask_guard.config.suggest import did_you_mean

KNOWN = ("roles", "scopes", "GUARD_JWT_LEEWAY")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("rolls", " Did you mean roles?", id="a typo"),
        pytest.param("SCOPE", " Did you mean scopes?", id="another case"),
        pytest.param("guard_jwt_lewey", " Did you mean GUARD_JWT_LEEWAY?", id="lower case for upper case"),
        pytest.param("colour", "", id="nothing like it"),
        pytest.param("", "", id="empty"),
        pytest.param(5, "", id="no text"),
    ],
)
def test_the_nearest_name_is_suggested(name: Any, said: str) -> None:
    assert did_you_mean(name, KNOWN) == said


def test_nothing_is_suggested_where_nothing_is_known() -> None:
    assert did_you_mean("roles", ()) == ""
