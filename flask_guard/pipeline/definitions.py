"""What an application says in code through its Guard: rules by pattern, steps, headers, health checks.

Settings come from the environment, definitions from the program. They are shared by all applications of
one Guard and read when the plans are compiled; after that they are closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from ..browser.headers import HeaderRule
from ..errors import ConfigError
from .binder import Registration, require_known_step
from .discover import Endpoint
from .rules import Annotations, Rule, as_methods
from .steps import Position
from .words import as_rules

HealthCheck = Callable[[], Any]
DATABASE_CHECK = "db"  # the check of Guard's own database, which no other may stand in for


@dataclass(frozen=True, slots=True)
class RouteHeader:
    """A header for the answers of some endpoints; patterns, empty for every answer."""

    rule: HeaderRule
    endpoints: tuple[str, ...]

    def applies(self, endpoint: str | None) -> bool:
        if not self.endpoints:
            return True
        return endpoint is not None and any(fnmatchcase(endpoint, pattern) for pattern in self.endpoints)


@dataclass(slots=True)
class Definitions:
    """The definitions of one Guard. limiter: its Flask-Limiter, None until the application asks for it."""

    annotations: Annotations = field(default_factory=Annotations)
    patterns: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    registrations: list[Registration] = field(default_factory=list)
    headers: list[RouteHeader] = field(default_factory=list)
    health_checks: dict[str, HealthCheck] = field(default_factory=dict)
    limiter: Any = None

    def add_rules(self, patterns: Mapping[str, Any]) -> None:
        for pattern, words in patterns.items():
            self.patterns[pattern] = (*self.patterns.get(pattern, ()), *as_rules(words, pattern=pattern))

    def add_step(
        self,
        step: str,
        function: Callable[..., Any],
        *,
        position: Position,
        endpoints: Iterable[str],
        blueprints: Iterable[str],
        methods: Iterable[str],
        name: str | None,
    ) -> None:
        require_known_step(step, position)
        if not callable(function):
            raise ConfigError(f"The function of step {step!r} is {function!r}, which cannot be called.")
        self.registrations.append(
            Registration(
                step=step,
                function=function,
                position=position,
                endpoints=_names(endpoints),
                blueprints=_names(blueprints),
                methods=as_methods(wanted) if (wanted := _names(methods)) else None,
                name=name or str(getattr(function, "__qualname__", repr(function))),
            )
        )

    def add_header(
        self, name: str, value: str, *, mode: Literal["set", "append", "if-missing"], endpoints: Iterable[str]
    ) -> None:
        self.headers.append(RouteHeader(HeaderRule(name, value, mode=mode), _names(endpoints)))

    def add_health_check(self, name: str, check: HealthCheck) -> None:
        if not callable(check):
            raise ConfigError(f"The health check {name!r} is {check!r}, which cannot be called.")
        if name == DATABASE_CHECK:
            raise ConfigError(f"The health check {name!r} is Guard's own; give this one another name.")
        self.health_checks[name] = check

    def headers_of(self, endpoint: str | None) -> tuple[HeaderRule, ...]:
        """Return the headers for the answers of an endpoint, None for those that no route gave."""
        return tuple(header.rule for header in self.headers if header.applies(endpoint))

    def find_faults(self, endpoints: list[Endpoint]) -> list[str]:
        """Return what is wrong with steps and headers that name an endpoint or blueprint nobody has.

        endpoints: those of every application of the Guard.
        """
        faults = list(self._find_unknown_places(endpoints))
        for registration in self.registrations:
            if not any(registration.applies(endpoint, method) for endpoint in endpoints for method in endpoint.methods):
                faults.append(f"The function {registration.name!r} at step {registration.step!r} could never run.")
        return faults

    def _find_unknown_places(self, endpoints: list[Endpoint]) -> Iterator[str]:
        """Yield a fault for each pattern that matches nothing, also where another one of the list does."""
        names = {endpoint.name for endpoint in endpoints}
        blueprints = {name for endpoint in endpoints for name in endpoint.blueprints}
        for registration in self.registrations:
            who = f"The function {registration.name!r} at step {registration.step!r}"
            for pattern in registration.endpoints:
                if not any(fnmatchcase(name, pattern) for name in names):
                    yield f"{who} is for the endpoint {pattern!r}, which nobody has."
            for blueprint in registration.blueprints:
                if blueprint not in blueprints:
                    yield f"{who} is for the blueprint {blueprint!r}, which nobody has."
        for header in self.headers:
            for pattern in header.endpoints:
                if not any(fnmatchcase(name, pattern) for name in names):
                    yield f"The header {header.rule.name} is for the endpoint {pattern!r}, which nobody has."

    def find_double_replacements(self, endpoints: list[Endpoint]) -> list[str]:
        """Return a sentence for each step that two functions replace on one route; the last one wins."""
        doubled = []
        for endpoint in endpoints:
            for method in endpoint.methods:
                steps = [r.step for r in self.registrations if r.position == "replace" and r.applies(endpoint, method)]
                doubled += [
                    f"Step {step!r} of {endpoint.name!r} is replaced twice; the last one wins."
                    for step in sorted(set(steps))
                    if steps.count(step) > 1
                ]
        return list(dict.fromkeys(doubled))


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
