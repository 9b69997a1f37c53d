"""An access line that is made without a record has the bytes of one that was."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_guard.logs.access import AccessEvent, make_record
from flask_guard.logs.format import JsonFormatter
from flask_guard.logs.lines import AccessLines

LOGGER = logging.Logger("flask_guard.access")
FORMATTER = JsonFormatter("notes", "production")
LINES = AccessLines(FORMATTER, LOGGER)

_PIECES = st.sampled_from(
    ["token=", "secret", "/notes/<int:id>", "eyJ", "abcdefgh", "fgk_" + "x" * 20, "?code=1", "\n", '"', "\\",
     "\x1b[31m", "\u2028", "\ud800", "Bearer abcdef", "https://a:b@c", "é"]
)  # fmt: skip
_TEXTS = st.text(max_size=20) | st.lists(_PIECES, max_size=4).map("".join)
_FEW = st.sampled_from(["GET", "/", "u1", "acme"])
_MAYBE = st.none() | _FEW | _TEXTS
_EVENTS = st.builds(
    AccessEvent,
    method=_FEW | _TEXTS,
    route=_MAYBE,
    status=st.integers(100, 599),
    duration_ms=st.floats(0, 1e12) | st.floats(0, 10),
    request_id=st.uuids().map(str) | _TEXTS,
    trace_id=_MAYBE,
    actor=_MAYBE,
    tenant=_MAYBE,
    client=_MAYBE,
    resource_id=_MAYBE,
    matched_rule_id=_MAYBE,
    code=_MAYBE,
)
_TIMES = st.floats(0, 4e9) | st.sampled_from([0.0, 1.9999996, 1e9 + 0.9999999, 1e9 + 0.001])
EVENT = AccessEvent("GET", "/notes/<int:id>", 200, 1.5, "6f0a1c55-6f05-4a53-9a3c-0c6a4b8f5e11", actor="u1")


def format_record(event: AccessEvent, created: float, formatter: logging.Formatter = FORMATTER) -> str:
    record = make_record(LOGGER, event)
    record.created = created
    return formatter.format(record)


@settings(max_examples=1000)
@given(_EVENTS, _TIMES)
@example(EVENT._replace(method="x" * 20_000, route="token=" + "x" * 20_000, actor="\n" * 20_000), 1.0)
@example(EVENT._replace(duration_ms=2.0), 1.0)
@example(EVENT._replace(duration_ms=0.0004), 1.0)
def test_the_line_is_that_of_the_formatter(event: AccessEvent, created: float) -> None:
    assert LINES.make(event, created) == format_record(event, created)


@pytest.mark.parametrize(
    "changes",
    [
        {"actor": 7},
        {"actor": ["token=abc"]},
        {"duration_ms": "1"},
        {"status": "200"},
        {"route": object()},
        {"request_id": b"r1"},
        {"method": None},
        {"trace_id": 1.5},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_no_text_is_shown_as_the_formatter_shows_it(changes: dict[str, object]) -> None:
    """An application may give its principals ids of other types than it should."""
    event = EVENT._replace(**changes)  # type: ignore[arg-type]

    try:
        expected = format_record(event, 1.0)
    except TypeError:  # a record cannot be made of it either
        with pytest.raises(TypeError):
            LINES.make(event, 1.0)
    else:
        assert LINES.make(event, 1.0) == expected


def test_what_is_remembered_of_one_request_is_not_on_the_line_of_another() -> None:
    for number in range(3000):  # more than are remembered
        event = EVENT._replace(route=f"/{number % 7}", actor=f"u{number}")
        members = json.loads(LINES.make(event, 1.0))
        assert (members["route"], members["actor"]) == (f"/{number % 7}", f"u{number}")


def test_a_service_without_a_name_has_no_such_member() -> None:
    formatter = JsonFormatter(None, "staging")

    assert AccessLines(formatter, LOGGER).make(EVENT, 1.0) == format_record(EVENT, 1.0, formatter)
