"""How a record looks as JSON and as text, and what cannot be forged in it."""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import secrets
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.logs.format import JsonFormatter, TextFormatter, neutralise

SECRET = secrets.token_urlsafe(32)
FORGERIES = {
    "line feed": "a\nb",
    "carriage return": "a\rb",
    "crlf": '\r\n{"level":"info"}',
    "ansi": "\x1b[31mred\x1b[0m",
    "one-byte escape": "\x9b31m",
    "bell": "\x07",
    "null": "\x00",
    "delete": "\x7f",
    "next line": "a\x85b",
    "vertical tab": "a\x0bb",
    "form feed": "a\x0cb",
    "file separator": "a\x1cb",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "right to left": "a\u202eb",
    "isolate": "a\u2066b",
    "zero width": "a\u200bb",
    "half of a pair": "a\ud800b",
}


def make_record(
    message: object = "hello", *args: Any, level: int = logging.INFO, exc_info: Any = None, **extra: Any
) -> logging.LogRecord:
    record = logging.LogRecord("flask_guard.test", level, __file__, 1, message, args, exc_info)
    record.created = 1_700_000_000.5
    vars(record).update(extra)
    return record


def raised(error: BaseException) -> Any:
    try:
        raise error
    except type(error):
        return sys.exc_info()


def read_json(record: logging.LogRecord, *, service: str | None = "notes") -> dict[str, Any]:
    line = JsonFormatter(service, "production").format(record)
    assert line.isascii()
    assert all(" " <= character <= "~" for character in line)
    members = json.loads(line, parse_constant=pytest.fail)
    assert isinstance(members, dict)
    return members


def test_a_record_is_one_json_object() -> None:
    facts = {"event": "request", "request_id": "r1", "status": 200, "duration_ms": 1.5, "trace_id": None}

    assert read_json(make_record("hello %s", "you", guard=facts)) == {
        "time": "2023-11-14T22:13:20.500Z",
        "level": "info",
        "service": "notes",
        "env": "production",
        "logger": "flask_guard.test",
        "message": "hello you",
        "event": "request",
        "request_id": "r1",
        "status": 200,
        "duration_ms": 1.5,
    }


def test_a_service_without_a_name_is_not_named() -> None:
    assert "service" not in read_json(make_record(), service=None)


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_nothing_in_a_record_leaves_its_json_line(forgery: str) -> None:
    record = make_record("%s", forgery, guard={forgery: forgery}, exc_info=raised(ValueError(forgery)))
    record.name = forgery

    members = read_json(record, service=forgery)

    assert members["message"] == members["service"] == members["logger"] == members[forgery] == forgery
    assert members["exception"].endswith(f"ValueError: {forgery}".rstrip("\n"))


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_nothing_in_a_record_begins_a_line_of_text_or_reaches_the_terminal(forgery: str) -> None:
    record = make_record("%s", forgery, guard={forgery: forgery, "f": f"with space {forgery}"})
    record.exc_info = raised(ValueError(forgery))
    record.name = forgery

    first, *others = TextFormatter(forgery).format(record).split("\n")

    assert first.startswith("2023-11-14T22:13:20.500Z INFO ")
    assert all(other.startswith("  | ") for other in others)
    assert neutralise("".join([first, *others])) == "".join([first, *others])


def test_the_text_form_shows_facts_and_the_stack_behind_bars() -> None:
    record = make_record("hello", guard={"status": 200, "route": "/a b", "actor": "u1"})
    record.exc_info = raised(ValueError("first\nsecond"))

    first, *others = TextFormatter("notes").format(record).split("\n")

    assert first == ('2023-11-14T22:13:20.500Z INFO notes flask_guard.test: hello status=200 route="/a b" actor=u1')
    assert others[0] == "  | Traceback (most recent call last):"
    assert others[-2:] == ["  | ValueError: first", "  | second"]


@given(text=st.text())
def test_neutral_text_has_one_line_and_no_control_character(text: str) -> None:
    neutral = neutralise(text)

    assert len(neutral.splitlines()) <= 1
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in neutral)


def test_facts_cannot_take_the_place_of_what_the_record_says() -> None:
    names = ("time", "level", "service", "env", "logger", "message", "exception")

    members = read_json(make_record(guard={name: "forged" for name in names}))

    assert members["message"] == "hello"
    assert [members[f"guard_{name}"] for name in names] == ["forged"] * 7


