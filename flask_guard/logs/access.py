"""One line for each request that was answered, as a record of `logging`.

Pure but for the logger. Rule: the message holds no text that a client chose freely, so that it is safe with
any formatter; the rest is in the facts, which our formatters scrub.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import Any, Final, NamedTuple

_MESSAGE: Final = "%s %s %d"
_METHOD: Final = re.compile(r"[A-Z]{1,20}\Z")


class AccessEvent(NamedTuple):
    """One request and its answer.

    route: the template, such as "/notes/<int:id>"; None when no route matched. duration_ms: finite.
    actor: the principal's id. client: its address. matched_rule_id: the policy rule that decided.
    code: that of the refusal.
    """

    method: str
    route: str | None
    status: int
    duration_ms: float
    request_id: str
    trace_id: str | None = None
    actor: str | None = None
    tenant: str | None = None
    client: str | None = None
    resource_id: str | None = None
    matched_rule_id: str | None = None
    code: str | None = None


# The values of an AccessEvent, in its order: making a tuple takes a tenth of the time.
AccessValues = tuple[
    str, str | None, int, float, str, str | None, str | None, str | None, str | None, str | None, str | None, str | None
]


def access_level(status: int) -> int:
    """Return the level of an answer: info below 400, warning below 500, error from there."""
    if status < 400:
        return logging.INFO
    return logging.WARNING if status < 500 else logging.ERROR


def describe_request(method: str, route: str | None, status: int) -> str:
    """Return the message of the line."""
    return _MESSAGE % _list_values(method, route, status)


def log_access(logger: logging.Logger, event: AccessEvent) -> None:
    """Write the line as a record, if the logger takes its level. Never fails, whatever a handler does."""
    level = access_level(event.status)
    if not logger.isEnabledFor(level):
        return
    # A handler that raises would turn an answer that is already made into a 500.
    with suppress(Exception):
        logger.handle(make_record(logger, event))


def make_record(logger: logging.Logger, event: AccessEvent) -> logging.LogRecord:
    """Return the record of a request that was answered now."""
    # Not by logger.log: it walks the stack for a line number that would always be this one.
    values = _list_values(event.method, event.route, event.status)
    facts = {"guard": _list_facts(event)}
    return logger.makeRecord(logger.name, access_level(event.status), "", 0, _MESSAGE, values, None, extra=facts)


def _list_values(method: str, route: str | None, status: int) -> tuple[str, str, int]:
    return method if _METHOD.match(method) else "?", route or "-", status


def _list_facts(event: AccessEvent) -> dict[str, Any]:
    return {
        "event": "request",
        "request_id": event.request_id,
        "trace_id": event.trace_id,
        "method": event.method,
        "route": event.route,
        "status": event.status,
        "duration_ms": round(event.duration_ms, 3),
        "actor": event.actor,
        "tenant": event.tenant,
        "client": event.client,
        "resource_id": event.resource_id,
        "matched_rule_id": event.matched_rule_id,
        "code": event.code,
    }
