"""Access lines, made without a record: the same bytes as `JsonFormatter` makes, in a tenth of the time.

Most of a line was on a line before: what is said of the route and its answer, and what is said of the caller. Both
are scrubbed and written as JSON once, and remembered. Rule: a client chooses parts of both, so what is remembered is
bounded, in number and in length.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from .access import AccessEvent, AccessValues, access_level, describe_request, make_record
from .format import JsonFormatter, show_time, to_json
from .scrub import scrub_text

# Of each kind; when there are more, remembering starts anew.
_MAX_REMEMBERED: Final = 1024
_MAX_REMEMBERED_CHARS: Final = 1024
# Only digits and these letters: none of the words that `scrub` looks for can be among them.
_is_plain_id: Final = re.compile(r"[0-9a-f-]+\Z").match

# What is said of a route and its answer: the text between time and request id, and that up to the duration.
_Answer = tuple[str, str]
_AnswerKey = tuple[str, str | None, int]
_CallerKey = tuple[str | None, ...]


class AccessLines:
    """Makes the lines of one logger as one formatter would. May be shared between threads."""

    def __init__(self, formatter: JsonFormatter, logger: logging.Logger) -> None:
        self.formatter = formatter
        self._logger = logger
        self._answers: dict[_AnswerKey, _Answer] = {}
        self._callers: dict[_CallerKey, str] = {}

    def make(self, said: AccessValues, created: float) -> str:
        """Return the line of a request, without its end. created: seconds since the epoch."""
        try:
            return self._make(said, created)
        except Exception:  # of a foreign object in the place of a text
            record = make_record(self._logger, AccessEvent(*said))
            record.created = created
            return self.formatter.format(record)

    def _make(self, said: AccessValues, created: float) -> str:
        answer, (duration_ms, request_id, trace_id), caller = said[:3], said[3:6], said[6:]
        beginning, middle = self._answers.get(answer) or self._learn_answer(answer)
        end = self._callers.get(caller) or self._learn_caller(caller)
        shown_id = request_id if _is_plain_id(request_id) else _escape(request_id)
        if trace_id is not None:
            shown_id += f'","trace_id":"{_escape(trace_id)}'
        # As `repr(round(duration_ms, 3))`, in a third of its time.
        duration = f"{duration_ms:.3f}".rstrip("0")
        if duration[-1] == ".":
            duration += "0"
        return f'{{"time":"{show_time(created)}{beginning}{shown_id}{middle}{duration}{end}'

    def _learn_answer(self, key: _AnswerKey) -> _Answer:
        method, route, status = key
        before = {
            "level": logging.getLevelName(access_level(status)).lower(),
            **self.formatter.origin,
            "logger": self._logger.name,
            "message": scrub_text(describe_request(method, route, status)),
            "event": "request",
        }
        after = {"method": _scrub(method), **({} if route is None else {"route": _scrub(route)}), "status": status}
        answer = f'",{_members(before)},"request_id":"', f'",{_members(after)},"duration_ms":'
        if len(answer[0]) + len(answer[1]) <= _MAX_REMEMBERED_CHARS:
            _make_room(self._answers)
            self._answers[key] = answer
        return answer

    def _learn_caller(self, key: _CallerKey) -> str:
        names = AccessEvent._fields[-len(key) :]
        said = {name: _scrub(value) for name, value in zip(names, key, strict=True) if value is not None}
        end = f",{_members(said)}}}" if said else "}"
        if len(end) <= _MAX_REMEMBERED_CHARS:
            _make_room(self._callers)
            self._callers[key] = end
        return end


def _make_room(remembered: dict[Any, Any]) -> None:
    if len(remembered) >= _MAX_REMEMBERED:
        remembered.clear()


def _members(members: Mapping[str, Any]) -> str:
    return to_json(members)[1:-1]


def _escape(text: str) -> str:
    return to_json(_scrub(text))[1:-1]


def _scrub(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in the place of a text")
    return scrub_text(value)
