"""`guard.limiter`: Flask-Limiter's decorators, written as rules of ours and counted by Guard.

Importing Flask-Limiter takes longer than the rest of an application's start, so this module is loaded when somebody
asks for it. A decorator returns the view itself, so a request pays nothing for having been decorated.
Rule: what Flask-Limiter knows and Guard does not is a ConfigError where it is written; nothing is left out silently.
Source: Flask-Limiter 4.1, `LimitManager.resolve_limits`, for which limits of nested blueprints count together.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from flask import Flask, current_app, has_app_context
from flask_limiter import ExemptionScope, Limiter, RouteLimit
from flask_limiter.util import get_remote_address
from limits.storage import Storage

from ..errors import ConfigError
from ..limits.rule import LimitRule, make_limit_rule, safe_exempt
from ..values import ANONYMOUS
from .context import find_request_context
from .discover import Endpoint, find_levels
from .limiter_commands import Counting, GuardLimitManager, GuardStorage, GuardStrategy
from .plan import PlacedLimit
from .rates import subject_of
from .rules import Rule, as_methods, rules_of

if TYPE_CHECKING:
    from .runtime import Runtime

WriteRule = Callable[[Rule], Callable[[Any], Any]]

_COUNTING_KEY: Final = "guard.limiter"
_DEFAULT_EXEMPTION: Final = ExemptionScope.APPLICATION | ExemptionScope.DEFAULT | ExemptionScope.META
_UNKNOWN_TO_GUARD: Final = {
    "deduct_when": "it is decided by the answer, and Guard counts before there is one",
    "error_message": "Guard tells every caller the same, GUARD_RATE_LIMIT_MESSAGE",
    "meta_limits": "Guard has no limits on refusals; a second limit over a longer time does the same",
    "on_breach": "Guard answers a refusal itself, and logs and counts it",
}


def make_limiter(write: WriteRule) -> GuardLimiter:
    """Return the Limiter of one Guard. write: makes a decorator of a rule, as `guard.limit()` does."""
    return GuardLimiter(write)


def attach_runtime(limiter: GuardLimiter, app: Flask, runtime: Runtime) -> None:
    """Let `flask limiter` see what the application enforces, and what its storage has counted."""
    scheme = runtime.settings.limits.storage_uri.reveal().partition("://")[0]
    counting = Counting(
        runtime.rates.store,
        storage="memory://" if scheme == "memory" else f"{scheme}://***",
        plans=runtime.compile,
        tiers=runtime.rates.tiers,
    )
    limiter.attach(app, counting)


def principal_or_network() -> str:
    """Return the key of the current request that counts without a `key_func`: its principal, else its network."""
    context = find_request_context()
    if context is None:
        return ""
    return context.client.network if context.principal is ANONYMOUS else subject_of(context.principal)


def network() -> str:
    """Return the network of the current request, which stands in for `get_remote_address`."""
    context = find_request_context()
    return "" if context is None else context.client.network


_KEYS: Final = {"principal": principal_or_network, "address": network}


class GuardLimiter(Limiter):
    """A Limiter whose decorators write rules, which checks nothing itself and has no hooks.

    It serves all applications of its Guard. Outside of a request, `limiter`, `storage` and `reset()` are about the
    only one of them; RuntimeError when there are several.
    """

    def __init__(self, write: WriteRule) -> None:
        super().__init__(principal_or_network)
        self._write = write
        self._apps: weakref.WeakSet[Flask] = weakref.WeakSet()
        self._are_filters_read = False
        self.limit_manager = GuardLimitManager(self.counting_of)

    def init_app(self, app: Flask) -> NoReturn:
        """Refuse: a Limiter with hooks of its own would count beside Guard."""
        raise ConfigError("guard.limiter is part of its Guard: guard.init_app(app) is all that it needs.")

    def attach(self, app: Flask, counting: Counting) -> None:
        """Let `flask limiter` find an application's limits. Called once, when the application is guarded."""
        self._apps.add(app)
        app.extensions[_COUNTING_KEY] = counting
        app.extensions.setdefault("limiter", set()).add(self)

    def counting_of(self, app: Flask | None = None) -> Counting:
        """Return where an application counts; without one, the current application, else the only one."""
        if app is None and has_app_context():
            app = cast(Any, current_app)._get_current_object()
        if app is None or app not in self._apps:
            if len(self._apps) != 1:
                raise RuntimeError(
                    f"guard.limiter serves {len(self._apps)} applications; use it in the context of one."
                )
            (app,) = self._apps
        return cast(Counting, app.extensions[_COUNTING_KEY])

    @property
    def storage(self) -> Storage:
        """Where the current application counts."""
        return cast(Storage, GuardStorage(self.counting_of()))

    @property
    def limiter(self) -> GuardStrategy:
        """The counts of the current application, as `flask limiter` asks for them."""
        return GuardStrategy(self.counting_of())

    def limit(self, limit_value: str | Callable[[], str], **options: Any) -> RecordedLimit:
        """Return a decorator for a view, a view class or a blueprint; the options are those of Flask-Limiter."""
        return RecordedLimit(super().limit(limit_value, **options), self, self._write)

    def shared_limit(
        self, limit_value: str | Callable[[], str], scope: str | Callable[[str], str], **options: Any
    ) -> RecordedLimit:
        """Return a decorator for several of them, which count together."""
        return RecordedLimit(super().shared_limit(limit_value, scope, **options), self, self._write)

    def exempt(self, obj: Any = None, *, flags: ExemptionScope = _DEFAULT_EXEMPTION) -> Any:
        """Lift the limits that every route has from a view or the views of a blueprint, as `guard.unlimited()` does."""
        if flags != _DEFAULT_EXEMPTION:
            raise ConfigError("limiter.exempt() takes no flags under Guard; see guard.unlimited(reason=...).")
        write = self._write(LimiterRule("limiter.exempt()", unlimited="limiter.exempt()", limiter=self))
        return write if obj is None else write(obj)

    def request_filter(self, fn: Callable[[], bool]) -> Callable[[], bool]:
        """Exempt requests from the limits of this Limiter where the function returns True."""
        if self._are_filters_read:
            raise ConfigError("limiter.request_filter() came after the rules were compiled: it would not be asked.")
        return super().request_filter(fn)

    def read_filters(self) -> Sequence[Callable[[], bool]]:
        """Return the functions of `request_filter`; after that none is taken any more."""
        self._are_filters_read = True
        return self._request_filters


