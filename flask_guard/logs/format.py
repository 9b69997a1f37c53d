"""The lines that we write: JSON for machines, text for people.

A record brings its facts as `extra={"guard": {...}}`; both forms show the same ones, scrubbed. Rules: one
record is one line of JSON; nothing in a record can look like another record; and formatting never fails,
because a request must not fail for the sake of its log line.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..config.sections import Environment, LogSettings
from .scrub import describe, is_harmless, scrub_members, scrub_text
from .stderr import StderrHandler

LOGGER_NAME: Final = "flask_guard"

DEFAULT_LEVELS: Final[Mapping[str, int]] = {
    "development": logging.DEBUG,
    "staging": logging.INFO,
    "production": logging.WARNING,
}

# Facts that mean the same wherever they are used; `code` is that of a refusal, not one that was mailed.
_PLAIN_NAMES: Final = frozenset(
    {
        "actor",
        "client",
        "code",
        "duration_ms",
        "event",
        "matched_rule_id",
        "method",
        "request_id",
        "resource_id",
        "route",
        "status",
        "tenant",
        "trace_id",
    }
)
# What a record says of itself; a fact of such a name is shown as `guard_<name>`.
_RESERVED: Final = frozenset({"time", "level", "service", "env", "logger", "message", "exception"})

# A traceback of more pieces is shown by its beginning and its end: what called, and what failed.
_MAX_PIECES: Final = 100

# C0, DEL and C1 (terminals act on them), line and paragraph separators, marks that reorder or hide text
# (Unicode Technical Report 36, "Bidirectional Text Spoofing"), halves of surrogate pairs (no stream encodes them).
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")

# ASCII, control characters escaped.
to_json: Final = json.JSONEncoder(separators=(",", ":")).encode


class Line(NamedTuple):
    """What is shown of one record, scrubbed. time: ISO 8601 in UTC with milliseconds."""

    time: str
    level: str
    logger: str
    message: str
    facts: Mapping[str, Any] = MappingProxyType({})
    exception: str | None = None


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, so that no reader sees a control character.

    Members: time, level, service, env, logger, message, the record's facts, and `exception` with the stack.
    Facts that are None are left out. origin: service and env.
    """

    def __init__(self, service: str | None, env: str) -> None:
        super().__init__()
        self.origin = {"service": service, "env": env} if service else {"env": env}

    def format(self, record: logging.LogRecord) -> str:
        line = _read(record)
        members = {
            "time": line.time,
            "level": line.level,
            **self.origin,
            "logger": line.logger,
            "message": line.message,
            **line.facts,
        }
        if line.exception is not None:
            members["exception"] = line.exception
        return to_json(members)


class TextFormatter(logging.Formatter):
    """For people: time, level, logger, message, facts; the lines of a traceback follow, each with a bar.

    Control characters are written as escapes, so that a client can neither begin a line nor colour one.
    """

    def __init__(self, service: str | None = None) -> None:
        super().__init__()
        self._service = f" {neutralise(service)}" if service else ""

    def format(self, record: logging.LogRecord) -> str:
        line = _read(record)
        facts = "".join(f" {neutralise(name)}={_show(value)}" for name, value in line.facts.items())
        head = f"{line.time} {line.level.upper()}{self._service} {line.logger}: {line.message}"
        lines = [neutralise(head) + facts]
        if line.exception is not None:
            lines += [f"  | {neutralise(part)}" for part in line.exception.splitlines()]
        return "\n".join(lines)


def neutralise(text: str) -> str:
    r"""Return the text with control and invisible characters as Python escapes: `\n`, `\x1b`, `\u2028`."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def configure_logging(settings: LogSettings, service: str | None, env: Environment) -> None:
    """Make the records of `flask_guard` visible, on stderr, unless the application handles them already.

    Sets the level of GUARD_LOG_LEVEL, or the environment's default where nobody chose one. May be called
    again: the last call decides about our handler, and there is one. The root logger is left alone.
    """
    logger = logging.getLogger(LOGGER_NAME)
    handler = next((each for each in logger.handlers if isinstance(each, StderrHandler)), None)
    if settings.level is not None:
        logger.setLevel(settings.level.upper())
    elif handler is not None or logger.level == logging.NOTSET:
        logger.setLevel(DEFAULT_LEVELS[env])
    if handler is None and not _has_handler(logger):
        handler = StderrHandler()
        logger.addHandler(handler)
    if handler is not None:
        handler.holds_lines = env != "development"  # where somebody looks at each line as it comes
        formatter = JsonFormatter(service, env) if settings.format == "json" else TextFormatter(service)
        handler.setFormatter(formatter)


def _has_handler(logger: logging.Logger) -> bool:
    """Tell whether a handler receives this logger's records, as `flask.logging.has_level_handler` does."""
    level = logger.getEffectiveLevel()
    current: logging.Logger | None = logger
    while current is not None:
        if any(handler.level <= level for handler in current.handlers):
            return True
        current = current.parent if current.propagate else None
    return False


def _read(record: logging.LogRecord) -> Line:
    time = show_time(record.created)
    try:
        message, facts = _read_message(record), _read_facts(record)
        if not is_harmless(message, facts, plain=_PLAIN_NAMES):
            message, facts = scrub_text(message), scrub_members(facts, plain=_PLAIN_NAMES)
        if not _RESERVED.isdisjoint(facts):
            facts = {f"guard_{name}" if name in _RESERVED else name: value for name, value in facts.items()}
        return Line(
            time=time,
            level=record.levelname.lower(),
            logger=record.name,
            message=message,
            facts=facts,
            exception=_read_exception(record),
        )
    except Exception as exc:  # a foreign object in the record may raise anything when it is looked at
        fault = f"a record that cannot be shown ({type(exc).__name__})"
        return Line(time=time, level="error", logger=str(record.name), message=fault)


def show_time(created: float) -> str:
    """Return seconds since the epoch in ISO 8601, in UTC and with milliseconds."""
    second = int(created)
    milliseconds = round((created - second) * 1e6) // 1000
    if not 0 <= milliseconds < 1000:  # rounded up, or before 1970
        second, milliseconds = second + milliseconds // 1000, milliseconds % 1000
    return f"{_show_second(second)}.{milliseconds:03}Z"


@lru_cache(maxsize=1)
def _show_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _read_message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit, or that cannot be printed
        return f"{describe(record.msg)} with arguments that do not fit: {describe(record.args)}"


def _read_facts(record: logging.LogRecord) -> dict[Any, Any]:
    facts = getattr(record, "guard", None)
    if facts is None:
        return {}
    if not isinstance(facts, Mapping):
        facts = {"facts": facts}
    return {name: value for name, value in facts.items() if value is not None}


def _read_exception(record: logging.LogRecord) -> str | None:
    pieces: list[str] = []
    if record.exc_info and record.exc_info[1] is not None:
        pieces = traceback.format_exception(record.exc_info[1])
    elif record.exc_text:
        pieces = [record.exc_text]
    if record.stack_info:
        pieces.append(record.stack_info)
    if not pieces:
        return None
    if len(pieces) > _MAX_PIECES:
        half = _MAX_PIECES // 2
        left_out = f"  ... {len(pieces) - _MAX_PIECES} pieces more ...\n"
        pieces = [*pieces[:half], left_out, *pieces[-half:]]
    return "".join(scrub_text(piece) for piece in pieces).rstrip("\n")


def _show(value: Any) -> str:
    """Return a fact for the text form: a plain word as it is, anything else as ASCII JSON."""
    if isinstance(value, str) and re.fullmatch(r"[^\s\"=]+", value):
        return neutralise(value)
    return to_json(value)
