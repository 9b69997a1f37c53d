"""Counting in whatever the library `limits` has a storage for: clusters, sentinels, memcached, MongoDB.

Several round trips for each limit, and no transaction over them: all are tested first and charged then, so that a
refused request is not charged. Between the two another request may take the room; then this one is refused, and
stays charged where it was charged already. What a refused caller is told to wait is never too short; it is too long
by half a second where a storage knows whole seconds only, and by up to a window for a cost above one.
Rule: whatever goes wrong in a driver is StoreUnavailable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, cast

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import ConfigurationError
from limits.storage import (  # type: ignore[attr-defined]  # SCHEMES is there, but not in its __all__
    SCHEMES,
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    storage_from_string,
)
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from ..config.secrets import Secret
from ..config.sections import RateStrategy
from ..errors import ConfigError, StoreUnavailable
from .bucket_names import LETTERS, PREFIX, name_bucket, name_service, sum_charges
from .rates import Charge, Verdict, Window

# Redis tells the time to live that `limits` asks for in seconds, rounded to the nearest.
_TTL_ROUNDING_S: Final = 0.5


class LibraryRates:
    """A RateStore on a storage of `limits`.

    storage_uri: as that library documents it, for example `redis+cluster://user:password@host:port,host:port`.
    service: a name; services of different names count apart on one storage.
    timeout_s: for each round trip, as far as the driver keeps to it.
    Raises ConfigError for an address or strategy that the storage does not know, or a driver that is not installed.
    A storage that does not answer is asked again by the first charge.
    """

    def __init__(
        self, storage_uri: Secret | str, strategy: RateStrategy, *, service: str = "", timeout_s: float = 0.2
    ) -> None:
        self._uri = storage_uri if isinstance(storage_uri, Secret) else Secret(storage_uri)
        self._scheme = self._uri.reveal().partition("://")[0].lower()
        _require_storage(self._scheme)
        if strategy not in _STRATEGIES:
            raise ConfigError(f"{self._scheme}:// has no strategy {strategy}; memory:// and one Redis server have it.")
        self._make_limiter, self._read = _STRATEGIES[strategy]
        # Never bare: a reset forgets whatever begins with it.
        self._prefix = f"{PREFIX}library-{LETTERS[strategy]}:{name_service(service) or '-:'}".removesuffix(":")
        self._timeout_s = timeout_s
        self._limiter: RateLimiter | None = None
        try:
            self._limiter = self._connect()
        except NotImplementedError:
            raise ConfigError(f"{self._scheme}:// has no strategy {strategy}.") from None
        except ConfigurationError:
            # from None: the error may quote the address with its password.
            raise ConfigError(f"The address is not one that limits knows for {self._scheme}://.") from None
        except Exception:  # a cluster is asked for its nodes at once; each driver has errors of its own
            self._limiter = None

    def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        """Charge all or none (`RateStore`), as far as the head of this file promises it."""
        names, sums = sum_charges(charges, "")
        asked = [(self._item(window), name, cost) for name, (window, cost) in sums.items()]
        try:
            limiter = self._limiter or self._connect()
            has_room = [cost == 0 or limiter.test(item, name, cost=cost) for item, name, cost in asked]
            if all(has_room):
                has_room = _hit(limiter, asked)
            states = [self._read(limiter, item, name, cost) for item, name, cost in asked]
        except Exception as exc:  # each driver has errors of its own, and nothing but drivers runs here
            raise _unavailable(exc) from exc
        verdicts = {
            name: _judge(item, cost, room, state)
            for (item, name, cost), room, state in zip(asked, has_room, states, strict=True)
        }
        return [verdicts[name] for name in names]

    def forget(self, window: Window, subject: str) -> None:
        """Forget what one subject has used of a window."""
        try:
            limiter = self._limiter or self._connect()
            limiter.clear(self._item(window), name_bucket(window, subject))
        except Exception as exc:  # as in `charge`
            raise _unavailable(exc) from exc

    def reset(self) -> None:
        """Forget every count. Raises StoreUnavailable for memcached too, which has no way to do that."""
        try:
            limiter = self._limiter or self._connect()
            limiter.storage.reset()
        except Exception as exc:  # as in `charge`
            raise _unavailable(exc) from exc

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self._limiter = None

    def _connect(self) -> RateLimiter:
        uri = self._uri.reveal()
        options = _find_options(self._scheme, uri, timeout_s=self._timeout_s, prefix=self._prefix)
        # No lock: whoever comes second has made one for nothing.
        self._limiter = self._make_limiter(storage_from_string(uri, **options))
        return self._limiter

    def _item(self, window: Window) -> RateLimitItem:
        return RateLimitItemPerSecond(window.amount, window.seconds, self._prefix)


def _hit(limiter: RateLimiter, asked: Sequence[tuple[RateLimitItem, str, int]]) -> list[bool]:
    """Charge one after the other; return which had room, those after a refusal among them."""
    has_room = [True] * len(asked)
    for position, (item, name, cost) in enumerate(asked):
        if cost and not limiter.hit(item, name, cost=cost):
            has_room[position] = False
            break
    return has_room


class _State(NamedTuple):
    """What remains of a window, until when it is not as good as new, and when a refused cost may fit; seconds."""

    remaining: int
    fresh_s: float
    wait_s: float


def _read_fixed(limiter: RateLimiter, item: RateLimitItem, name: str, _cost: int) -> _State:
    reset_at, remaining = limiter.get_window_stats(item, name)
    left = min(max(reset_at - time.time(), 0.0) + _TTL_ROUNDING_S, item.get_expiry())
    return _State(remaining, left if remaining < item.amount else 0.0, left)


def _read_sliding(limiter: RateLimiter, item: RateLimitItem, name: str, cost: int) -> _State:
    amount, seconds = item.amount, item.get_expiry()
    storage = cast(SlidingWindowCounterSupport, limiter.storage)
    # This window's count is kept for a window longer, because it fades then.
    last, last_left, used, used_left = storage.get_sliding_window(item.key_for(name), seconds)
    room, wait_s = amount - used - cost, 0.0
    if used and room < 0:
        wait_s = used_left - seconds + max(0.0, seconds - (amount - cost + 1) * seconds / used)
    elif last:
        wait_s = last_left - (room + 1) * seconds / last
    remaining = amount - used - int(last * last_left / seconds)
    return _State(remaining, used_left if used else last_left, max(wait_s, 0.0))


def _read_moving(limiter: RateLimiter, item: RateLimitItem, name: str, cost: int) -> _State:
    amount, seconds = item.amount, item.get_expiry()
    storage = cast(MovingWindowSupport, limiter.storage)
    oldest_at, used = storage.get_moving_window(item.key_for(name), amount, seconds)
    oldest_left = max(oldest_at + seconds - time.time(), 0.0)
    is_enough = used + cost - amount <= 1
    return _State(amount - used, float(seconds) if used else 0.0, oldest_left if is_enough else float(seconds))


_STRATEGIES: Final[Mapping[RateStrategy, tuple[Callable[[Any], RateLimiter], Callable[..., _State]]]] = {
    "fixed-window": (FixedWindowRateLimiter, _read_fixed),
    "sliding-window": (SlidingWindowCounterRateLimiter, _read_sliding),
    "moving-window": (MovingWindowRateLimiter, _read_moving),
}


def _judge(item: RateLimitItem, cost: int, has_room: bool, state: _State) -> Verdict:
    remaining = max(state.remaining, 0)
    if has_room:
        return True, remaining, state.fresh_s
    return False, min(remaining, cost - 1), float(item.get_expiry()) if cost > item.amount else state.wait_s


def _require_storage(scheme: str) -> None:
    """Raise ConfigError unless `limits` has a storage of this name and its driver is installed."""
    storage = SCHEMES.get(scheme)
    if storage is None or scheme.startswith("async+"):
        raise ConfigError("The storage of limits is at an address of no kind that the library limits knows.")
    drivers = {str(name).partition(".")[0] for name in cast(Any, storage).DEPENDENCIES}
    if len(drivers) > 1:  # redis and valkey are two names for the same storages, with a driver each
        drivers = {driver for driver in drivers if scheme.startswith(driver)}
    for driver in sorted(drivers):
        if find_spec(driver) is None:
            raise ConfigError(f"{scheme}:// needs the driver {driver}, which is not installed: pip install {driver}")


def _find_options(scheme: str, uri: str, *, timeout_s: float, prefix: str) -> dict[str, Any]:
    """Return what the driver has to be told, in its own words, unless the address tells it."""
    if scheme.startswith(("redis", "valkey")):
        timeouts = {"socket_timeout": timeout_s}
        if not scheme.endswith("+unix"):
            timeouts["socket_connect_timeout"] = timeout_s
        sentinels = {"sentinel_kwargs": timeouts} if scheme.endswith("+sentinel") else {}
        return {**timeouts, **sentinels, "key_prefix": prefix}
    if scheme == "memcached":
        return {"timeout": timeout_s, "connect_timeout": timeout_s}
    if scheme.startswith("mongodb"):
        names = ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS")
        return {name: int(timeout_s * 1000) for name in names if name.lower() not in uri.lower()}
    return {}


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the storage of limits does not count: {type(error).__name__}: {error}")