class RecordedLimit(RouteLimit):
    """What `limiter.limit()` returns: a decorator that writes a rule and gives the view back as it is."""

    def __init__(self, limit: RouteLimit, limiter: GuardLimiter, write: WriteRule) -> None:
        vars(self).update(vars(limit))
        self._decorate = write(_as_rule(limit, limiter))

    def __call__(self, obj: Any) -> Any:
        return self._decorate(obj)

    def __enter__(self) -> NoReturn:
        raise ConfigError("guard.limiter limits whole requests: write limiter.limit() as a decorator, not with `with`.")


@dataclass(frozen=True, slots=True, eq=False)
class LimiterRule(Rule):
    """What a decorator of a GuardLimiter says. counted: None for an exemption.

    scope: what tells buckets apart beside the route, or in its place when it is shared; a function gets the endpoint.
    overrides: whether it stands in for the limits of the blueprints around it.
    """

    counted: LimitRule | None = None
    scope: str | Callable[[str], str] | None = None
    is_shared: bool = False
    per_method: bool = False
    overrides: bool = True
    limiter: GuardLimiter | None = None


def _as_rule(limit: RouteLimit, limiter: GuardLimiter) -> LimiterRule:
    """Return a limit of Flask-Limiter as a rule; raises ConfigError for what it says that Guard cannot do."""
    faults = [
        f"limiter.limit({limit.limit_provider!r}) has {option}=, but {why}."
        for option, why in _UNKNOWN_TO_GUARD.items()
        if getattr(limit, option)
    ]
    if faults:
        raise ConfigError(*faults)
    by: str | Callable[[], str] = limit.limit_by
    if by is principal_or_network:
        by = "principal"
    elif by is get_remote_address:
        by = "address"
    counted = make_limit_rule(
        limit.limit_provider,
        by=by,
        cost=1 if limit.cost is None else limit.cost,
        shared=limit.scope if limit.shared and not callable(limit.scope) else None,
        exempt_when=limit.exempt_when,
    )
    return LimiterRule(
        f"limiter.{counted.describe()}",
        counted=counted,
        scope=limit.scope,
        is_shared=limit.shared,
        per_method=limit.per_method,
        overrides=bool(limit.override_defaults),
        methods=as_methods(None if limit.methods is None else [method.upper() for method in limit.methods]),
        limiter=limiter,
    )


