"""Counting through the library `limits`: what it refuses at start, its errors, its races. See tests/contracts too."""

from __future__ import annotations

import secrets
import threading
import time
from functools import partial
from math import ceil
from typing import Any

import pytest
import redis
from limits.storage import MemcachedStorage

from flask_guard.config.secrets import Secret
from flask_guard.config.sections import RateStrategy
from flask_guard.errors import ConfigError, StoreUnavailable
from flask_guard.limits import library
from flask_guard.limits.bucket_names import name_bucket
from flask_guard.limits.library import LibraryRates
from flask_guard.limits.rates import Window
from tests.contracts.rate_stores import make_window
from tests.db.races import run_processes, run_threads
from tests.services.ports import find_free_port
from tests.services.valkey_server import ValkeyServer

STRATEGIES: tuple[RateStrategy, ...] = ("sliding-window", "fixed-window", "moving-window")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_it_counts_on_a_real_server(valkey_url: str, kind: str, strategy: RateStrategy) -> None:
    address = Secret(valkey_url.replace("redis://", f"{kind}://"))
    window = make_window(2)
    charges = [(window, "subject", 1)]

    first, second = LibraryRates(address, strategy), LibraryRates(address, strategy)

    assert [rates.charge(charges)[0][:2] for rates in (first, second, first)] == [(True, 1), (True, 0), (False, 0)]


def find_keys(client: redis.Redis, window: Window, subject: str) -> list[bytes]:
    return list(client.scan_iter(match=f"*{name_bucket(window, subject)}*"))


def test_nothing_in_the_store_tells_the_subject_and_every_key_expires(valkey_url: str) -> None:
    subject, window = f"someone-{secrets.token_hex(8)}@example.com", make_window(5, 60)
    for strategy in STRATEGIES:
        LibraryRates(valkey_url, strategy).charge([(window, subject, 1)])

    with redis.Redis.from_url(valkey_url) as client:
        keys = find_keys(client, window, subject)
        assert len({key.split(b":")[3] for key in keys}) == 3
        assert not [key for key in client.scan_iter() if subject.encode() in key]
        assert all(key.startswith(b"guard:rate:1:library-") and 0 < client.ttl(key) <= 120 for key in keys)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_services_of_different_names_count_and_forget_apart(valkey_url: str, strategy: RateStrategy) -> None:
    charges = [(make_window(2), "subject", 1)]
    unnamed, notes = LibraryRates(valkey_url, strategy), LibraryRates(valkey_url, strategy, service="notes")
    assert [rates.charge(charges)[0][1] for rates in (unnamed, notes, notes)] == [1, 1, 0]

    unnamed.reset()

    assert [rates.charge(charges)[0][:2] for rates in (unnamed, notes)] == [(True, 1), (False, 0)]


def test_gcra_is_refused_and_told_where_it_is() -> None:
    with pytest.raises(ConfigError, match="memory:// and one Redis server"):
        LibraryRates("redis+cluster://127.0.0.1:1", "gcra")


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("gopher://user:{secret}@host:1", id="unknown scheme"),
        pytest.param("async+redis://user:{secret}@host:1", id="asynchronous"),
        pytest.param("user:{secret}@host", id="no scheme"),
        pytest.param("", id="empty"),
        pytest.param("redis+cluster://user:{secret}@host:port", id="port is no number"),
        pytest.param("redis+cluster://user:{secret}@host", id="no port"),
        pytest.param("redis+sentinel://user:{secret}@127.0.0.1:1", id="sentinel without a service"),
    ],
)
def test_an_address_that_cannot_be_is_refused_at_start_without_its_password(address: str) -> None:
    secret = secrets.token_hex(16)

    with pytest.raises(ConfigError, match="limits") as caught:
        LibraryRates(address.format(secret=secret), "fixed-window")

    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("scheme", "driver"), [("memcached", "pymemcache"), ("mongodb", "pymongo"), ("valkey+cluster", "valkey")]
)
def test_a_missing_driver_is_told_at_start(monkeypatch: pytest.MonkeyPatch, scheme: str, driver: str) -> None:
    monkeypatch.setattr(library, "find_spec", lambda _name: None)

    with pytest.raises(ConfigError, match=f"needs the driver {driver}.*pip install {driver}"):
        LibraryRates(f"{scheme}://127.0.0.1:1", "fixed-window")


