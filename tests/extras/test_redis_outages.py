"""Redis that dies, holds still, refuses or closes connections; threads and forks that share a store of ours."""

from __future__ import annotations

import gc
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis

from flask_guard.config.sections import RateStrategy
from flask_guard.errors import StoreUnavailable
from flask_guard.extras.redis import RedisRates
from flask_guard.limits.breaker import RateBreaker
from flask_guard.limits.rates import RateStore, Window
from tests.contracts.rate_stores import STRATEGIES, make_window
from tests.db.races import run_processes, run_threads
from tests.services.ports import find_free_port
from tests.services.valkey_server import ValkeyServer

# Seconds. The most that one call may take while the server does not answer.
PATIENCE_S = 0.2


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


def is_answered(store: RateStore, window: Window, subject: str = "subject") -> bool:
    try:
        store.charge([(window, subject, 1)])
    except StoreUnavailable:
        return False
    return True


def time_call(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


def charge_until(
    done: threading.Event, store: RateStore, window: Window, *, pause_s: float = 0.0
) -> list[tuple[bool, float]]:
    """Return, for each charge until `done`, whether it was answered and how long it took."""
    outcomes = []
    while not done.wait(pause_s):
        outcomes.append(time_call(partial(is_answered, store, window)))
    return outcomes


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_server_that_dies_under_load_and_comes_back(server: ValkeyServer, strategy: RateStrategy) -> None:
    rates, window, done = RedisRates(server.url, strategy), make_window(10**9), threading.Event()

    def kill_and_start() -> None:
        time.sleep(0.2)
        server.kill()
        time.sleep(0.3)
        server.start()
        time.sleep(0.2)
        done.set()

    # A pause, because eight threads that spin keep each other from the processor for as long as a timeout.
    load = [partial(charge_until, done, rates, window, pause_s=0.02)] * 8
    _, *outcomes = run_threads([kill_and_start, *load])

    taken = sorted(taken_s for calls in outcomes for _answered, taken_s in calls)
    assert taken[len(taken) * 95 // 100] < PATIENCE_S  # not all: a busy machine holds up a thread now and then
    assert all(not all(answered for answered, _ in calls) for calls in outcomes)
    assert all(answered for calls in outcomes for answered, _ in [calls[0], calls[-1]])


def test_behind_a_breaker_a_dead_server_costs_nearly_nothing(server: ValkeyServer) -> None:
    breaker, window = RateBreaker(RedisRates(server.url, "sliding-window"), cooldown_s=0.4), make_window(10**9)
    assert is_answered(breaker, window)
    server.kill()
    assert not is_answered(breaker, window)

    taken = [time_call(partial(is_answered, breaker, window)) for _ in range(200)]
    assert not any(answered for answered, _ in taken)
    assert sorted(taken_s for _, taken_s in taken)[-3] < 0.001  # the machine may do something else now and then

    server.start()
    time.sleep(0.4)
    assert [is_answered(breaker, window) for _ in range(3)] == [True, True, True]


def test_behind_a_breaker_a_server_that_holds_still_costs_one_timeout_a_cooldown(server: ValkeyServer) -> None:
    breaker, window = RateBreaker(RedisRates(server.url, "sliding-window"), cooldown_s=0.3), make_window(10**9)
    done = threading.Event()
    assert is_answered(breaker, window)
    server.pause()
    assert not is_answered(breaker, window)

    timer = threading.Timer(1.0, done.set)
    timer.start()
    outcomes = run_threads([partial(charge_until, done, breaker, window, pause_s=0.002)] * 6)
    timer.join()
    server.resume()

    slow = [taken_s for calls in outcomes for _, taken_s in calls if taken_s > 0.08]
    assert 1 <= len(slow) <= 4
    assert max(slow) < PATIENCE_S


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_server_that_holds_still_is_not_waited_for(server: ValkeyServer, is_connected: bool) -> None:
    rates, window = RedisRates(server.url, "sliding-window"), make_window(5)
    if is_connected:
        rates.charge([(window, "subject", 1)])
    server.pause()

    for call in (
        lambda: rates.charge([(window, "subject", 1)]),
        lambda: rates.forget(window, "subject"),
        rates.reset,
    ):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="Timeout"):
            call()
        assert time.monotonic() - began < PATIENCE_S

    server.resume()
    assert is_answered(rates, window)


def test_an_answer_that_comes_too_late_is_nobody_elses(server: ValkeyServer) -> None:
    rates, window = RedisRates(server.url, "fixed-window"), make_window(1000)
    rates.charge([(window, "late", 500)])
    server.pause()
    assert not is_answered(rates, window, "late")
    server.resume()

    assert rates.charge([(window, "another", 1)])[0][1] == 999


def test_a_port_where_nobody_listens_is_told_at_once() -> None:
    rates = RedisRates(f"redis://user:pass-word@127.0.0.1:{find_free_port()}/0", "gcra")

    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        rates.charge([(make_window(1), "someone", 1)])

    assert time.monotonic() - began < PATIENCE_S
    assert "ConnectionError" in str(caught.value)
    assert "pass-word" not in str(caught.value)
    assert "someone" not in str(caught.value)


def test_a_wrong_password_is_an_outage_that_does_not_tell_it() -> None:
    password = secrets.token_urlsafe(16)
    with ValkeyServer(password=secrets.token_urlsafe(16)) as server:
        rates = RedisRates(f"redis://:{password}@127.0.0.1:{server.port}/0", "gcra")

        with pytest.raises(StoreUnavailable) as caught:
            rates.charge([(make_window(1), "subject", 1)])

    assert password not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        pytest.param("maxmemory", "1", "OutOfMemory", id="memory is full"),
        pytest.param("min-replicas-to-write", "1", "NOREPLICAS", id="replicas are missing"),
    ],
)
def test_a_server_that_refuses_to_write_is_an_outage(server: ValkeyServer, setting: str, value: str, told: str) -> None:
    rates, window = RedisRates(server.url, "sliding-window"), make_window(5)
    assert is_answered(rates, window)
    with redis.Redis.from_url(server.url) as client:
        client.config_set(setting, value)

        with pytest.raises(StoreUnavailable, match=told):
            rates.charge([(window, "subject", 1)])
        client.config_set(setting, "0")

    assert rates.charge([(window, "subject", 1)])[0][:2] == (True, 3)


