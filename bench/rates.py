"""What it costs to count a request: in memory, and on a server of one's own on loopback.

Every case counts for the same callers, far below its limit, so that nobody is refused. In memory the time is that of
the processor; on a server it is that of the wall, because most of it is spent waiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import cycle

import redis
from limits import RateLimitItemPerHour
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from flask_guard.config.sections import RateStrategy
from flask_guard.extras.redis import RedisRates
from flask_guard.limits.algorithms import SlidingWindow
from flask_guard.limits.memory import MemoryRates
from flask_guard.limits.rates import RateStore, Window
from tests.services.valkey_server import ValkeyServer, ValkeyUnavailable

from .measure import Case, measure, scaled
from .report import Comparison, Report, Target

ROUNDS = 41
CALLERS = 200
AMOUNT, SECONDS = 1_000_000, 3600

STRATEGIES: Sequence[RateStrategy] = ("sliding-window", "fixed-window", "gcra", "moving-window")
PEERS: dict[str, type[RateLimiter]] = {
    "fixed-window": FixedWindowRateLimiter,
    "moving-window": MovingWindowRateLimiter,
    "sliding-window": SlidingWindowCounterRateLimiter,
}
# A request of a route with limits of its own: its caller's, everybody's, the route's.
WINDOWS = tuple(Window(scope=scope, amount=AMOUNT, seconds=SECONDS, label=scope) for scope in ("tier", "all", "route"))

MEMORY_FLOOR = "GCRA in a dict"
MEMORY = "flask_guard, sliding-window"
MEMORY_LATER = "flask_guard, sliding-window, in a later window"
SERVER_FLOOR = "redis-py, one GCRA script"
SERVER = "flask_guard, sliding-window, 3 limits"

# One number a caller, read and written; the least that a script can do which counts.
GCRA_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local drained = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + tonumber(ARGV[1])
if drained - now > tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[1], string.format('%.6f', drained), 'PX', math.ceil((drained - now) * 1000) + 1)
return 1
"""


def run(report: Report, *, scale: float) -> None:
    """Print the tables of counting."""
    rounds = scaled(ROUNDS, scale)
    _run_memory(report, rounds=rounds)
    try:
        with ValkeyServer() as server:
            _run_server(report, server.url, rounds=rounds)
    except ValkeyUnavailable as exc:
        report.note(f"Counting on a server is left out: {exc}.")


class Gcra:
    """The floor: one number a caller, no lock, nothing ever forgotten."""

    def __init__(self) -> None:
        self._drained: dict[str, float] = {}
        self._each = SECONDS / AMOUNT
        self._lock = threading.Lock()

    def hit(self, caller: str) -> bool:
        now = time.monotonic()
        drained = self._drained.get(caller, 0.0)
        drained = (drained if drained > now else now) + self._each
        if drained - now > SECONDS:
            return False
        self._drained[caller] = drained
        return True

    def hit_in_turn(self, caller: str) -> bool:
        with self._lock:
            return self.hit(caller)


def _run_memory(report: Report, *, rounds: int) -> None:
    report.heading("Counting in memory")
    gcra = Gcra()
    hits = {MEMORY_FLOOR: gcra.hit, "GCRA in a dict, with a lock": gcra.hit_in_turn}
    for strategy in STRATEGIES:
        hits[f"flask_guard, {strategy}"] = _charge_one(MemoryRates(strategy))
    hits[MEMORY_LATER] = _charge_one(_in_a_later_window(MemoryRates("sliding-window")))
    hits["flask_guard, sliding-window, 3 limits"] = _charge_three(MemoryRates("sliding-window"))
    peers = _peers("limits", lambda _strategy: MemoryStorage())
    timing = measure([_asking(name, hit) for name, hit in (hits | peers).items()], rounds=rounds)
    report.timing(
        "Counting in memory",
        timing,
        floor=MEMORY_FLOOR,
        targets={MEMORY: Target(4.0), MEMORY_LATER: Target(4.0)},
        comparisons=[Comparison(timing.fastest(peers), MEMORY, Target(3.0, "at least"))],
    )


def _run_server(report: Report, url: str, *, rounds: int) -> None:
    report.heading("Counting on a server on loopback, by the wall")
    client = redis.Redis.from_url(url)
    digest = client.script_load(GCRA_SCRIPT)
    each, burst = f"{SECONDS / AMOUNT:.6f}", str(SECONDS)
    hits: dict[str, Callable[[str], bool]] = {
        SERVER_FLOOR: lambda caller: client.evalsha(digest, 1, caller, each, burst) == 1,
        "flask_guard, sliding-window, 1 limit": _charge_one(RedisRates(url, "sliding-window")),
    }
    for strategy in STRATEGIES:
        hits[f"flask_guard, {strategy}, 3 limits"] = _charge_three(RedisRates(url, strategy))
    # Its strategies would share their keys, and each finds another's of the wrong type.
    peers = _peers("limits", lambda strategy: RedisStorage(url, key_prefix=strategy))
    hits |= {f"{name}, 1 limit": hit for name, hit in peers.items()}
    cases = [_asking(name, hit) for name, hit in hits.items()]
    timing = measure(cases, rounds=rounds, clock_ns=time.perf_counter_ns)
    report.timing("Counting on a server", timing, floor=SERVER_FLOOR, targets={SERVER: Target(1.15)})


def _in_a_later_window(store: MemoryRates) -> MemoryRates:
    """Have every caller's last window count too, without waiting an hour for that."""
    charge = _charge_one(store)
    for caller in _callers():
        charge(caller)
    for bucket in store._open.values():
        assert isinstance(bucket, SlidingWindow)
        bucket.ends -= SECONDS
    return store


def _charge_one(store: RateStore) -> Callable[[str], bool]:
    window = WINDOWS[0]
    return lambda caller: store.charge(((window, caller, 1),))[0][0]


def _charge_three(store: RateStore) -> Callable[[str], bool]:
    return lambda caller: store.charge([(window, caller, 1) for window in WINDOWS])[0][0]


def _peers(name: str, make_storage: Callable[[str], Storage]) -> dict[str, Callable[[str], bool]]:
    def hit_of(limiter: RateLimiter) -> Callable[[str], bool]:
        item = RateLimitItemPerHour(AMOUNT)
        return lambda caller: limiter.hit(item, caller)

    return {f"{name}, {strategy}": hit_of(make(make_storage(strategy))) for strategy, make in PEERS.items()}


def _asking(name: str, hit: Callable[[str], bool]) -> Case:
    """Ask for one caller after the other. Each is asked for once before, because a refusal would be cheap."""
    assert all(hit(caller) for caller in _callers()), name
    next_caller = cycle(_callers()).__next__
    return Case(name, lambda: hit(next_caller()))


def _callers() -> list[str]:
    return [f"10.0.0.{number}" for number in range(CALLERS)]