def test_a_storage_without_the_strategy_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    memcached = MemcachedStorage.__new__(MemcachedStorage)  # its driver is not installed here
    monkeypatch.setattr(library, "find_spec", lambda name: name)
    monkeypatch.setattr(library, "storage_from_string", lambda *_uri, **_options: memcached)

    with pytest.raises(ConfigError, match="memcached:// has no strategy moving-window"):
        LibraryRates("memcached://127.0.0.1:1", "moving-window")


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
def test_a_storage_that_is_down_is_no_fault_of_the_configuration(scheme: str) -> None:
    rates = LibraryRates(f"{scheme}://user:pass-word@127.0.0.1:{find_free_port()}", "fixed-window")

    for call in (
        lambda: rates.charge([(make_window(1), "subject", 1)]),
        lambda: rates.forget(make_window(1), "subject"),
        rates.reset,
    ):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="does not count") as caught:
            call()

        assert time.monotonic() - began < 1
        assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_server_that_died_and_came_back_is_used_again(strategy: RateStrategy) -> None:
    with ValkeyServer(password=secrets.token_urlsafe(12)) as server:
        rates = LibraryRates(server.url, strategy)
        charges = [(make_window(3), "subject", 1)]
        assert rates.charge(charges)[0][0]

        server.kill()
        with pytest.raises(StoreUnavailable):
            rates.charge(charges)
        server.start()

        assert rates.charge(charges)[0][:2] == (True, 2)


def test_a_server_that_holds_still_is_not_waited_for() -> None:
    with ValkeyServer() as server:
        rates = LibraryRates(server.url, "fixed-window", timeout_s=0.2)
        charges = [(make_window(3), "subject", 1)]
        rates.charge(charges)
        server.pause()

        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="Timeout"):
            rates.charge(charges)

        assert time.monotonic() - began < 1
        server.resume()


class Overtaken:
    """A limiter of `limits` between whose test and hit another request took the room of some limits."""

    def __init__(self, limiter: Any, taken: set[int]) -> None:
        self._limiter = limiter
        self._taken = taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._limiter, name)

    def hit(self, item: Any, *names: str, cost: int) -> bool:
        return item.amount not in self._taken and bool(self._limiter.hit(item, *names, cost=cost))


def test_who_is_overtaken_is_refused_and_charged_in_what_came_before() -> None:
    rates = LibraryRates("memory://", "fixed-window")
    rates._limiter = Overtaken(rates._limiter, {6})  # type: ignore[assignment]
    windows = [make_window(amount) for amount in (5, 6, 7)]

    verdicts = rates.charge([(window, "subject", 1) for window in windows])

    assert [verdict[:2] for verdict in verdicts] == [(True, 4), (False, 0), (True, 7)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_wait_is_never_too_short_for_a_larger_cost(valkey_url: str, strategy: RateStrategy) -> None:
    rates = LibraryRates(valkey_url, strategy)
    window = make_window(4, 1)
    for _ in range(4):
        rates.charge([(window, "subject", 1)])
        time.sleep(0.05)

    [(allowed, _, wait_s)] = rates.charge([(window, "subject", 3)])
    assert not allowed
    time.sleep(ceil(wait_s))

    assert rates.charge([(window, "subject", 3)])[0][0]


def test_of_a_log_the_oldest_entry_tells_the_wait_for_one_and_the_window_that_for_more(valkey_url: str) -> None:
    rates, window = LibraryRates(valkey_url, "moving-window"), make_window(2, 60)
    for _ in range(2):
        rates.charge([(window, "subject", 1)])
        time.sleep(0.02)

    waits = [rates.charge([(window, "subject", cost)])[0][2] for cost in (1, 2)]

    assert 59 < waits[0] < 59.98
    assert waits[1] == 60.0


def test_the_first_requests_of_many_threads_are_counted(valkey_url: str) -> None:
    rates = LibraryRates(valkey_url, "fixed-window", timeout_s=5.0)
    rates.after_fork()
    window = make_window(5)

    outcomes = run_threads([partial(rates.charge, [(window, "subject", 1)])] * 12)

    assert sum(verdicts[0][0] for verdicts in outcomes) == 5


FORK = """
import os
from flask_guard.limits.library import LibraryRates
from flask_guard.limits.rates import Window

url, scope = sys.argv[1:]
start()
rates = LibraryRates(url, "fixed-window", timeout_s=5.0)
charges = [(Window(scope=scope, amount=100, seconds=3600, label="test"), "subject", 1)]
rates.charge(charges)
child = os.fork()
if not child:
    rates.after_fork()
left = [rates.charge(charges)[0][1] for _ in range(20)]
if not child:
    os._exit(0 if left == sorted(left, reverse=True) else 1)
assert os.waitpid(child, 0)[1] == 0
print(rates.charge(charges)[0][1])
"""


def test_a_forked_process_has_connections_of_its_own(valkey_url: str) -> None:
    assert run_processes(FORK, valkey_url, make_window(1).scope, count=1) == [str(100 - 42)]


def test_a_window_that_another_kind_of_key_stands_in_for_is_an_outage(valkey_url: str) -> None:
    rates = LibraryRates(valkey_url, "fixed-window")
    window = make_window(5)
    rates.charge([(window, "subject", 1)])
    with redis.Redis.from_url(valkey_url) as client:
        [key] = find_keys(client, window, "subject")
        client.delete(key)
        client.rpush(key, "not", "a", "number")

        with pytest.raises(StoreUnavailable):
            rates.charge([(window, "subject", 1)])
        client.delete(key)


def test_the_storage_in_memory_leaves_no_thread_behind() -> None:
    LibraryRates("memory://", "fixed-window").charge([(make_window(2), "subject", 1)])
    time.sleep(0.1)

    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
