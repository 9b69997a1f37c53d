"""Rules: what a decorator writes on a view, a view class or a blueprint.

A rule is an annotation. The decorator returns the same object, so its place above or below `@app.route`
cannot matter, and a wrapper that uses `functools.wraps` carries it along. `discover` finds them,
`merge` makes one answer of them.
Rule of this file: a rule that cannot mean anything is refused where it is written.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from ..authz.policies import Authenticated, Policy, refuse_bare_decorator
from ..config.kinds import size_bytes
from ..errors import ConfigError

ATTRIBUTE = "__guard_rules__"
HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"})
JSON_KINDS = frozenset({"object", "array", "scalar"})

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
    Exactly one of access, policy, max_body_bytes and json_kinds is set.
    """

    text: str
    access: Access | None = None
    reason: str = ""
    policy: Policy | None = None
    max_body_bytes: int | None = None
    json_kinds: frozenset[str] | None = None
    is_quiet: bool = False
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

    def decorator(self, rule: Rule) -> Callable[[Target], Target]:
        """Return a decorator that writes the rule and remembers where."""

        def write(target: Target) -> Target:
            annotate(target, rule)
            self._written.append((weakref.ref(target), weakref.ref(rules_of(target)[-1])))
            return target

        return write

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


# The words, as `flask_guard.policies` and the decorators of Guard spell them ------------------------------


def public(*, reason: str, methods: Iterable[str] | None = None) -> Rule:
    """No credential is needed, and none is looked at. reason: why, for the route map."""
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigError("public() needs a reason; it is shown by `flask guard routes`.")
    return Rule(f"public(reason={reason!r})", access=Access.PUBLIC, reason=reason.strip(), methods=as_methods(methods))


def optional_auth(*, methods: Iterable[str] | None = None) -> Rule:
    """An absent credential passes, a bad one is refused, a good one authenticates."""
    return Rule("optional_auth()", access=Access.OPTIONAL, methods=as_methods(methods))


def require_authenticated(*, methods: Iterable[str] | None = None) -> Rule:
    """Any principal; what a route without a rule asks for."""
    return Rule("authenticated()", access=Access.AUTHENTICATED, methods=as_methods(methods))


def require(policy: Policy, *, methods: Iterable[str] | None = None) -> Rule:
    """The policy must say yes."""
    refuse_bare_decorator("require", policy)
    if not isinstance(policy, Policy):
        raise ConfigError(f"require() takes a policy such as role('admin'), not {policy!r}.")
    return Rule(f"require({policy.describe()})", policy=policy, methods=as_methods(methods))


def max_body(size: str | int, *, methods: Iterable[str] | None = None) -> Rule:
    """The largest body of this route, lower or higher than the default: bytes, or text such as "32K"."""
    refuse_bare_decorator("max_body", size)
    try:
        limit = size_bytes(size)
    except ValueError as exc:
        raise ConfigError(f"max_body({size!r}) {exc}.") from exc
    return Rule(f"max_body({size!r})", max_body_bytes=limit, methods=as_methods(methods))


def json_body(*kinds: str, methods: Iterable[str] | None = None) -> Rule:
    """What a JSON body may be at its top: "object" (the default of every route), "array", "scalar"."""
    known = ", ".join(sorted(JSON_KINDS))
    if not kinds:
        raise ConfigError(f"json_body() needs one at least of {known}.")
    for kind in kinds:
        refuse_bare_decorator("json_body", kind)
        if kind not in tuple(JSON_KINDS):  # a tuple: asked for a list, a set raises TypeError
            raise ConfigError(f"json_body() takes {known}, one by one as in json_body('array'), not {kind!r}.")
    return Rule(f"json_body({', '.join(kinds)})", json_kinds=frozenset(kinds), methods=as_methods(methods))


def quiet() -> Rule:
    """No access line is written: for what is asked every few seconds and says nothing."""
    return Rule("quiet()", is_quiet=True)


def as_rules(words: Any, *, pattern: str) -> tuple[Rule, ...]:
    """Return what was written in `guard.rules({pattern: ...})` as rules: a word, a policy, or several in a list."""
    items = words if isinstance(words, (list, tuple)) else (words,)
    if not items:
        raise ConfigError(f"guard.rules() has an empty list of rules for the pattern {pattern!r}.")
    return tuple(_as_rule(item, pattern) for item in items)


def _as_rule(word: Any, pattern: str) -> Rule:
    if isinstance(word, Rule):
        return dataclasses.replace(word)
    if isinstance(word, Authenticated):
        return require_authenticated()
    if isinstance(word, Policy):
        return require(word)
    shown = f"{word.__name__} without parentheses" if inspect.isroutine(word) else repr(word)
    raise ConfigError(
        f"guard.rules() has {shown} for the pattern {pattern!r}; it takes what the functions of "
        "flask_guard.policies return, such as public(reason='assets'), optional_auth(), role('admin') or tenant()."
    )


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
