"""Limits without their storage: what allows serves, what denies refuses, and the outage is told once."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from flask import Flask

from flask_guard import Guard
from flask_guard.errors import StoreUnavailable
from flask_guard.limits.rates import Charge, Verdict
from flask_guard.pipeline.runtime import EXTENSION_KEY

from .conftest import AppMaker, assert_problem, bearer
from .rating import ask, limited, open_public, statuses


class Broken:
    """A storage that does not answer until it is mended."""

    def __init__(self) -> None:
        self.is_mended = False

    def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        if not self.is_mended:
            raise StoreUnavailable("gone")
        return [(True, window.amount - cost, 1.0) for window, _subject, cost in charges]

    def reset(self) -> None:
        return None


def _break(app: Flask) -> Broken:
    broken = app.extensions[EXTENSION_KEY].rates.store = Broken()
    return broken


def test_a_limit_that_allows_serves_and_one_that_denies_refuses(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        limited("5/minute", path="/lenient")(app, guard)
        limited("5/minute", path="/strict", on_error="deny")(app, guard)

    app, _guard = make_app(setup)
    broken = _break(app)

    lenient, strict = ask(app, "/lenient"), ask(app, "/strict")
    broken.is_mended = True
    after = ask(app, "/strict")

    assert lenient.status_code == 200
    assert "RateLimit" not in lenient.headers
    problem = assert_problem(strict, 503, "rate_limit_unavailable")
    assert "gone" not in str(problem)
    assert strict.headers["Retry-After"] == "1"
    assert after.status_code == 200


def test_fail_closed_makes_every_limit_deny(make_app: AppMaker) -> None:
    app, guard = make_app(limited("5/minute", on_error="allow"), rate_limit_fail_closed=True)
    _break(app)

    assert_problem(ask(app, "/limited"), 503, "rate_limit_unavailable")
    assert_problem(ask(app, headers=bearer(guard)), 503, "rate_limit_unavailable")
    assert ask(app, "/healthz/live").status_code == 200


def test_an_outage_is_logged_once_and_counted_each_time(make_app: AppMaker, caplog: pytest.LogCaptureFixture) -> None:
    app, _guard = make_app(open_public)
    _break(app)

    with caplog.at_level(logging.ERROR, "flask_guard.limits"):
        statuses(5, lambda: ask(app, "/open"))

    assert [record.levelname for record in caplog.records if record.name == "flask_guard.limits"] == ["ERROR"]
    assert app.extensions[EXTENSION_KEY].counters.read("rate_limit_outage", outcome="allowed") == 5


def test_report_only_counts_nothing_and_refuses_nobody(make_app: AppMaker) -> None:
    app, _guard = make_app(limited("1/minute"), default_access="report-only", env="development")

    assert statuses(3, lambda: ask(app, "/limited")) == [200, 200, 200]
