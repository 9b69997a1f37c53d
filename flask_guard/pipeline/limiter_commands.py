"""What `flask limiter` reads and clears, in the shapes that Flask-Limiter's commands expect.

Rule: the limits are those of the compiled plans and the counts those of the store that requests use, so that what
is shown is what is enforced. A key is written as it is counted: a network, or "p:<method>:<issuer> <id>".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Final, NoReturn, cast

from flask import Flask
from flask_limiter import Limit
from flask_limiter._limits import RuntimeLimit
from flask_limiter._manager import LimitManager
from limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    RateLimitItemPerSecond,
    WindowStats,
)
from limits.storage import Storage
from limits.strategies import RateLimiter

from ..errors import ConfigError, StoreUnavailable
from ..limits.rates import RateStore, Window
from .plan import PlanTable
from .route_limits import bind_route_limit

_UNITS: Final = (RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute, RateLimitItemPerSecond)
_PROBE: Final = Window(scope="probe", amount=1, seconds=1, label="probe")


@dataclass(frozen=True, slots=True)
class Counting:
    """Where one application counts.

    storage: its name for people, without credentials. tiers: the windows that every route has.
    """

    store: RateStore = field(repr=False)
    storage: str
    plans: Callable[[], PlanTable] = field(repr=False)
    tiers: tuple[Window, ...] = ()


class GuardStorage:
    """The part of `limits.storage.Storage` that is asked for outside of requests."""

    def __init__(self, counting: Counting) -> None:
        self._store = counting.store
        self.storage = counting.storage

    def check(self) -> bool:
        """Say whether the store answers."""
        try:
            self._store.charge([(_PROBE, "probe", 0)])
        except StoreUnavailable:
            return False
        return True

    def reset(self) -> None:
        """Forget every count."""
        self._store.reset()


class GuardStrategy(RateLimiter):
    """The counts by limit, key and scope, the scope being that of a Window."""

    def __init__(self, counting: Counting) -> None:
        self.storage = cast(Storage, GuardStorage(counting))
        self._store = counting.store

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Charge a key, and say whether there was room."""
        window, key = _window_of(item, identifiers)
        return self._store.charge([(window, key, cost)])[0][0]

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Say whether a key has room, counting nothing."""
        return self.get_window_stats(item, *identifiers).remaining >= cost

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the window is as good as new (seconds since the epoch) and what is left of it."""
        window, key = _window_of(item, identifiers)
        _allowed, remaining, wait_s = self._store.charge([(window, key, 0)])[0]
        return WindowStats(ceil(time.time() + wait_s), remaining)

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget what a key has used."""
        self._store.forget(*_window_of(item, identifiers))


class GuardLimitManager(LimitManager):
    """Tells which limits there are. find: where an application counts; without one, the current application."""

    def __init__(self, find: Callable[[Flask | None], Counting]) -> None:
        super().__init__([], [], {}, {}, {}, {})
        self._find = find

    @property
    def application_limits(self) -> list[RuntimeLimit]:
        """The limits that every route has."""
        return _show(self._find(None).tiers)

    def resolve_limits(
        self, app: Flask, endpoint: str | None = None, *_asked: object, **_options: object
    ) -> tuple[list[RuntimeLimit], ...]:
        """Return no limits that are there by default, and those of the endpoint itself."""
        return [], _show(_windows_of(self._find(app).plans(), endpoint or ""))

    def add_decorated_limit(self, route: str, limit: Limit | None, override: bool = False) -> NoReturn:
        raise ConfigError(f"A RouteLimit on {route} is not for guard.limiter: write @guard.limiter.limit(...).")

    def add_blueprint_limit(self, blueprint: str, limit: Limit | None) -> NoReturn:
        self.add_decorated_limit(f"the blueprint {blueprint}", limit)


def _windows_of(plans: PlanTable, endpoint: str) -> Iterator[Window]:
    for plan in plans.plans.get(endpoint, {}).values():
        for rule, methods in plan.limits:
            bound = bind_route_limit(rule, endpoint=endpoint, methods=methods, label="route", fail_closed=False)
            yield from bound.windows()


def _show(windows: Iterable[Window]) -> list[RuntimeLimit]:
    """Return windows as the commands show them, each once; their scope is the whole name of the bucket."""
    return [RuntimeLimit(_item_of(window), str, window.scope, shared=True) for window in dict.fromkeys(windows)]


def _item_of(window: Window) -> RateLimitItem:
    """Return the limit in the largest unit that divides its time."""
    unit = next(unit for unit in _UNITS if window.seconds % unit.GRANULARITY.seconds == 0)
    return unit(window.amount, window.seconds // unit.GRANULARITY.seconds)


def _window_of(item: RateLimitItem, identifiers: tuple[str, ...]) -> tuple[Window, str]:
    """Return window and key. identifiers: key and scope, as Flask-Limiter hands them over."""
    key, scope = identifiers
    return Window(scope=scope, amount=item.amount, seconds=item.get_expiry(), label=""), key
