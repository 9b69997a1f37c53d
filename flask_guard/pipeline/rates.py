"""Charging requests: which windows count a request, in whose bucket, and what the caller is told of them.

Everything that does not depend on the request is put together when a plan is bound; a request then makes one
call to the store for all its limits. Rule: while the store is down nothing fails; each limit says whether it
refuses (503) or serves, and the outage is logged and counted.
Source: draft-ietf-httpapi-ratelimit-headers-10 (RateLimit, RateLimit-Policy); RFC 9110, section 10.2.3 (Retry-After).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NoReturn

from ..config.sections import LimitSettings
from ..errors import RateLimited, RateLimitUnavailable, StoreUnavailable
from ..limits.rates import Charge, RateStore, Verdict, Window, parse_windows
from ..logs.counters import Counters
from ..logs.throttle import Throttle
from ..net.addresses import NetworkSet
from ..values import ANONYMOUS, Principal
from .context import RequestContext
from .plan import Plan
from .route_limits import RouteLimit, bind_route_limit, is_made_up
from .rules import Access

logger = logging.getLogger("flask_guard.limits")
SERVICE_ROLE = "service_role"
KEY_METHODS = frozenset({"service_key", "api_key"})
# One line for many requests: an outage under load would fill a disk.
OUTAGE_LINE_EVERY_S = 10.0
Step = Callable[[RequestContext], None]


def subject_of(principal: Principal) -> str:
    """Return whose bucket a principal's requests go to: issuers may have the same name for different subjects."""
    return f"p:{principal.method}:{principal.claims.get('iss', '')} {principal.id}"


def is_service(principal: Principal) -> bool:
    """Say whether the limits of services count: the highest of what the verified credential entitles to."""
    return principal.kind == "service" or SERVICE_ROLE in principal.roles


def describe_policy(windows: Iterable[Window]) -> str:
    """Return the value of RateLimit-Policy."""
    return ", ".join(f'"{window.label}";q={window.amount};w={window.seconds}' for window in windows)


def describe_state(charges: Sequence[Charge], verdicts: Sequence[Verdict]) -> str:
    """Return the value of RateLimit: what is left, and seconds until what was used comes back."""
    if len(charges) == 1:  # most requests: half the time of the list
        return _describe_one(charges[0][0], verdicts[0])
    return ", ".join([_describe_one(charge[0], verdict) for charge, verdict in zip(charges, verdicts, strict=True)])


def _describe_one(window: Window, verdict: Verdict) -> str:
    allowed, remaining, wait_s = verdict
    # A sliding window is as good as new after two windows, but begins to be so after one.
    until_s = window.seconds if allowed and wait_s > window.seconds else wait_s
    return f'"{window.label}";r={remaining};t={ceil(until_s)}'


@dataclass(frozen=True, slots=True)
class Tier:
    """The windows of one kind of caller on one route, and the RateLimit-Policy that announces all of the route's."""

    windows: tuple[Window, ...]
    policy: str


