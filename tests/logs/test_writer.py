"""The short way of an access line is taken where nobody could tell, and no other."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from flask_guard.logs import lines
from flask_guard.logs.access import AccessEvent
from flask_guard.logs.format import JsonFormatter, TextFormatter
from flask_guard.logs.stderr import StderrHandler
from flask_guard.logs.writer import AccessLog

EVENT = AccessEvent("GET", "/notes", 200, 1.5, "r1")
Loggers = tuple[logging.RootLogger, logging.Logger, logging.Logger]


class Catcher(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def loggers() -> Iterator[Loggers]:
    """A root, our logger with our handler, and that of the access lines, which no other test knows."""
    root = logging.RootLogger(logging.WARNING)
    manager = logging.Manager(root)
    guard, access = manager.getLogger("flask_guard"), manager.getLogger("flask_guard.access")
    guard.setLevel(logging.INFO)
    handler = StderrHandler()
    handler.setFormatter(JsonFormatter("notes", "production"))
    guard.addHandler(handler)
    yield root, guard, access
    handler.close()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[AccessEvent]:
    """The events of which a line was made the short way."""
    made: list[AccessEvent] = []
    make = lines.AccessLines.make

    def note(self: lines.AccessLines, event: AccessEvent, created: float) -> str:
        made.append(event)
        return make(self, event, created)

    monkeypatch.setattr(lines.AccessLines, "make", note)
    return made


def write(access: logging.Logger, event: AccessEvent = EVENT, log: AccessLog | None = None) -> None:
    log = log or AccessLog(access)
    level = logging.INFO if event.status < 400 else logging.WARNING
    if log.takes(level):
        log.write(event, level)


@pytest.mark.parametrize("status", [200, 403])
def test_our_handler_alone_gets_a_line_that_no_record_was_made_for(
    loggers: Loggers, capsys: pytest.CaptureFixture[str], made: list[AccessEvent], status: int
) -> None:
    event = EVENT._replace(status=status)

    write(loggers[2], event)

    assert made == [event]
    assert json.loads(capsys.readouterr().err)["message"] == f"GET /notes {status}"


def _add_handler(place: int) -> Callable[[Loggers, Catcher], None]:
    return lambda loggers, catcher: loggers[place].addHandler(catcher)


def _filter_logger(loggers: Loggers, catcher: Catcher) -> None:
    loggers[2].addFilter(lambda record: catcher.handle(record) or True)


def _filter_handler(loggers: Loggers, catcher: Catcher) -> None:
    loggers[1].handlers[0].addFilter(lambda record: catcher.handle(record) or True)


def _replace_handler(loggers: Loggers, catcher: Catcher) -> None:
    loggers[1].handlers[:] = [catcher]


def _stop_propagation(loggers: Loggers, catcher: Catcher) -> None:
    loggers[2].addHandler(catcher)
    loggers[2].propagate = False


def _put_between(loggers: Loggers, catcher: Catcher) -> None:
    between = logging.Logger("flask_guard.between")
    between.parent = loggers[1]
    between.addHandler(catcher)
    loggers[2].parent = between


@pytest.mark.parametrize(
    "change",
    [
        _add_handler(0),
        _add_handler(1),
        _add_handler(2),
        _filter_logger,
        _filter_handler,
        _replace_handler,
        _stop_propagation,
        _put_between,
    ],
    ids=[
        "root-handler", "second-handler", "own-handler", "logger-filter", "handler-filter", "other-handler",
        "no-propagation", "further-logger",
    ],
)  # fmt: skip
def test_whoever_looks_at_our_records_later_gets_them(
    loggers: Loggers,
    capsys: pytest.CaptureFixture[str],
    made: list[AccessEvent],
    change: Callable[[Loggers, Catcher], None],
) -> None:
    log, catcher = AccessLog(loggers[2]), Catcher()
    write(loggers[2], log=log)

    change(loggers, catcher)
    write(loggers[2], log=log)

    assert made == [EVENT]
    assert [record.getMessage() for record in catcher.records] == ["GET /notes 200"]


def test_another_form_is_honoured(
    loggers: Loggers, capsys: pytest.CaptureFixture[str], made: list[AccessEvent]
) -> None:
    loggers[1].handlers[0].setFormatter(TextFormatter())

    write(loggers[2])

    assert made == []
    assert "INFO flask_guard.access: GET /notes 200" in capsys.readouterr().err


def test_a_service_that_is_renamed_is_on_the_next_line(loggers: Loggers, capsys: pytest.CaptureFixture[str]) -> None:
    log = AccessLog(loggers[2])
    write(loggers[2], log=log)
    loggers[1].handlers[0].setFormatter(JsonFormatter("renamed", "staging"))
    write(loggers[2], log=log)

    assert [json.loads(line)["service"] for line in capsys.readouterr().err.splitlines()] == ["notes", "renamed"]


def _raise_level(loggers: Loggers) -> None:
    loggers[2].setLevel(logging.ERROR)


def _raise_parents_level(loggers: Loggers) -> None:
    loggers[1].setLevel(logging.ERROR)


def _raise_handlers_level(loggers: Loggers) -> None:
    loggers[1].handlers[0].setLevel(logging.ERROR)


def _disable(loggers: Loggers) -> None:
    loggers[2].disabled = True


def _disable_all(loggers: Loggers) -> None:
    loggers[2].manager.disable = logging.CRITICAL
    loggers[2].manager._clear_cache()  # type: ignore[attr-defined]  # as logging.disable does


@pytest.mark.parametrize(
    "silence",
    [_raise_level, _raise_parents_level, _raise_handlers_level, _disable, _disable_all],
    ids=["level", "parents-level", "handlers-level", "disabled", "all-disabled"],
)
def test_who_silences_us_later_hears_no_more(
    loggers: Loggers, capsys: pytest.CaptureFixture[str], silence: Callable[[Loggers], None]
) -> None:
    log = AccessLog(loggers[2])
    write(loggers[2], log=log)

    silence(loggers)
    write(loggers[2], log=log)

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_factory_of_records_is_asked(
    loggers: Loggers, capsys: pytest.CaptureFixture[str], made: list[AccessEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def factory(*args: object, **kwargs: object) -> logging.LogRecord:
        asked.append("yes")
        return logging.LogRecord(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(logging, "_logRecordFactory", factory)
    write(loggers[2])

    assert (made, asked) == ([], ["yes"])


@pytest.mark.parametrize("method", ["handle", "callHandlers", "makeRecord"])
def test_a_tool_that_patches_loggers_sees_our_records(
    loggers: Loggers,
    capsys: pytest.CaptureFixture[str],
    made: list[AccessEvent],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    """Collectors of errors and traces do."""
    seen: list[str] = []
    original = getattr(logging.Logger, method)

    def patched(*args: object, **kwargs: object) -> object:
        seen.append(method)
        return original(*args, **kwargs)

    monkeypatch.setattr(logging.Logger, method, patched)
    write(loggers[2])

    assert (made, seen) == ([], [method])
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_stream_that_fails_in_its_own_way_fails_no_request(loggers: Loggers, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.StringIO):
        def write(self, _text: str) -> int:
            raise RuntimeError("reentrant call")

    monkeypatch.setattr(sys, "stderr", Failing())

    write(loggers[2])