@pytest.mark.parametrize("facts", ["text", 5, ["a"], object()], ids=["text", "number", "list", "object"])
def test_facts_of_an_unknown_form_are_shown_all_the_same(facts: object) -> None:
    assert "facts" in read_json(make_record(guard=facts))


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("%s %s", ("one",)),
        ("%d", ("text",)),
        ("%(name)s", ({"other": 1},)),
        ("%z", (1,)),
        ("no placeholder", (1, 2)),
    ],
)
def test_arguments_that_do_not_fit_are_shown_beside_the_message(message: str, args: tuple[Any, ...]) -> None:
    shown = read_json(make_record(message, *args))["message"]

    assert shown.startswith(repr(message))
    assert "arguments that do not fit" in shown


class Broken:
    """Fails however it is looked at."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


class BrokenMapping(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    "formatter", [JsonFormatter("notes", "production"), TextFormatter("notes")], ids=["json", "text"]
)
@pytest.mark.parametrize(
    "record",
    [
        make_record(Broken()),
        make_record("%s", Broken()),
        make_record(Broken(), Broken()),
        make_record(guard=Broken()),
        make_record(guard={"a": Broken(), Broken(): 1}),
        make_record(guard=BrokenMapping(a=1)),
        make_record(exc_info=raised(ValueError(Broken()))),
        make_record(exc_info=(ValueError, ValueError("x"), None)),
        make_record(exc_info=(None, None, None)),
        make_record(exc_info="nonsense"),
        make_record(levelname=5),
        make_record(name=None),
    ],
    ids=range(12),
)
def test_formatting_never_fails_and_tells_nothing_of_the_failure(
    formatter: logging.Formatter, record: logging.LogRecord
) -> None:
    assert SECRET not in formatter.format(record)


def test_no_exception_is_no_member() -> None:
    assert "exception" not in read_json(make_record(exc_info=(None, None, None)))


def test_an_exception_is_shown_with_its_stack_and_its_cause() -> None:
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")

    shown = read_json(make_record(exc_info=raised(error)))["exception"]

    assert shown.startswith("KeyError: 'inner'")
    assert "in raised\n    raise error\n" in shown
    assert shown.endswith("ValueError: outer")


def test_credentials_are_masked_in_message_facts_and_exception_but_codes_of_refusals_stay() -> None:
    error = ValueError(f"bad Authorization: Bearer {SECRET}")
    error.__cause__ = KeyError(f"token={SECRET}")
    record = make_record(
        "cannot use password=%s",
        SECRET,
        exc_info=raised(error),
        guard={
            "code": "invalid_token",
            "token": SECRET,
            "details": {"code": SECRET, "url": f"/x?code={SECRET}"},
        },
    )

    members = read_json(record)
    text = TextFormatter().format(record)

    assert SECRET not in json.dumps(members) + text
    assert members["code"] == "invalid_token"
    assert members["details"] == {"code": "***", "url": "/x?code=***"}
    assert "code=invalid_token" in text


def test_local_variables_are_not_shown() -> None:
    def fail() -> None:
        hidden = "".join(["not", "-in-", "the", "-source"])
        raise ValueError(len(hidden))

    try:
        fail()
    except ValueError:
        record = make_record(exc_info=sys.exc_info())

    assert "not-in-the-source" not in read_json(record)["exception"]


def test_formatting_leaves_the_record_to_other_handlers_as_it_was() -> None:
    record = make_record("%s", SECRET, exc_info=raised(ValueError("x")))
    before = dict(vars(record))

    read_json(record)
    TextFormatter().format(record)

    assert vars(record) == before


def test_a_record_that_came_through_a_queue_keeps_its_exception() -> None:
    """QueueHandler turns the exception into text and drops it."""
    channel: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logging.handlers.QueueHandler(channel).handle(make_record(exc_info=raised(ValueError("lost"))))

    shown = read_json(channel.get())

    assert "ValueError: lost" in json.dumps(shown)


def test_an_exception_that_is_text_already_is_scrubbed_and_shown() -> None:
    shown = read_json(make_record(exc_text=f"ValueError: password={SECRET}"))

    assert shown["exception"] == "ValueError: password=***"


def test_a_stack_that_was_asked_for_is_shown() -> None:
    assert read_json(make_record(stack_info="Stack (most recent call last):\n  here"))["exception"].endswith("here")


def test_a_stack_without_end_keeps_its_beginning_and_its_end() -> None:
    def descend(level: int) -> None:
        if level == 0:
            raise ValueError("bottom")
        return ascend(level - 1)

    def ascend(level: int) -> None:
        return descend(level)

    try:
        descend(300)
    except ValueError:
        record = make_record(exc_info=sys.exc_info())

    shown = read_json(record)["exception"]

    assert shown.startswith("Traceback")
    assert shown.endswith("ValueError: bottom")
    assert "pieces more" in shown
    assert len(shown) < 40_000


def test_a_message_of_megabytes_is_cut() -> None:
    assert len(JsonFormatter("notes", "production").format(make_record("%s", "\u2028" * 10**7))) < 200_000
