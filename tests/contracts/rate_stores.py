"""Every way of counting, each with the time that it lives in.

Memory and Redis of ours run on a clock that tests move; the storages of the library `limits` have the real one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha1
from typing import Any
from uuid import uuid4

import pytest
import redis

from flask_guard.config.sections import RateStrategy
from flask_guard.extras.redis import RedisRates
from flask_guard.limits.breaker import RateBreaker
from flask_guard.limits.library import LibraryRates
from flask_guard.limits.memory import MemoryRates
from flask_guard.limits.rates import Verdict, Window

STRATEGIES: tuple[RateStrategy, ...] = ("sliding-window", "fixed-window", "moving-window", "gcra")
STORES = ("memory", "redis", "breaker", "library memory", "library redis", "library valkey")
# Real time passes slowly, so of the library's storages one is enough.
TIMED_STORES = ("memory", "redis", "breaker", "library redis")
EXACT_STORES = ("memory", "redis")
# The storage in memory of `limits` loses counts when two threads begin a bucket at once.
SHARED_STORES = ("memory", "redis", "breaker", "library redis")


@dataclass(frozen=True, slots=True)
class Counting:
    """A store, and how its time passes (seconds)."""

    name: str
    strategy: RateStrategy
    store: Any
    advance: Callable[[float], None]

    def ask(self, window: Window, subject: str = "subject", cost: int = 1) -> Verdict:
        """Return the verdict on one charge."""
        [verdict] = self.store.charge([(window, subject, cost)])
        return verdict

    def use_up(self, window: Window, subject: str = "subject") -> int:
        """Return how many charges passed until one did not."""
        passed = 0
        while self.ask(window, subject)[0]:
            passed += 1
        return passed


def combinations(stores: tuple[str, ...] = STORES) -> list[Any]:
    """Return each store with each strategy that it has, as parameters."""
    return [
        pytest.param((store, strategy), id=f"{store}, {strategy}")
        for store in stores
        for strategy in STRATEGIES
        if strategy != "gcra" or not store.startswith("library")
    ]


def make_counting(store: str, strategy: RateStrategy, valkey_url: str) -> Counting:
    if store == "redis":
        clock = ServerClock(valkey_url)
        return Counting(store, strategy, clock.rates(strategy), clock.advance)
    if store.startswith("library"):
        address = {"library memory": "memory://", "library redis": valkey_url}.get(store)
        rates = LibraryRates(address or valkey_url.replace("redis://", "valkey://"), strategy)
        return Counting(store, strategy, rates, time.sleep)
    hand = HandClock()
    memory = MemoryRates(strategy, clock=hand)
    return Counting(store, strategy, RateBreaker(memory) if store == "breaker" else memory, hand.advance)


def make_window(amount: int, seconds: int = 3600, *, scope: str = "", label: str = "test") -> Window:
    """Return a window that no other test has, unless the scope is given."""
    return Window(scope=scope or f"test:{uuid4().hex}", amount=amount, seconds=seconds, label=label)


class HandClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 1_000_000.25) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class ServerClock:
    """A Redis server's clock that passes when a test says so: the script reads it from a list, in place of TIME.

    Keys keep to the server's real clock in expiring, so here they are kept for long.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._key = f"test:clock:{uuid4().hex}"
        self._client = redis.Redis.from_url(url)
        self._now_us = 1_900_000_000_250_000
        self.advance(0.0)

    def advance(self, seconds: float) -> None:
        self._now_us += round(seconds * 1_000_000)
        pipeline = self._client.pipeline()
        pipeline.delete(self._key)
        pipeline.rpush(self._key, *divmod(self._now_us, 1_000_000))
        pipeline.expire(self._key, 600)
        pipeline.execute()

    def rates(self, strategy: RateStrategy) -> RedisRates:
        rates = RedisRates(self._url, strategy, timeout_s=2.0)
        script = rates._script.decode()
        for there, here in (
            ("call('TIME')", f"call('LRANGE', '{self._key}', 0, 1)"),
            ("'PX', expiry", "'PX', 600000"),
            ("call('PEXPIRE', KEYS[i], expiry)", "call('PEXPIRE', KEYS[i], 600000)"),
        ):
            script = script.replace(there, here)
        rates._script = script.encode()
        rates._digest = sha1(rates._script, usedforsecurity=False).hexdigest().encode()
        return rates
