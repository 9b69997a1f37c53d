"""`unscoped` is written down before anything runs in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from flask_guard import Guard, Principal, tenant_scope
from flask_guard.db import set_unscoped_recorder, unscoped
from flask_guard.tenancy.scope import find_identity, find_unscoped


@pytest.fixture
def recorded() -> Iterator[list[Any]]:
    facts: list[Any] = []
    set_unscoped_recorder(facts.append)
    yield facts
    set_unscoped_recorder(None)


def test_the_reason_is_recorded_once_and_before_the_block(recorded: list[Any]) -> None:
    with unscoped(reason="nightly invoices") as yielded:
        assert yielded is None
        assert [facts["reason"] for facts in recorded] == ["nightly invoices"]
        assert find_unscoped() is not None

    assert len(recorded) == 1
    assert find_unscoped() is None


def test_who_asked_and_for_whom_is_recorded(recorded: list[Any]) -> None:
    with tenant_scope("acme", principal=Principal("ada")), unscoped(reason="support"):
        pass
    with unscoped(reason="a job"):
        pass

    assert recorded == [
        {"event": "unscoped", "reason": "support", "actor": "ada", "tenant": "acme", "request_id": None},
        {"event": "unscoped", "reason": "a job", "actor": None, "tenant": None, "request_id": None},
    ]
    json.dumps(recorded)


def test_in_a_request_its_id_is_recorded(recorded: list[Any], tmp_path: Any) -> None:
    app = Flask("app", instance_path=str(tmp_path))
    guard = Guard(app)

    @app.get("/")
    @guard.public(reason="a test")
    def index() -> str:
        with unscoped(reason="a request"):
            return "done"

    answer = app.test_client().get("/")

    assert recorded[0]["request_id"] == answer.headers["X-Request-Id"]


def test_a_recorder_that_fails_keeps_the_block_from_running() -> None:
    def fail(_facts: Any) -> None:
        raise OSError("the disk is full")

    set_unscoped_recorder(fail)
    ran: list[str] = []
    try:
        with pytest.raises(OSError, match="disk is full"), unscoped(reason="a job"):
            ran.append("the block")
    finally:
        set_unscoped_recorder(None)

    assert ran == []
    assert find_unscoped() is None


def test_the_recorder_itself_is_not_past_the_tenants() -> None:
    seen: list[Any] = []
    set_unscoped_recorder(lambda _facts: seen.append((find_unscoped(), find_identity().tenant.id)))
    try:
        with tenant_scope("acme"), unscoped(reason="a job"):
            pass
    finally:
        set_unscoped_recorder(None)

    assert seen == [(None, "acme")]


def test_without_a_recorder_a_line_is_written(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="flask_guard.audit"), unscoped(reason="nightly invoices"):
        pass

    (record,) = caplog.records
    assert record.getMessage() == "all tenants, because: nightly invoices"
    assert record.guard["event"] == "unscoped"  # type: ignore[attr-defined]


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_a_reason_is_needed(recorded: list[Any], reason: Any) -> None:
    with pytest.raises(ValueError, match="needs a reason"), unscoped(reason=reason):
        pass

    assert recorded == []
