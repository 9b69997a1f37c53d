"""The limits of one route, as a request is charged for them: which windows, in whose bucket, at what cost.

Rule: no function of the application can switch a limit off by accident. A key that is none falls back to the
client's network, a cost that is none to the highest so far, a limit's text that is none to the strictest so far.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask.globals import request
from werkzeug.exceptions import HTTPException

from ..browser.csrf import FORM_TYPES
from ..limits.rates import MAX_COST, Charge, Window, parse_windows
from ..limits.rule import (
    LimitRule,
    normalise_field,
    safe_cost,
    safe_exempt,
    safe_key,
    safe_text,
    smallest_amount,
)
from ..values import Principal
from .context import RequestContext

# Whose bucket: gets the context and the subject that the tiers charge, the principal's or the network's.
SubjectOf = Callable[[RequestContext, str], str]


@dataclass(frozen=True, slots=True)
class RouteLimit:
    """One `guard.limit(...)` on one route. reads_body: whose bucket it is, the body says."""

    windows: Callable[[], tuple[Window, ...]]
    subject: SubjectOf
    cost: Callable[[], int]
    is_exempt: Callable[[], bool]
    reads_body: bool

    def charges(self, context: RequestContext, ambient_subject: str, *, may_read_body: bool) -> list[Charge]:
        """Return what a request is charged; ambient_subject: that of its principal, else of its network.

        may_read_body: False for a request that is refused anyway; its network is charged then.
        """
        if self.is_exempt():
            return []
        is_readable = may_read_body or not self.reads_body
        subject = self.subject(context, ambient_subject) if is_readable else context.client.network
        cost = self.cost()
        return [(window, subject, cost) for window in self.windows()]


def bind_route_limit(
    rule: LimitRule, *, endpoint: str, methods: frozenset[str] | None, label: str, fail_closed: bool
) -> RouteLimit:
    """Return the limit as it counts on one endpoint. methods: those that share its buckets, None for all."""
    place = f"shared:{rule.shared}" if rule.shared else f"route:{endpoint}:{','.join(sorted(methods or ('*',)))}"
    scope = f"{place}:{rule.by if isinstance(rule.by, str) else _place_of(rule.by)}"
    denies = fail_closed or rule.on_error == "deny"

    def parse(text: str) -> tuple[Window, ...]:
        return parse_windows(text, scope=scope, label=label, denies_on_error=denies)

    return RouteLimit(
        windows=_windows_of(rule, parse),
        subject=_subject_of(rule),
        cost=_cost_of(rule),
        is_exempt=safe_exempt(rule.exempt_when) if rule.exempt_when else _never,
        reads_body=isinstance(rule.by, str) and rule.by.startswith("body:"),
    )


def _place_of(function: Callable[[], str]) -> str:
    """Return what tells functions apart, in every worker alike."""
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}:{code.co_firstlineno if code else ''}"


def _windows_of(rule: LimitRule, parse: Callable[[str], tuple[Window, ...]]) -> Callable[[], tuple[Window, ...]]:
    if callable(rule.text):
        read, parse_once = safe_text(rule.text), functools.lru_cache(maxsize=64)(parse)
        return lambda: parse_once(read())
    fixed = parse(rule.text)
    return lambda: fixed


def _cost_of(rule: LimitRule) -> Callable[[], int]:
    if callable(rule.cost):
        return safe_cost(rule.cost, most=MAX_COST if callable(rule.text) else smallest_amount(rule.text))
    fixed = rule.cost
    return lambda: fixed


def _never() -> bool:
    return False


def _subject_of(rule: LimitRule) -> SubjectOf:
    if callable(rule.by):
        key_of = safe_key(rule.by)
        return lambda context, _ambient: _or_network("k", key_of(), context)
    if rule.by == "principal":
        return lambda _context, ambient: ambient
    if rule.by == "tenant":
        return lambda context, _ambient: _or_network("t", _tenant_of(context.principal), context)
    if rule.by.startswith("body:"):
        field = rule.by.removeprefix("body:")
        return lambda context, _ambient: _or_network("b", _read_field(field), context)
    return lambda context, _ambient: context.client.network


def is_made_up(principal: Principal) -> bool:
    """Say whether anybody could have made up the credential: a client key that is not registered."""
    return principal.method == "client_key" and not principal.claims


def _tenant_of(principal: Principal) -> str | None:
    return None if is_made_up(principal) else principal.tenant


def _or_network(kind: str, subject: str | None, context: RequestContext) -> str:
    return context.client.network if not subject else f"{kind}:{subject}"


def _read_body() -> Any:
    if request.is_json:
        return request.get_json(silent=True)
    if request.mimetype in FORM_TYPES:
        return request.form
    # A view may read it by get_json(force=True); not kept, because a view that does not must go on to refuse it.
    return request.get_json(force=True, silent=True, cache=False)


def _read_field(name: str) -> str | None:
    """Return a member of the JSON body or a field of the form; None when it is absent."""
    try:
        body: Any = _read_body()
    except HTTPException:  # too long: the view is told so when it reads the body
        return None
    return normalise_field(body.get(name)) if hasattr(body, "get") else None
