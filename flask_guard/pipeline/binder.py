"""Gives plans their steps: Guard's own at their places, and the functions that an application registered.

Everything constant is computed here, once, when a plan is bound.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..auth.credentials import CredentialReader
from ..browser.csrf import CsrfRule
from ..browser.headers import HeaderRule, HeaderSet
from ..browser.hosts import HttpsRule
from ..config.kinds import environ_key
from ..config.settings import Settings
from ..config.suggest import did_you_mean
from ..errors import ConfigError
from .context import RequestContext
from .cors_answers import CorsAnswers
from .csrf_session import CsrfTokens
from .discover import Endpoint
from .hidden import FindPlan, options_step
from .plan import PlacedLimit, Plan
from .rates import Rates
from .rules import Access
from .steps import (
    ORDER,
    SAFE_METHODS,
    UNROUTED_STEPS,
    Position,
    Step,
    authenticate_step,
    authorize_step,
    csrf_step,
    fence_step,
    host_step,
    payload_step,
    preflight_step,
)


@dataclass(frozen=True, slots=True)
class Registration:
    """A function of the application at a named step.

    endpoints: patterns; blueprints: names; both empty for every route. methods: None for all.
    """

    step: str
    function: Callable[..., Any]
    position: Position
    endpoints: tuple[str, ...]
    blueprints: tuple[str, ...]
    methods: frozenset[str] | None
    name: str

    def applies(self, endpoint: Endpoint | None, method: str) -> bool:
        if endpoint is None:
            is_for_all = not self.endpoints and not self.blueprints and self.methods is None
            return is_for_all and self.step in UNROUTED_STEPS
        if self.methods is not None and method not in self.methods:
            return False
        if not self.endpoints and not self.blueprints:
            return True
        return any(fnmatchcase(endpoint.name, pattern) for pattern in self.endpoints) or any(
            name in self.blueprints for name in endpoint.blueprints
        )


def require_known_step(step: str, position: str) -> None:
    """Raise ConfigError for a step or a position that is not there."""
    if step not in ORDER:
        raise ConfigError(f"There is no step {step!r}; the steps are {', '.join(ORDER)}.{did_you_mean(step, ORDER)}")
    if position not in ("before", "after", "replace"):
        raise ConfigError(f"A step takes functions before, after or as replace, not {position!r}.")


@dataclass(frozen=True, slots=True)
class StepBinder:
    """Gives plans their steps. Holds what the steps need.

    https: how plain http is answered, None where it may pass. cors: the answers for routes without cors() of their
    own. answers_for: finds the answers by endpoint, method and who asks.
    find_plan: finds a plan by endpoint and method, while requests run. limits_of: what Flask-Limiter's decorators said.
    """

    settings: Settings
    reader: CredentialReader
    rates: Rates
    headers: HeaderSet
    https: HttpsRule | None
    csrf: CsrfRule
    csrf_tokens: CsrfTokens
    cors: CorsAnswers
    answers_for: Callable[[str | None, str, RequestContext], CorsAnswers]
    find_plan: FindPlan
    limits_of: Callable[[Plan, Endpoint], tuple[PlacedLimit, ...]]
    registrations: Sequence[Registration]
    headers_of: Callable[[str | None], tuple[HeaderRule, ...]]
    ensure_sync: Callable[[Callable[..., Any]], Callable[..., Any]]
    report: Callable[[Callable[..., Any]], Callable[..., Any]] | None

    def bind(self, plan: Plan, endpoint: Endpoint | None) -> Plan:
        """Return the plan with its steps, in the order of `ORDER`. Raises ConfigError for rules that cannot hold."""
        plan = self._complete(plan, endpoint)
        before = [
            # What a view takes is loaded in any case: it could not run without.
            function if self.report is None or step == "accept" else self.report(function)
            for step in ORDER[:-1]
            for function in self._functions(step, self._main(step, plan), plan, endpoint)
        ]
        # Refusals are charged where nothing else is, too: files and probes tell good credentials from bad ones.
        charge = self.rates.step(dataclasses.replace(plan, unlimited=""))
        if self.report is not None:
            charge = None
        elif plan.method == "OPTIONS":
            before.append(options_step(self.find_plan))
        return dataclasses.replace(
            plan,
            before=tuple(before),
            after=tuple(self._functions("respond", None, plan, endpoint)),
            charge=charge,
            replaced=tuple(self._replaced(plan, endpoint)),
        )

    def _complete(self, plan: Plan, endpoint: Endpoint | None) -> Plan:
        """Return the plan with what the steps and the edge read from it."""
        browser = self.settings.browser
        cors = self.cors
        if plan.cors is not None:
            cors = CorsAnswers(plan.cors.policy(browser, is_production=self.settings.is_production))
        return dataclasses.replace(
            plan,
            headers=self.headers_of(plan.endpoint),
            policy=None if plan.csp is None else self.headers.prepare(plan.csp),
            cors_answers=cors,
            limits=plan.limits if endpoint is None else (*plan.limits, *self.limits_of(plan, endpoint)),
            unlimited=plan.unlimited or ("static files" if _is_static(endpoint) else ""),
        )

    def _replaced(self, plan: Plan, endpoint: Endpoint | None) -> Iterable[str]:
        for step in ORDER[:-1]:
            names = [r.name for r in self._mine(step, plan, endpoint) if r.position == "replace"]
            if names and step not in ("tenant", "payload"):
                yield f"{step} is replaced by {names[-1]}"

    def _mine(self, step: str, plan: Plan, endpoint: Endpoint | None) -> list[Registration]:
        return [r for r in self.registrations if r.step == step and r.applies(endpoint, plan.method)]

    def _main(self, step: str, plan: Plan) -> Step | None:
        makers: dict[str, Callable[[Plan], Step | None]] = {
            "host": lambda plan: None if plan.is_probe else host_step(self.https),
            "fence": lambda plan: fence_step(plan.fences) if plan.fences else None,
            "payload": self._payload,
            "preflight": self._preflight,
            "address_rate": self.rates.address_step,
            "csrf": self._csrf,
            "authenticate": self._authenticate,
            "rates": self.rates.step,
            "authorize": self._authorize,
            "accept": self._accept,
        }
        make = makers.get(step)
        return None if make is None else make(plan)

    def _payload(self, plan: Plan) -> Step:
        limits = self.settings.limits
        return payload_step(
            route_limit=plan.max_body_bytes,
            max_body=limits.max_body_bytes,
            max_multipart=limits.max_multipart_bytes,
            max_url=limits.max_url_bytes,
            decode_gzip=limits.decode_gzip,
        )

    def _preflight(self, plan: Plan) -> Step | None:
        if plan.method not in ("OPTIONS", ""):
            return None
        return preflight_step(self.answers_for)

    def _csrf(self, plan: Plan) -> Step | None:
        if plan.method in SAFE_METHODS or not plan.method or plan.no_csrf:
            return None
        return csrf_step(self.csrf, self.csrf_tokens)

    def _authenticate(self, plan: Plan) -> Step | None:
        if plan.access is Access.PUBLIC:
            return None
        token_key, api_key_key = environ_key(self.settings.jwt.header), environ_key(self.settings.keys.header)
        return authenticate_step(self.reader, token_key=token_key, api_key_key=api_key_key)

    def _authorize(self, plan: Plan) -> Step | None:
        if plan.access is Access.PUBLIC or (plan.access is Access.OPTIONAL and plan.requirement is None):
            return None
        return authorize_step(plan.access, plan.requirement)

    def _accept(self, plan: Plan) -> Step | None:
        rule = plan.accepts
        if rule is None or not rule.is_for(plan.method):
            return None
        bodies = importlib.import_module("flask_guard.pipeline.bodies")
        step: Step = bodies.accept_step(rule, plan.method, ensure_sync=self.ensure_sync)
        return step

    def _functions(
        self, step: str, main: Callable[..., Any] | None, plan: Plan, endpoint: Endpoint | None
    ) -> Iterable[Callable[..., Any]]:
        mine = self._mine(step, plan, endpoint)
        replaced = [r for r in mine if r.position == "replace"]
        yield from (self.ensure_sync(r.function) for r in mine if r.position == "before")
        if replaced:
            yield self.ensure_sync(replaced[-1].function)
        elif main is not None:
            yield main
        yield from (self.ensure_sync(r.function) for r in mine if r.position == "after")


def _is_static(endpoint: Endpoint | None) -> bool:
    """Say whether Flask itself serves files here; a view of the application may have the name too."""
    if endpoint is None or endpoint.name.rpartition(".")[2] != "static":
        return False
    return str(getattr(endpoint.view, "__module__", "")).startswith("flask.")
