"""When we handle our records ourselves, at which level, and that no stream fails a request."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from flask_guard.config.sections import LogSettings
from flask_guard.logs.format import LOGGER_NAME, TextFormatter, configure_logging
from flask_guard.logs.stderr import StderrHandler


@pytest.fixture
def guard_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The logger as a fresh process has it: no handler, no level, and above it a root of its own.

    pytest hangs handlers into the real root.
    """
    logger = logging.getLogger(LOGGER_NAME)
    level = logger.level
    monkeypatch.setattr(logger, "parent", logging.RootLogger(logging.WARNING))
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(level)


def root_above(logger: logging.Logger) -> logging.Logger:
    assert isinstance(logger.parent, logging.RootLogger)
    return logger.parent


def log_settings(form: Any = "json", level: str | None = None) -> LogSettings:
    return LogSettings(format=form, level=level, metrics=False)


@pytest.mark.parametrize(
    ("env", "level", "effective"),
    [
        ("development", None, logging.DEBUG),
        ("staging", None, logging.INFO),
        ("production", None, logging.WARNING),
        ("production", "debug", logging.DEBUG),
        ("development", "error", logging.ERROR),
    ],
)
def test_the_level_is_the_settings_or_the_environments(
    guard_logger: logging.Logger, env: Any, level: str | None, effective: int
) -> None:
    configure_logging(log_settings(level=level), None, env)

    assert guard_logger.level == effective
    assert root_above(guard_logger).level == logging.WARNING


def test_records_go_to_stderr_as_it_is_then(guard_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logging(log_settings(), "notes", "production")
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)

    logging.getLogger("flask_guard.panic").critical("down", extra={"guard": {"event": "unhandled_exception"}})
    logging.getLogger("flask_guard.access").info("not at this level")

    (line,) = stderr.getvalue().splitlines()
    assert json.loads(line)["event"] == "unhandled_exception"
    assert root_above(guard_logger).handlers == []


def test_configuring_again_keeps_one_handler_and_takes_the_new_settings(guard_logger: logging.Logger) -> None:
    configure_logging(log_settings(), "notes", "production")
    configure_logging(log_settings(), "notes", "production")
    configure_logging(log_settings("text"), "notes", "development")

    (handler,) = guard_logger.handlers
    assert isinstance(handler.formatter, TextFormatter)
    assert guard_logger.level == logging.DEBUG


@pytest.mark.parametrize("place", ["root", LOGGER_NAME])
def test_an_application_that_handles_our_records_keeps_doing_so_alone(guard_logger: logging.Logger, place: str) -> None:
    theirs = logging.StreamHandler(io.StringIO())
    (root_above(guard_logger) if place == "root" else guard_logger).addHandler(theirs)

    configure_logging(log_settings(), "notes", "production")

    assert not any(isinstance(handler, StderrHandler) for handler in guard_logger.handlers)
    assert theirs.formatter is None


@pytest.mark.parametrize("reason", ["too high a level", "no propagation"])
def test_a_handler_that_would_not_get_our_records_is_no_handler(guard_logger: logging.Logger, reason: str) -> None:
    theirs = logging.StreamHandler(io.StringIO())
    root_above(guard_logger).addHandler(theirs)
    if reason == "too high a level":
        theirs.setLevel(logging.CRITICAL)
    else:
        guard_logger.propagate = False

    configure_logging(log_settings(), "notes", "production")

    assert len(guard_logger.handlers) == 1


def test_a_level_that_the_application_chose_stays_unless_the_setting_says_otherwise(
    guard_logger: logging.Logger,
) -> None:
    guard_logger.setLevel(logging.ERROR)

    configure_logging(log_settings(), "notes", "development")
    kept = guard_logger.level
    configure_logging(log_settings(level="info"), "notes", "development")

    assert kept == logging.ERROR
    assert guard_logger.level == logging.INFO


class FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def closed_stream() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, FullDisk(), closed_stream()], ids=["none", "full", "closed"])
def test_a_stream_that_takes_nothing_fails_no_request(
    guard_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, stream: Any
) -> None:
    configure_logging(log_settings(), "notes", "production")
    monkeypatch.setattr(sys, "stderr", stream)

    guard_logger.error("lost")

    assert len(guard_logger.handlers) == 1


@pytest.mark.parametrize(("env", "may_wait"), [("development", False), ("staging", True), ("production", True)])
def test_where_somebody_watches_no_line_waits(guard_logger: logging.Logger, env: Any, may_wait: bool) -> None:
    configure_logging(log_settings(), None, env)

    (handler,) = guard_logger.handlers
    assert isinstance(handler, StderrHandler)
    assert handler.holds_lines is may_wait


def test_lines_of_several_threads_do_not_mix(guard_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logging(log_settings(), "notes", "production")
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    threads = [
        threading.Thread(target=lambda number=number: [guard_logger.error("%d", number) for _ in range(100)])
        for number in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    messages = [json.loads(line)["message"] for line in stderr.getvalue().splitlines()]
    assert sorted(messages) == sorted(str(number) for number in range(8) for _ in range(100))
