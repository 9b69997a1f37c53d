"""Plans: for every endpoint and method, which steps a request walks, compiled before the first request.

The same table serves the request, the access map and the checks, so that what is shown is what is
enforced. Rule: a route without a plan cannot be reached.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask

from ..authz.policies import Policy
from ..browser.headers import HeaderRule, PreparedPolicy
from ..config.sections import DefaultAccess
from ..errors import ConfigError
from ..limits.rule import LimitRule
from ..net.fences import Fence
from ..values import Finding, Level
from .cors_answers import CorsAnswers
from .cors_rule import CorsRule
from .discover import (
    Endpoint,
    Patterns,
    find_endpoints,
    find_hidden,
    find_hiding_wrapper,
    find_levels,
    find_unregistered_blueprint,
)
from .merge import Level as RuleLevel
from .merge import merge
from .rules import Access, Annotations, Rule

if TYPE_CHECKING:
    from marshmallow import Schema

    from .bodies import AcceptRule

Step = Callable[[Any], Any]
# A limit and the methods that it counts together, None for all.
PlacedLimit = tuple[LimitRule, frozenset[str] | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request to one endpoint with one method meets.

    before: the steps on the way in, each takes the RequestContext and returns None or a response.
    after: the steps on the way out, each takes the context and the response.
    origin: the level that set the access. lifted: requirements set aside by a public inside of them.
    unlimited, no_csrf: why the route is excepted. is_probe: its requests leave no access line.
    headers: what the application adds to its answers. policy: its own content policy, None for the common one.
    charge: counts a request that is refused before its step, None where nothing is counted.
    replaced: the deciding steps that a function of the application stands in for, in words.
    """

    endpoint: str | None
    method: str
    access: Access
    requirement: Policy | None = None
    origin: str = "default"
    reason: str = ""
    lifted: tuple[str, ...] = ()
    max_body_bytes: int | None = None
    json_kinds: frozenset[str] = frozenset({"object"})
    accepts: AcceptRule | None = None
    returns: Schema | None = None
    limits: tuple[PlacedLimit, ...] = ()
    unlimited: str = ""
    no_csrf: str = ""
    csp: str | None = None
    cors: CorsRule | None = None
    fences: tuple[Fence, ...] = ()
    is_probe: bool = False
    headers: tuple[HeaderRule, ...] = ()
    policy: PreparedPolicy | None = None
    cors_answers: CorsAnswers | None = None
    charge: Step | None = None
    replaced: tuple[str, ...] = ()
    before: tuple[Step, ...] = ()
    after: tuple[Callable[[Any, Any], Any], ...] = ()


@dataclass(frozen=True, slots=True)
class PlanTable:
    """All plans of an application, and what was noticed while making them.

    unrouted: the plan of a request that no route answers (404, 405, redirects).
    is_enforced: False under GUARD_DEFAULT_ACCESS=report-only, where plans decide and refuse nothing.
    """

    plans: dict[str, dict[str, Plan]]
    endpoints: list[Endpoint]
    unrouted: Plan
    findings: tuple[Finding, ...] = field(default=())
    is_enforced: bool = True

    def find(self, endpoint: str, method: str) -> Plan | None:
        """Return the plan of a route; None for one that was not there when the plans were compiled."""
        try:
            return self.plans[endpoint][method]
        except KeyError:
            return None

    @property
    def has_after_steps(self) -> bool:
        return any(plan.after for plan in (self.unrouted, *self.every))

    @property
    def every(self) -> Iterator[Plan]:
        """The plans of all routes."""
        return (plan for methods in self.plans.values() for plan in methods.values())


def compile_plans(
    app: Flask,
    *,
    apps: Iterable[Flask],
    annotations: Annotations,
    patterns: Patterns,
    default: DefaultAccess,
    bind: Callable[[Plan, Endpoint | None], Plan],
    further_faults: Iterable[str] = (),
) -> PlanTable:
    """Return the plans of an application.

    apps: every application of the same Guard; a rule must be read by one of them.
    bind: gives a plan its steps. further_faults: what else is wrong with the application.
    Raises ConfigError with every fault.
    """
    apps = list(apps)
    endpoints = find_endpoints(app)
    compiler = _Compiler(app, patterns, default)
    plans = {
        endpoint.name: {method: bind(compiler.plan(endpoint, method), endpoint) for method in endpoint.methods}
        for endpoint in endpoints
    }
    for other in apps:
        annotations.place(_rules_in(other, patterns))
    findings = list(_wrapped_findings(endpoints))
    faults = [*compiler.faults, *compiler.silent_rules(), *_dead_patterns(apps, patterns), *further_faults]
    faults += annotations.find_idle()
    for said in _unplaced(annotations, endpoints, apps):
        if isinstance(said, Finding):
            findings.append(said)
        else:
            faults.append(said)
    faults += _unequal_shares(plans)
    if faults:
        raise ConfigError(*dict.fromkeys(faults))
    findings += _replaced_findings(plans)
    unrouted = bind(Plan(None, "", Access.PUBLIC, reason="no route"), None)
    said_once = tuple(dict.fromkeys(findings))
    return PlanTable(plans, endpoints, unrouted, said_once, is_enforced=default != "report-only")


