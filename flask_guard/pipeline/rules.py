"""Rules: what a decorator writes on a view, a view class or a blueprint.

A rule is an annotation. The decorator returns the same object, so its place above or below `@app.route`
cannot matter, and a wrapper that uses `functools.wraps` carries it along. `discover` finds them,
`merge` makes one answer of them, `words` has what they may say.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..authz.policies import Policy
from ..errors import ConfigError
from ..limits.rule import LimitRule
from ..net.fences import Fence
from .cors_rule import CorsRule

if TYPE_CHECKING:
    from marshmallow import Schema

    from .bodies import AcceptRule

ATTRIBUTE = "__guard_rules__"
HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"})

Target = TypeVar("Target")


class Access(StrEnum):
    """What a route asks of a caller before any requirement. In the order from open to closed."""

    PUBLIC = "public"
    OPTIONAL = "optional"
    AUTHENTICATED = "authenticated"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Rule:
    """One thing that a decorator says. Compared by identity: two equal rules on two views are two rules.

    methods: the HTTP methods it is about, None for all. GET covers HEAD.
    no_csrf, unlimited: the reason for the exception. is_probe: asked by a machine every few seconds.
    Apart from `methods` and `reason`, one thing is set; a probe is unlimited too, and `accepts` has its `json_kinds`.
    """

    text: str
    access: Access | None = None
    reason: str = ""
    policy: Policy | None = None
    max_body_bytes: int | None = None
    json_kinds: frozenset[str] | None = None
    accepts: AcceptRule | None = None
    returns: Schema | None = None
    limit: LimitRule | None = None
    unlimited: str = ""
    no_csrf: str = ""
    csp: str | None = None
    cors: CorsRule | None = None
    fence: Fence | None = None
    is_probe: bool = False
    methods: frozenset[str] | None = None

    def covers(self, method: str) -> bool:
        return self.methods is None or method in self.methods

    def __call__(self, _target: object) -> NoReturn:
        """Refuse to be a decorator: written past a Guard, a rule that no route reads would go unnoticed."""
        raise ConfigError(
            f"{self.text} is a word for guard.rules(); on a view or a blueprint, write the decorator of your Guard, "
            "such as @guard.public(reason=...)."
        )


def annotate(target: Target, rule: Rule) -> Target:
    """Add a copy of the rule to the target's own rules.

    Raises ConfigError for what cannot carry one, such as a view's name or an instance of a view class.
    """
    if isinstance(target, (staticmethod, classmethod)):
        raise ConfigError(f"{rule.text} stands above @{type(target).__name__}; write it below, on the function.")
    if not (inspect.isroutine(target) or inspect.isclass(target) or _is_blueprint(target)):
        raise ConfigError(f"{rule.text} is written on {target!r}; it belongs on a view, a view class or a blueprint.")
    own = vars(target).get(ATTRIBUTE, ()) if hasattr(target, "__dict__") else ()
    copy = dataclasses.replace(rule)
    try:
        setattr(target, ATTRIBUTE, (*own, copy))
    except (AttributeError, TypeError) as exc:
        raise ConfigError(f"{rule.text} cannot be written on {target!r}; write it on the function itself.") from exc
    return target


def _is_blueprint(target: object) -> bool:
    return hasattr(target, "deferred_functions") and hasattr(target, "register")


def rules_of(target: object) -> tuple[Rule, ...]:
    """Return the rules on the target itself, in the order of writing; for a partial, on its function."""
    while isinstance(target, functools.partial):
        target = target.func
    own = vars(target).get(ATTRIBUTE, ()) if hasattr(target, "__dict__") else ()
    return tuple(own)


class Annotations:
    """Every rule written through one Guard, so that a rule that no route ever reads is found."""

    def __init__(self) -> None:
        self._written: list[tuple[weakref.ref[Any], weakref.ref[Rule]]] = []
        self._placed: weakref.WeakSet[Rule] = weakref.WeakSet()
        self._idle: dict[int, Rule] = {}

    def decorator(self, rule: Rule) -> Callable[[Target], Target]:
        """Return a decorator that writes the rule and remembers where."""
        if rule.limit is not None and callable(rule.limit.text):
            self._idle[id(rule)] = rule

        def write(target: Target) -> Target:
            annotate(target, rule)
            self._idle.pop(id(rule), None)
            self._written.append((weakref.ref(target), weakref.ref(rules_of(target)[-1])))
            return target

        return write

    def find_idle(self) -> Iterator[str]:
        """Yield a fault for each limit by a function that was written on nothing: the function is the view then."""
        for rule in self._idle.values():
            yield f"{rule.text} is written on nothing; above a view it needs parentheses, as in @guard.limit(...)."

    def place(self, rules: Iterable[Rule]) -> None:
        """Note that a plan was made from these rules."""
        self._placed.update(rules)

    def unplaced(self) -> Iterator[tuple[Any, Rule]]:
        """Yield (target, rule) for every rule that no plan was made from."""
        self._written = [(target, rule) for target, rule in self._written if target() is not None]
        for target_ref, rule_ref in list(self._written):
            target, rule = target_ref(), rule_ref()
            if target is not None and rule is not None and rule not in self._placed:
                yield target, rule


def as_methods(methods: Iterable[str] | None) -> frozenset[str] | None:
    """Return what `methods=` names; None for all. GET brings HEAD along, which its view answers too."""
    if methods is None:
        return None
    named = {methods} if isinstance(methods, str) else set(methods)
    unknown = sorted(str(method) for method in named if method not in HTTP_METHODS)
    if unknown or not named:
        raise ConfigError(f"methods= takes HTTP methods in capitals, not {', '.join(unknown) or 'an empty list'}.")
    if "GET" in named:
        named.add("HEAD")
    return frozenset(named)