class Rates:
    """The limits of one application. clock: seconds since the epoch, for X-RateLimit-Reset."""

    def __init__(
        self, store: RateStore, settings: LimitSettings, *, clock: Callable[[], float], counters: Counters
    ) -> None:
        self.store = store
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._throttle = Throttle(OUTAGE_LINE_EVERY_S)
        self._all = self._windows("global", settings.global_rate)
        self._anonymous = self._windows("anonymous", settings.anonymous_rate)
        self._authenticated = self._windows("authenticated", settings.authenticated_rate)
        self._service = self._windows("service", settings.service_rate)
        self._address = self._windows("address", settings.address_rate)
        self._exempt_networks = NetworkSet(settings.exempt_networks)
        self._exempt_keys = frozenset(settings.exempt_keys)
        self._has_exempt = bool(settings.exempt_networks or settings.exempt_keys)

    def _windows(self, name: str, text: str) -> tuple[Window, ...]:
        denies = self._settings.fail_closed
        return parse_windows(text, scope=f"tier:{name}", label=name, denies_on_error=denies)

    @property
    def tiers(self) -> tuple[Window, ...]:
        """The windows that every route has."""
        return (*self._all, *self._address, *self._anonymous, *self._authenticated, *self._service)

    def address_step(self, plan: Plan) -> Step | None:
        """Return the step before authentication, None where nothing is counted there."""
        windows = self._address
        if not windows or (plan.unlimited and plan.access is Access.PUBLIC):
            return None
        policy = describe_policy(windows)

        def address(context: RequestContext) -> None:
            if not self._has_exempt or not self._is_exempt(context):
                subject = context.client.network
                self._charge(context, [(window, subject, 1) for window in windows], policy)

        return address

    def step(self, plan: Plan) -> Step | None:
        """Return the step that charges a request of this plan, None where nothing is counted."""
        routes = self._bind_routes(plan)
        everybody = () if plan.unlimited else self._all
        anonymous, authenticated, service = (
            self._tier(() if plan.unlimited else windows, everybody, routes)
            for windows in (self._anonymous, self._authenticated, self._service)
        )
        if not (routes or any(tier.windows for tier in (anonymous, authenticated, service)) or everybody):
            return None
        reads_body = any(route.reads_body for route in routes)
        is_plain = not routes and not everybody and not self._has_exempt

        def rates(context: RequestContext) -> None:
            context.is_charged = True
            principal = context.principal
            if principal is ANONYMOUS or is_made_up(principal):
                tier, subject = anonymous, context.client.network
            else:
                tier, subject = service if is_service(principal) else authenticated, subject_of(principal)
            if is_plain:
                if tier.windows:
                    self._charge(context, [(window, subject, 1) for window in tier.windows], tier.policy)
                return
            charges: list[Charge] = []
            if not self._has_exempt or not self._is_exempt(context):
                charges = [(window, subject, 1) for window in tier.windows]
                if everybody:
                    charges += [(window, "all", 1) for window in everybody]
            may_read_body = reads_body and context.refusal_code is None and not self._is_used_up(charges)
            for route in routes:
                charges += route.charges(context, subject, may_read_body=may_read_body)
            if len(routes) > 1:
                charges = _merge(charges)
            if charges:
                policy = tier.policy if len(charges) == len(tier.windows) else ""
                self._charge(context, charges, policy)

        return rates

    def _tier(self, windows: tuple[Window, ...], everybody: tuple[Window, ...], routes: Sequence[RouteLimit]) -> Tier:
        announced = () if routes or everybody else windows
        return Tier(windows, describe_policy(announced))

    def _bind_routes(self, plan: Plan) -> tuple[RouteLimit, ...]:
        labels: dict[str, int] = {}
        bound = []
        for rule, methods in dict.fromkeys(plan.limits):
            name = rule.label or rule.shared or "route"
            labels[name] = labels.get(name, 0) + 1
            # Not "-2", which is how a limit numbers its windows.
            label = name if labels[name] == 1 else f"{name}/{labels[name]}"
            bound.append(
                bind_route_limit(
                    rule,
                    endpoint=plan.endpoint or "",
                    methods=methods,
                    label=label,
                    fail_closed=self._settings.fail_closed,
                )
            )
        return tuple(bound)

    def _is_used_up(self, charges: Sequence[Charge]) -> bool:
        """Say whether a request will be refused whatever its body says, which is not read then."""
        if not charges:
            return False
        try:
            verdicts = self.store.charge([(window, subject, 0) for window, subject, _cost in charges])
        except StoreUnavailable:
            return False
        return not all(verdict[1] for verdict in verdicts)

    def after_fork(self) -> None:
        self._throttle.after_fork()

    def _is_exempt(self, context: RequestContext) -> bool:
        principal = context.principal
        # Keys alone: the subject of a token is whatever its issuer let somebody choose.
        if principal.id in self._exempt_keys and principal.method in KEY_METHODS:
            return True
        return context.client.address in self._exempt_networks

    def _charge(self, context: RequestContext, charges: list[Charge], policy: str) -> None:
        """Ask the store, note the headers, refuse. policy: the announced windows when they are known, else ""."""
        try:
            verdicts = self.store.charge(charges)
        except StoreUnavailable as exc:
            self._bear_outage(charges, exc)
            return
        state = describe_state(charges, verdicts)
        pairs = ("RateLimit-Policy", policy or describe_policy(charge[0] for charge in charges)), ("RateLimit", state)
        context.rate_headers = _join(context.rate_headers, pairs) if context.rate_headers else pairs
        if self._settings.legacy_rate_headers:
            context.rate_headers += self._legacy_headers(charges, verdicts)
        for verdict in verdicts:
            if not verdict[0]:
                self._refuse(charges, verdicts)

    def _refuse(self, charges: Sequence[Charge], verdicts: Sequence[Verdict]) -> NoReturn:
        over = [(charge[0], verdict[2]) for charge, verdict in zip(charges, verdicts, strict=True) if not verdict[0]]
        for window, _wait_s in over:
            self._counters.count("rate_limited", label=window.label)
        said = ", ".join(f"{window.label!r} of {window.amount} in {window.seconds} s" for window, _wait_s in over)
        raise RateLimited(
            self._settings.rate_message,
            retry_after_s=max(1, ceil(max(wait_s for _window, wait_s in over))),
            detail=f"over the limit {said}",
        )

    def _bear_outage(self, charges: Sequence[Charge], error: StoreUnavailable) -> None:
        denying = next((window for window, _subject, _cost in charges if window.denies_on_error), None)
        self._counters.count("rate_limit_outage", outcome="denied" if denying else "allowed")
        repeated = self._throttle.admit("outage")
        if repeated is not None:
            outcome = "requests are refused" if denying else "requests are not counted"
            logger.error(
                "the storage of limits does not answer; %s (%d since the last line): %s", outcome, repeated, error
            )
        if denying:
            raise RateLimitUnavailable(
                detail=f"the limit {denying.label!r} refuses while its storage is down"
            ) from error

    def _legacy_headers(self, charges: Sequence[Charge], verdicts: Sequence[Verdict]) -> tuple[tuple[str, str], ...]:
        """Return X-RateLimit-* for the window with the least left, as Flask-Limiter sends them."""
        at = min(range(len(charges)), key=lambda i: verdicts[i][1] / charges[i][0].amount)
        return (
            ("X-RateLimit-Limit", str(charges[at][0].amount)),
            ("X-RateLimit-Remaining", str(verdicts[at][1])),
            ("X-RateLimit-Reset", str(ceil(self._clock() + verdicts[at][2]))),
        )


def _merge(charges: Iterable[Charge]) -> list[Charge]:
    """Return each bucket once, with the highest cost: two levels that name one window mean one window."""
    merged: dict[tuple[str, int, int, str], Charge] = {}
    for window, subject, cost in charges:
        key = window.scope, window.amount, window.seconds, subject
        known = merged.get(key, (window, subject, cost))
        strict = window if window.denies_on_error else known[0]
        merged[key] = strict, subject, max(cost, known[2])
    return list(merged.values())


def _join(before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return the headers of two calls as one list each: both limits hold for the request."""
    return tuple((name, f"{dict(before)[name]}, {value}") for name, value in after)
