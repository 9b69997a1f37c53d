"""What `is_harmless` lets through as it is, scrubbing would not have changed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_guard.logs.scrub import MAX_TEXT, is_harmless, scrub_members, scrub_text

_PLAIN = frozenset({"route", "status", "duration_ms"})
_PIECES = st.sampled_from(
    ["pass", "word=", "secret", "tok", "en=", "://", "a:b@", "eyJ", "abcdefgh", "fgk_", "?otp=1", "&pin=2", " ", "x",
     "Bearer ", "KEY", "-----BEGIN ", "Cookie: "]
)  # fmt: skip
_TEXTS = st.text(max_size=30) | st.lists(_PIECES, max_size=6).map("".join)
_VALUES = _TEXTS | st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.none() | st.lists(_TEXTS, max_size=2)


@settings(max_examples=1000)
@given(_TEXTS, st.dictionaries(st.sampled_from([*_PLAIN, "password"]), _VALUES))
def test_what_is_harmless_is_not_changed_by_scrubbing(text: str, members: dict[str, Any]) -> None:
    if is_harmless(text, members, plain=_PLAIN):
        assert scrub_text(text) == text
        assert scrub_members(members, plain=_PLAIN) == members


def test_an_access_line_is_harmless() -> None:
    assert is_harmless("GET / 200", {"route": "/", "status": 200, "duration_ms": 0.25}, plain=_PLAIN)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("token=abc", {}),
        ("", {"route": "/?token=abc"}),
        ("", {"other": "/"}),
        ("", {"route": ["token=abc"]}),
        ("", {"route": None}),
        ("", {"status": 2**64}),
        ("", {"status": True}),
        ("", {"duration_ms": math.inf}),
        ("", {1: "/"}),
        ("x" * (MAX_TEXT + 1), {}),
    ],
    ids=[
        "hint-in-text", "hint-in-member", "unknown-name", "container", "none", "huge-number", "boolean", "infinity",
        "name-that-is-no-text", "long-text",
    ],
)  # fmt: skip
def test_the_rest_is_left_to_scrubbing(text: str, members: dict[Any, Any]) -> None:
    assert not is_harmless(text, members, plain=_PLAIN)
