"""What is logged of a request, at which level, and that logging never stops one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from flask_guard.logs.access import AccessEvent, access_level, log_access
from flask_guard.logs.format import JsonFormatter


class Catcher(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Failing(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("the collector is down")


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger that no other test and no other handler knows."""
    logger = logging.Logger("flask_guard.access", logging.DEBUG)
    yield logger
    logger.handlers.clear()


@pytest.fixture
def catcher(logger: logging.Logger) -> Catcher:
    catcher = Catcher()
    logger.addHandler(catcher)
    return catcher


EVENT = AccessEvent(
    method="POST",
    route="/notes/<int:id>",
    status=403,
    duration_ms=1.23456,
    request_id="r1",
    trace_id="t1",
    actor="u1",
    tenant="acme",
    resource_id="7",
    matched_rule_id="rule-9",
    code="forbidden",
)


def test_every_fact_of_the_request_is_on_the_line(logger: logging.Logger, catcher: Catcher) -> None:
    log_access(logger, EVENT)

    (record,) = catcher.records
    members = json.loads(JsonFormatter("notes", "production").format(record))
    assert {name: members[name] for name in members if name != "time"} == {
        "level": "warning",
        "service": "notes",
        "env": "production",
        "logger": "flask_guard.access",
        "message": "POST /notes/<int:id> 403",
        "event": "request",
        "request_id": "r1",
        "trace_id": "t1",
        "method": "POST",
        "route": "/notes/<int:id>",
        "status": 403,
        "duration_ms": 1.235,
        "actor": "u1",
        "tenant": "acme",
        "resource_id": "7",
        "matched_rule_id": "rule-9",
        "code": "forbidden",
    }


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (101, logging.INFO),
        (200, logging.INFO),
        (304, logging.INFO),
        (399, logging.INFO),
        (400, logging.WARNING),
        (404, logging.WARNING),
        (499, logging.WARNING),
        (500, logging.ERROR),
        (503, logging.ERROR),
    ],
)
def test_the_level_follows_the_status(logger: logging.Logger, catcher: Catcher, status: int, level: int) -> None:
    log_access(logger, AccessEvent("GET", None, status, 0.1, "r1"))

    assert access_level(status) == level
    assert [record.levelno for record in catcher.records] == [level]


@pytest.mark.parametrize("status", [200, 404])
def test_below_the_level_of_the_logger_nothing_is_made(logger: logging.Logger, catcher: Catcher, status: int) -> None:
    logger.setLevel(logging.ERROR)

    log_access(logger, AccessEvent("GET", None, status, 0.1, "r1"))

    assert catcher.records == []


@pytest.mark.parametrize(
    "method",
    ["GET\nERROR forged", "\x1b[31m", "get", "", "G" * 1000, "PRÜFE", "GET "],
    ids=lambda text: ascii(text)[:20],
)
def test_a_method_of_the_clients_own_making_is_not_in_the_message(
    logger: logging.Logger, catcher: Catcher, method: str
) -> None:
    """Other formatters than ours print the message as it is."""
    log_access(logger, AccessEvent(method, None, 405, 0.1, "r1"))

    assert catcher.records[0].getMessage() == "? - 405"


def test_a_handler_that_fails_does_not_fail_the_request(logger: logging.Logger) -> None:
    logger.addHandler(Failing())
    later = Catcher()

    log_access(logger, EVENT)
    logger.handlers[:] = [later]
    log_access(logger, EVENT)

    assert len(later.records) == 1
