"""`flask limiter config`, `limits` and `clear` over the limits and the counts that Guard enforces."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Blueprint, Flask
from flask.cli import ScriptInfo
from flask_limiter.commands import cli

from flask_guard.errors import StoreUnavailable
from flask_guard.limits.rates import Charge, Verdict, Window
from flask_guard.limits.rule import make_limit_rule
from flask_guard.pipeline.discover import Endpoint
from flask_guard.pipeline.limiter import GuardLimiter, make_limiter, resolve_limits
from flask_guard.pipeline.limiter_commands import Counting
from flask_guard.pipeline.plan import Plan, PlanTable, compile_plans
from flask_guard.pipeline.route_limits import bind_route_limit

from .writing import Writer

TIERS = (Window(scope="tier:anonymous", amount=100, seconds=60, label="anonymous"),)


class Counts:
    """A store in a Counter. is_down: it does not answer."""

    def __init__(self) -> None:
        self.used: Counter[tuple[str, int, int, str]] = Counter()
        self.is_down = False

    def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        if self.is_down:
            raise StoreUnavailable("down")
        verdicts = []
        for window, subject, cost in charges:
            bucket = (window.scope, window.amount, window.seconds, subject)
            allowed = self.used[bucket] + cost <= window.amount
            if allowed:
                self.used[bucket] += cost
            verdicts.append((allowed, window.amount - self.used[bucket], float(window.seconds)))
        return verdicts

    def forget(self, window: Window, subject: str) -> None:
        del self.used[window.scope, window.amount, window.seconds, subject]

    def reset(self) -> None:
        self.used.clear()


class Site:
    """An application with limits, as a Guard would attach it. `charge` counts as a request would."""

    def __init__(self, limiter: GuardLimiter, name: str = "app") -> None:
        self.app = Flask(name, static_folder=None)
        self.counts = Counts()
        self.extra = make_limit_rule("7 per 2 hours", by="tenant")
        limiter.attach(self.app, Counting(self.counts, "redis://***", self.plans, TIERS))

    def plans(self) -> PlanTable:
        def bind(plan: Plan, endpoint: Endpoint | None) -> Plan:
            if endpoint is None:
                return plan
            limits = resolve_limits(self.app, endpoint, plan.method)
            if endpoint.name == "notes.index":
                limits += ((self.extra, None),)
            return dataclasses.replace(plan, limits=limits)

        written = Writer()
        return compile_plans(
            self.app,
            apps=[self.app],
            annotations=written.annotations,
            patterns={},
            default="authenticated",
            bind=bind,
        )

    def charge(self, endpoint: str, subject: str, *, times: int) -> None:
        for rule, methods in self.plans().plans[endpoint]["GET"].limits:
            bound = bind_route_limit(rule, endpoint=endpoint, methods=methods, label="l", fail_closed=False)
            for window in bound.windows():
                self.counts.charge([(window, subject, 1)] * times)

    def run(self, *arguments: str) -> str:
        outcome = CliRunner().invoke(
            cli, arguments, obj=ScriptInfo(create_app=lambda: self.app), env={"COLUMNS": "200"}
        )
        assert outcome.exit_code == 0, outcome.output
        return outcome.output


@pytest.fixture
def limiter() -> GuardLimiter:
    return make_limiter(Writer().write)


@pytest.fixture
def site(limiter: GuardLimiter) -> Site:
    site = Site(limiter)
    blueprint = Blueprint("notes", __name__)
    blueprint.add_url_rule("/notes", "index", lambda: "")
    site.app.add_url_rule("/login", "login", limiter.limit("5/minute; 90/hour")(lambda: ""))
    site.app.add_url_rule("/export", "export", limiter.limit(lambda: "3/day", per_method=True)(lambda: ""))
    site.app.add_url_rule("/free", "free", lambda: "")
    site.app.register_blueprint(blueprint)
    return site


def line_after(output: str, start: str) -> str:
    lines = output.splitlines()
    return lines[next(number for number, line in enumerate(lines) if start in line) + 1].strip(" │├└─")


def test_config_shows_where_it_is_counted_and_that_it_answers(site: Site) -> None:
    output = site.run("config")

    assert "redis://***" in output
    assert "OK" in output
    assert "principal_or_network()" in output
    assert "100 per 1 minute" in output


def test_config_shows_a_store_that_is_down(site: Site) -> None:
    site.counts.is_down = True

    output = site.run("config")

    assert "Error" in output
    assert "OK" not in output


def test_limits_shows_what_is_enforced_on_each_route(site: Site) -> None:
    output = site.run("limits")

    assert line_after(output, "login: /login") == "5 per 1 minute"
    assert line_after(output, "export: /export") == "3 per 1 day"
    assert line_after(output, "notes.index: /notes") == "7 per 2 hour"
    assert line_after(output, "Application Limits") == "100 per 1 minute"
    assert "90 per 1 hour" in output
    assert "/free" in output


def test_limits_of_one_key_are_those_that_requests_have_used(site: Site) -> None:
    site.charge("login", "203.0.113.7", times=5)
    before = site.counts.used.copy()

    output = site.run("limits", "--endpoint", "login", "--key", "203.0.113.7")

    assert "5 per 1 minute: Fail (0 out of 5 remaining)" in output
    assert "90 per 1 hour: Pass (85 out of 90 remaining)" in output
    assert site.counts.used == before
    assert "Pass (5 out of 5 remaining)" in site.run("limits", "--endpoint", "login", "--key", "203.0.113.8")


def test_clear_forgets_one_key_on_one_endpoint(site: Site) -> None:
    for subject in ("203.0.113.7", "203.0.113.8"):
        site.charge("login", subject, times=5)
        site.charge("notes.index", subject, times=2)

    output = site.run("clear", "--endpoint", "login", "--key", "203.0.113.7", "-y")

    assert "5 per 1 minute: Cleared" in output
    assert sum(used for bucket, used in site.counts.used.items() if bucket[3] == "203.0.113.7") == 2
    assert sum(used for bucket, used in site.counts.used.items() if bucket[3] == "203.0.113.8") == 12


def test_clear_forgets_one_key_everywhere(site: Site) -> None:
    site.charge("login", "203.0.113.7", times=5)
    site.charge("notes.index", "203.0.113.7", times=2)
    site.counts.charge([(TIERS[0], "203.0.113.7", 9)])

    site.run("clear", "--key", "203.0.113.7", "-y")

    assert site.counts.used.total() == 0


def test_a_limiter_serves_several_applications_each_with_its_counts(limiter: GuardLimiter, site: Site) -> None:
    other = Site(limiter, "other")
    site.charge("login", "203.0.113.7", times=3)

    with pytest.raises(RuntimeError, match="serves 2 applications"):
        limiter.reset()
    with other.app.app_context():
        limiter.reset()
    assert site.counts.used.total() == 6
    with site.app.app_context():
        limiter.reset()
    assert site.counts.used.total() == 0


def test_an_application_that_is_gone_is_forgotten(limiter: GuardLimiter, site: Site) -> None:
    gone = weakref.ref(Site(limiter, "gone").app)
    gc.collect()

    assert gone() is None
    assert limiter.counting_of().store is site.counts


def test_a_program_may_ask_and_charge_by_hand(limiter: GuardLimiter, site: Site) -> None:
    strategy = limiter.limiter
    (item,) = (limit.limit for limit in limiter.limit_manager.application_limits)
    asked: Any = (item, "203.0.113.7", "tier:anonymous")

    assert strategy.hit(*asked, cost=99)
    assert strategy.test(*asked)
    assert not strategy.test(*asked, cost=2)
    assert not strategy.hit(*asked, cost=2)
    assert strategy.get_window_stats(*asked).remaining == 1
    strategy.clear(*asked)
    assert strategy.get_window_stats(*asked).remaining == 100


def test_an_application_that_was_guarded_has_no_hooks_of_the_limiter(site: Site) -> None:
    assert site.app.before_request_funcs == site.app.after_request_funcs == site.app.teardown_request_funcs == {}