def resolve_limits(app: Flask, endpoint: Endpoint, method: str) -> tuple[PlacedLimit, ...]:
    """Return what the decorators say of one method of an endpoint, whichever Guard they belong to.

    As in Flask-Limiter, a view's limit stands in for those of its blueprints, and a blueprint's for those of the
    blueprints around it, unless it says `override_defaults=False`; other than there, only limits that are about the
    method do. Raises ConfigError for a place that is limited and exempt, and for an exemption that would reach further
    than Flask-Limiter's.
    """
    itself = dataclasses.replace(endpoint, blueprints=())
    own = _limits_at(
        f"view {endpoint.name}",
        (rule for level in find_levels(app, itself, {}, method=method) for rule in level.rules),
        method,
    )
    if not own or not any(rule.overrides for rule in own):
        own = [*_limits_around(app, endpoint, method), *own]
    return tuple(_place(rule, rule.counted, endpoint.name, method) for rule in own if rule.counted is not None)


def _limits_around(app: Flask, endpoint: Endpoint, method: str) -> list[LimiterRule]:
    """Return what the blueprints around an endpoint say, the outer one first."""
    levels = [_limits_at(f"blueprint {name}", rules_of(app.blueprints[name]), method) for name in endpoint.blueprints]
    for name, rules in zip(endpoint.blueprints[:-1], levels, strict=False):
        if any(rule.counted is None for rule in rules):
            raise ConfigError(
                f"limiter.exempt() on the blueprint {name!r} would exempt {endpoint.name!r}, of a blueprint inside of "
                "it, too; write it on each blueprint or view that is meant."
            )
    if not levels:
        return []
    inner = levels[-1]
    is_final = bool(inner) and all(rule.overrides for rule in inner)
    return inner if is_final else [rule for level in levels for rule in level]


def _limits_at(place: str, rules: Iterable[Rule], method: str) -> list[LimiterRule]:
    found = [rule for rule in rules if isinstance(rule, LimiterRule) and rule.covers(method)]
    if len({rule.counted is None for rule in found}) > 1:
        raise ConfigError(f"{place} has limiter.limit() and limiter.exempt() at once; one of the two must go.")
    return found


def _place(rule: LimiterRule, counted: LimitRule, endpoint: str, method: str) -> PlacedLimit:
    """Return a rule as it counts on one endpoint for one method. HEAD counts as GET, which its view answers too."""
    methods, by, shared = rule.methods, counted.by, counted.shared
    label = counted.shared
    if callable(rule.scope):
        by = _key_within(rule.scope, _KEYS[by] if isinstance(by, str) else by, endpoint)
        shared = "limiter" if rule.is_shared else None
    elif rule.scope and not rule.is_shared:
        shared, label = f"{endpoint}:{rule.scope}", "route"
    if rule.per_method:
        verb = "GET" if method == "HEAD" else method
        methods = frozenset({"GET", "HEAD"} if verb == "GET" else {verb})
        shared = None if shared is None else f"{shared}:{verb}"
    placed = dataclasses.replace(counted, by=by, shared=shared, label=label, exempt_when=_exemption(rule, counted))
    return placed, methods


def _key_within(scope: Callable[[str], str], key_of: Callable[[], str], endpoint: str) -> Callable[[], str]:
    """Return a function whose key begins with what the scope says of the current request."""

    def key_within() -> str:
        key = key_of()
        return f"{scope(endpoint)}|{key}" if key else ""

    return key_within


def _exemption(rule: LimiterRule, counted: LimitRule) -> Callable[[], bool] | None:
    """Return what exempts a request from the limit: its own function or a filter of its Limiter; None for nothing."""
    asked = [*(rule.limiter.read_filters() if rule.limiter else ()), counted.exempt_when]
    functions = [safe_exempt(function) for function in asked if function is not None]
    if not functions:
        return None
    return lambda: any(function() for function in functions)