class _Compiler:
    """Merges rules and remembers which methods each of them was about."""

    def __init__(self, app: Flask, patterns: Patterns, default: DefaultAccess) -> None:
        self.app = app
        self.patterns = patterns
        self.default = default
        self.faults: list[str] = []
        self._fired: dict[int, tuple[Rule, RuleLevel, set[str]]] = {}

    def plan(self, endpoint: Endpoint, method: str) -> Plan:
        levels = find_levels(self.app, endpoint, self.patterns, method=method)
        for level in levels:
            for rule in level.rules:
                fired = self._fired.setdefault(id(rule), (rule, level, set()))[2]
                if rule.covers(method):
                    fired.add(method)
        merged, faults = merge(levels, method=method, default=self.default)
        self.faults += faults
        return Plan(
            endpoint=endpoint.name,
            method=method,
            access=merged.access,
            requirement=merged.requirement,
            origin=merged.origin,
            reason=merged.reason,
            lifted=tuple(merged.lifted),
            max_body_bytes=merged.max_body_bytes,
            json_kinds=merged.json_kinds,
            accepts=merged.accepts,
            returns=merged.returns,
            limits=tuple(merged.limits),
            unlimited=merged.unlimited,
            no_csrf=merged.no_csrf,
            csp=merged.csp,
            cors=merged.cors,
            fences=tuple(merged.fences),
            is_probe=merged.is_probe,
        )

    def silent_rules(self) -> Iterable[str]:
        """Yield a fault for each rule about a method that its route does not have."""
        for rule, level, fired in self._fired.values():
            missing = (rule.methods or frozenset()) - fired
            if missing and not (level.is_wide and fired):
                names = ", ".join(sorted(missing))
                yield f"{rule.text} on {level.name} is about {names}, which it does not answer."


def _unequal_shares(plans: dict[str, dict[str, Plan]]) -> Iterable[str]:
    """Yield a fault for each name that limits share which are not one limit: they would count apart."""
    shares: dict[str, set[tuple[Any, Any]]] = {}
    for plan in (plan for methods in plans.values() for plan in methods.values()):
        for rule, _methods in plan.limits:
            if rule.shared is not None:
                shares.setdefault(rule.shared, set()).add((rule.text, rule.by))
    for name, said in shares.items():
        if len(said) > 1:
            yield f"limit(shared={name!r}) has several texts or keys; routes that share a limit have the same."


def _rules_in(app: Flask, patterns: Patterns) -> Iterable[Rule]:
    for endpoint in find_endpoints(app):
        for method in endpoint.methods:
            for level in find_levels(app, endpoint, patterns, method=method):
                yield from level.rules


def _dead_patterns(apps: Iterable[Flask], patterns: Patterns) -> Iterable[str]:
    names = [endpoint.name for app in apps for endpoint in find_endpoints(app)]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            yield f"The pattern {pattern!r} of guard.rules() matches no endpoint."


def _unplaced(annotations: Annotations, endpoints: list[Endpoint], apps: list[Flask]) -> Iterable[str | Finding]:
    """Yield what is to be said of rules that no route reads: a fault, or a finding for an idle blueprint."""
    if not list(annotations.unplaced()):
        return
    gc.collect()  # views of an application that is gone are not typos
    for target, rule in annotations.unplaced():
        where = f"{rule.text} is written on {_name_of(target)}"
        hidden_by = find_hiding_wrapper(endpoints, target)
        if hidden_by is not None:
            yield (
                f"{where}, but the endpoint {hidden_by!r} routes a wrapper around it that does not use "
                "functools.wraps, so the rule would not be seen."
            )
        elif isinstance(target, Blueprint):
            yield _idle_blueprint(f"{where}, which", target, apps)
        elif (blueprint := find_unregistered_blueprint(target)) is not None:
            yield _idle_blueprint(f"{where}, which is part of the blueprint {blueprint!r}; it", None, apps)
        else:
            yield f"{where}, which no application or blueprint routes."


def _name_of(target: Any) -> str:
    if isinstance(target, Blueprint):
        return f"the blueprint {target.name!r}"
    return f"{target.__module__}.{target.__qualname__}"


def _idle_blueprint(what: str, blueprint: Blueprint | None, apps: list[Flask]) -> Finding:
    is_registered = any(blueprint in app.blueprints.values() for app in apps)
    state = "has no routes" if is_registered else "is not registered with an application of this Guard"
    return Finding("FG-ROUTE-002", Level.WARNING, f"{what} {state}.", "Register the blueprint, or remove the rule.")


def _replaced_findings(plans: dict[str, dict[str, Plan]]) -> Iterable[Finding]:
    """Yield a finding for each route whose rules a function of the application stands in for."""
    for endpoint, methods in plans.items():
        for replaced in dict.fromkeys(name for plan in methods.values() for name in plan.replaced):
            yield Finding(
                "FG-ROUTE-003",
                Level.WARNING,
                f"On {endpoint!r} {replaced}: what the map says of it is not what decides.",
                "Register the function before or after the step, or make sure that it refuses as the rules do.",
            )


def _wrapped_findings(endpoints: list[Endpoint]) -> Iterable[Finding]:
    for endpoint in endpoints:
        for hidden, missed in find_hidden(endpoint):
            texts = ", ".join(rule.text for rule in missed)
            lost = f"{texts} on {_name_of(hidden)} is not seen" if missed else "rules below it are not seen"
            yield Finding(
                "FG-ROUTE-001",
                Level.WARNING,
                f"The view of {endpoint.name!r} is a wrapper without functools.wraps: {lost}.",
                "Add @functools.wraps(view) to the decorator, or write a rule of its own on the view.",
            )
