"""The words of rules, as `flask_guard.policies` and the decorators of Guard spell them.

Rule: a word that cannot mean anything is refused where it is written.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from ..authz.policies import Authenticated, Policy, refuse_bare_decorator
from ..browser.csp import as_policy
from ..config.kinds import size_bytes
from ..errors import ConfigError
from ..limits.rule import make_limit_rule
from ..net.fences import make_fence
from .cors_rule import make_cors_rule
from .rules import Access, Rule, as_methods

JSON_KINDS = frozenset({"object", "array", "scalar"})


def public(*, reason: str, methods: Iterable[str] | None = None) -> Rule:
    """No credential is needed, and none is looked at. reason: why, for the route map."""
    shown = _require_reason("public", reason)
    return Rule(f"public(reason={reason!r})", access=Access.PUBLIC, reason=shown, methods=as_methods(methods))


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
    if policy.needs_object:
        raise ConfigError(f"{policy.describe()} asks about an object: use guard.check(policy, obj) in the view.")
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


def accepts(
    schema: Any,
    *,
    location: str = "json",
    many: bool = False,
    max_items: int = 1000,
    partial: bool | None = None,
    existing: Callable[..., Any] | None = None,
    methods: Iterable[str] | None = None,
) -> Rule:
    """What the view takes, loaded by a marshmallow schema before it runs."""
    named = as_methods(methods)
    loaded = importlib.import_module("flask_guard.pipeline.bodies").make_accept_rule(
        schema,
        location=location,
        many=many,
        max_items=max_items,
        partial=partial,
        existing=existing,
        methods=named,
    )
    kinds = frozenset({"array"}) if loaded.schema.many else None
    text = f"accepts({type(loaded.schema).__name__}, location={location!r})"
    return Rule(text, accepts=loaded, json_kinds=kinds, methods=named)


def returns(schema: Any, *, methods: Iterable[str] | None = None) -> Rule:
    """What the view gives, dumped by a marshmallow schema."""
    dumping = importlib.import_module("flask_guard.pipeline.bodies").make_schema("returns", schema)
    return Rule(f"returns({type(dumping).__name__})", returns=dumping, methods=as_methods(methods))


def probe() -> Rule:
    """For what a machine asks every few seconds: no access line, no limits, and plain http will do."""
    return Rule("probe()", is_probe=True, unlimited="a probe")


def limit(text: str | Callable[[], str], *, methods: Iterable[str] | None = None, **options: Any) -> Rule:
    """How often a route may be asked; see `make_limit_rule` for the options."""
    counted = make_limit_rule(text, **options)
    return Rule(counted.describe(), limit=counted, methods=as_methods(methods))


def unlimited(*, reason: str, methods: Iterable[str] | None = None) -> Rule:
    """The limits that every route has do not count here; those that guard.limit() sets do."""
    return Rule(
        f"unlimited(reason={reason!r})", unlimited=_require_reason("unlimited", reason), methods=as_methods(methods)
    )


def no_csrf(*, reason: str, methods: Iterable[str] | None = None) -> Rule:
    """Pages of other origins may send unsafe requests here: for what carries a proof of its own."""
    shown = _require_reason("no_csrf", reason)
    return Rule(f"no_csrf(reason={reason!r})", no_csrf=shown, methods=as_methods(methods))


def csp(policy: Any, *, methods: Iterable[str] | None = None) -> Rule:
    """Another Content-Security-Policy: "api", "page", "off", a policy's text, or what `flask_guard.csp` builds."""
    refuse_bare_decorator("csp", policy)
    return Rule(f"csp({policy!r})", csp=as_policy(policy), methods=as_methods(methods))


def cors(*origins: str, methods: Iterable[str] | None = None, **options: Any) -> Rule:
    """Other origins than GUARD_CORS_ORIGINS may read the answers of this route.

    options: credentials, allow_methods, headers, expose and max_age; each as GUARD_CORS_… where it is not given.
    """
    for origin in origins:
        refuse_bare_decorator("cors", origin)
    return Rule(f"cors({', '.join(origins)})", cors=make_cors_rule(origins, options), methods=as_methods(methods))


def require_network(*networks: str, status: int = 403, methods: Iterable[str] | None = None) -> Rule:
    """The client's address lies in one of the networks (CIDR). status: 403, or 404 to hide the route."""
    for network in networks:
        refuse_bare_decorator("require_network", network)
    fence = make_fence(networks, status=status)
    return Rule(fence.describe(), fence=fence, methods=as_methods(methods))


def _require_reason(word: str, reason: object) -> str:
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigError(f"{word}() needs a reason; it is shown by `flask guard routes`.")
    return reason.strip()


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