def test_a_replica_is_an_outage(server: ValkeyServer) -> None:
    rates, window = RedisRates(server.url, "sliding-window"), make_window(5)
    with redis.Redis.from_url(server.url) as client:
        client.replicaof("127.0.0.1", find_free_port())

        assert not is_answered(rates, window)
        client.replicaof("NO", "ONE")

    assert is_answered(rates, window)


def test_connections_that_the_server_closed_meanwhile_fail_nobody(server: ValkeyServer) -> None:
    rates, window = RedisRates(server.url, "gcra"), make_window(1000)
    run_threads([partial(is_answered, rates, window)] * 8)
    with redis.Redis.from_url(server.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)

        assert all(run_threads([partial(is_answered, rates, window)] * 8))


def test_an_error_that_the_server_answers_costs_no_connection(server: ValkeyServer) -> None:
    rates, window = RedisRates(server.url, "sliding-window"), make_window(5)
    assert is_answered(rates, window)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1")
        before = client.info("stats")["total_connections_received"]

        assert not any(is_answered(rates, window) for _ in range(5))

        assert client.info("stats")["total_connections_received"] == before


@pytest.mark.parametrize("option", ["?max_connections=3", ""], ids=["by the address", "by the program"])
def test_there_are_no_more_connections_than_allowed(server: ValkeyServer, option: str) -> None:
    allowed = 64 if option else 3
    rates = RedisRates(server.url + option, "gcra", max_connections=allowed, connect_timeout_s=5.0)
    window = make_window(10**6)

    def charge_often() -> list[bool]:
        return [is_answered(rates, window) for _ in range(50)]

    outcomes = run_threads([charge_often] * 12)

    assert all(all(answers) for answers in outcomes)
    with redis.Redis.from_url(server.url) as client:
        assert len(client.client_list()) <= 3 + 1


def test_who_finds_no_free_connection_does_not_wait_for_long(server: ValkeyServer) -> None:
    rates, window = RedisRates(server.url, "gcra", max_connections=1), make_window(10)
    assert is_answered(rates, window)
    server.pause()

    outcomes = run_threads([partial(time_call, partial(is_answered, rates, window))] * 4)
    server.resume()

    assert all(not answered and taken_s < PATIENCE_S for answered, taken_s in outcomes)
    assert is_answered(rates, window)


def test_threads_get_their_own_answers(server: ValkeyServer) -> None:
    rates, window = RedisRates(server.url, "fixed-window"), make_window(10_000)

    def charge_often(number: int) -> list[int]:
        return [rates.charge([(window, f"subject {number}", number)])[0][1] for _ in range(100)]

    outcomes = run_threads([partial(charge_often, number) for number in range(1, 9)])

    assert outcomes == [[*range(10_000 - number, 10_000 - 101 * number, -number)] for number in range(1, 9)]


FORK = """
import os
from flask_guard.extras.redis import RedisRates
from flask_guard.limits.rates import Window

url, scope, kind = sys.argv[1:]
start()
rates = RedisRates(url, "fixed-window", timeout_s=5.0, connect_timeout_s=5.0)
window = Window(scope=scope, amount=100_000, seconds=3600, label="test")
rates.forget(window, "nobody")

def charge_often(cost):
    left = [rates.charge([(window, f"subject {cost}", cost)])[0][1] for _ in range(300)]
    return left == [100_000 - (number + 1) * cost for number in range(300)]

rates.charge([(window, "subject", 1)])
children = []
for cost in (2, 3):
    child = os.fork()
    if not child:
        if kind == "told":
            rates.after_fork()
        rates.forget(window, "nobody")
        os._exit(0 if charge_often(cost) else 1)
    children.append(child)
mine = charge_often(5)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
print(mine and rates.charge([(window, "subject", 1)])[0][1] == 99_998)
"""


@pytest.mark.parametrize("kind", ["told", "not told"])
def test_a_forked_process_has_connections_of_its_own(valkey_url: str, kind: str) -> None:
    assert run_processes(FORK, valkey_url, make_window(1).scope, kind, count=1) == ["True"]


def test_a_store_that_is_dropped_closes_its_connections(server: ValkeyServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        rates = RedisRates(server.url, "gcra")
        assert is_answered(rates, make_window(1))
        assert len(client.client_list()) == 2

        gc.disable()  # it does not take the collector
        del rates

        try:
            deadline = time.monotonic() + 5
            while len(client.client_list()) > 1:  # the server notices in its own time
                assert time.monotonic() < deadline
        finally:
            gc.enable()
