"""Counting in Redis: addresses, what is kept there and for how long, the script. The contract is in tests/contracts."""

from __future__ import annotations

import re
import secrets
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.connection import SSLConnection, UnixDomainSocketConnection

from flask_guard.config.secrets import Secret
from flask_guard.config.sections import RateStrategy
from flask_guard.errors import ConfigError, StoreUnavailable
from flask_guard.extras.redis import RedisRates
from flask_guard.limits.bucket_names import LETTERS, name_bucket
from flask_guard.limits.rates import Verdict, Window
from tests.contracts.rate_stores import STRATEGIES, ServerClock, make_window
from tests.services.valkey_server import ValkeyServer

TEXT_STRATEGIES: tuple[RateStrategy, ...] = ("sliding-window", "fixed-window", "gcra")


def ask(rates: RedisRates, window: Window, subject: str = "subject", cost: int = 1) -> Verdict:
    [verdict] = rates.charge([(window, subject, cost)])
    return verdict


def key_of(strategy: RateStrategy, window: Window, subject: str = "subject") -> str:
    return f"guard:rate:1:{LETTERS[strategy]}:{name_bucket(window, subject)}"


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> RateStrategy:
    chosen: RateStrategy = request.param
    return chosen


@pytest.fixture
def client(valkey_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer(password="pässword w/ @:?") as server:
        yield server


# Addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["redis", "valkey"])
@pytest.mark.parametrize("is_secret", [False, True], ids=["text", "secret"])
def test_an_address_may_have_a_password_and_a_database(server: ValkeyServer, name: str, is_secret: bool) -> None:
    url = server.url.replace("redis://", f"{name}://").removesuffix("/0") + "/5"
    window = make_window(3)

    assert ask(RedisRates(Secret(url) if is_secret else url, "fixed-window"), window)[:2] == (True, 2)
    with redis.Redis.from_url(url.replace("valkey://", "redis://")) as client:
        assert client.connection_pool.connection_kwargs["db"] == 5
        assert client.exists(key_of("fixed-window", window))


@pytest.mark.parametrize("name", ["redis", "valkey"])
def test_an_address_may_be_a_socket(server: ValkeyServer, name: str) -> None:
    rates = RedisRates(server.unix_url.replace("redis+unix", f"{name}+unix"), "gcra")

    assert ask(rates, make_window(3))[:2] == (True, 2)
    assert rates._pool.connection_class is UnixDomainSocketConnection


@pytest.mark.parametrize("name", ["rediss", "valkeys"])
def test_an_address_may_ask_for_tls_which_is_then_checked(name: str) -> None:
    connection = RedisRates(f"{name}://localhost:1/0", "gcra")._pool.make_connection()

    assert isinstance(connection, SSLConnection)
    assert connection.check_hostname
    assert connection.cert_reqs.name == "CERT_REQUIRED"


@pytest.mark.parametrize(
    "option", ["decode_responses=True", "protocol=3", "client_name=guard", "socket_timeout=3", "max_connections=2"]
)
def test_options_of_redis_py_may_follow(server: ValkeyServer, option: str) -> None:
    rates = RedisRates(f"{server.url}?{option}", "sliding-window")

    assert [ask(rates, make_window(3))[0] for _ in range(4)] == [True] * 4


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("gopher://user:{secret}@host:1/0", id="unknown scheme"),
        pytest.param("redis+cluster://user:{secret}@host:1", id="cluster"),
        pytest.param("user:{secret}@host", id="no scheme"),
        pytest.param("", id="empty"),
        pytest.param("redis://user:{secret}/@host:1/0", id="slash in the password"),
        pytest.param("redis://user:{secret}@host:port/0", id="port is no number"),
        pytest.param("redis://user:{secret}@host:1/0?db={secret}", id="database is no number"),
        pytest.param("redis://host:1/0?{secret}=1", id="unknown option"),
    ],
)
def test_an_address_that_cannot_be_is_refused_at_start_without_its_password(address: str) -> None:
    secret = f"x{secrets.token_hex(16)}"

    with pytest.raises(ConfigError, match="redis") as caught:
        RedisRates(address.format(secret=secret), "gcra")

    assert secret not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_nothing_is_asked_before_the_first_charge() -> None:
    RedisRates("redis://127.0.0.1:1/0", "gcra")


def test_without_redis_py_the_error_says_what_to_install() -> None:
    script = "import sys; sys.modules['redis'] = None\nimport flask_guard.extras.redis"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert 'ConfigError: redis-py is not installed: pip install "flask-guard-kit[redis]"' in done.stderr


# What is kept ------------------------------------------------------------------------------------------


def test_a_key_shows_nothing_of_the_subject(client: Any, strategy: RateStrategy, valkey_url: str) -> None:
    subject, window = f"someone-{secrets.token_hex(8)}@example.com", make_window(5)
    ask(RedisRates(valkey_url, strategy), window, subject)

    assert client.exists(key_of(strategy, window, subject))
    shape = rb"guard:rate:1:[sfmg]:([0-9a-f]{12}:)?[0-9a-f]{32}"
    assert all(re.fullmatch(shape, key) for key in client.keys("guard:rate:1:?:*"))
    assert not client.keys(f"*{subject}*")


def test_every_key_expires_when_its_window_is_as_good_as_new(
    client: Any, strategy: RateStrategy, valkey_url: str
) -> None:
    rates, window = RedisRates(valkey_url, strategy), make_window(10, 60)

    for _ in range(4):
        _, _, fresh_s = ask(rates, window)
        assert client.pttl(key_of(strategy, window)) / 1000 == pytest.approx(fresh_s, abs=0.5)
        time.sleep(0.02)


def test_what_was_refused_leaves_no_key(client: Any, strategy: RateStrategy, valkey_url: str) -> None:
    rates, window = RedisRates(valkey_url, strategy), make_window(1)

    ask(rates, window, cost=2)
    ask(rates, window, cost=0)

    assert not client.exists(key_of(strategy, window))


def test_strategies_share_no_key(valkey_url: str) -> None:
    window = make_window(2)

    for strategy in STRATEGIES:
        assert ask(RedisRates(valkey_url, strategy), window)[:2] == (True, 1)


def test_a_reset_of_many_leaves_the_keys_of_others(client: Any, valkey_url: str) -> None:
    rates, other = RedisRates(valkey_url, "fixed-window"), RedisRates(valkey_url, "gcra")
    window, foreign = make_window(2), f"test:foreign:{secrets.token_hex(8)}"
    client.set(foreign, "kept", ex=60)
    ask(other, window)
    for number in range(0, 2500, 25):
        rates.charge([(window, f"subject {each}", 1) for each in range(number, number + 25)])

    rates.reset()

    assert not client.keys("guard:rate:1:f:" + "?" * 32)
    assert client.get(foreign) == b"kept"
    assert ask(other, window)[1] == 0


def test_services_of_different_names_count_and_forget_apart(strategy: RateStrategy, valkey_url: str) -> None:
    window = make_window(2)
    stores = [RedisRates(valkey_url, strategy, service=name) for name in ("", "notes", "other")]
    assert [ask(rates, window)[1] for rates in stores] == [1, 1, 1]
    assert ask(RedisRates(valkey_url, strategy, service="notes"), window)[1] == 0

    for forgetful, left in ((0, [2, 0, 1]), (1, [2, 2, 1])):
        stores[forgetful].reset()
        assert [ask(rates, window, cost=0)[1] for rates in stores] == left


# The script --------------------------------------------------------------------------------------------


def test_all_limits_of_a_request_are_one_call(server: ValkeyServer, strategy: RateStrategy) -> None:
    rates = RedisRates(server.url, strategy)
    charges = [(make_window(5), "subject", 1) for _ in range(3)]
    rates.charge(charges)
    with redis.Redis.from_url(server.url) as client:
        client.config_resetstat()
        for _ in range(7):
            rates.charge(charges)

        calls = {name: stats["calls"] for name, stats in client.info("commandstats").items()}

    assert calls["cmdstat_evalsha"] == 7
    assert "cmdstat_eval" not in calls


def test_a_server_that_lost_the_script_gets_it_again(server: ValkeyServer, strategy: RateStrategy) -> None:
    rates, window = RedisRates(server.url, strategy), make_window(5)
    ask(rates, window)

    with redis.Redis.from_url(server.url) as client:
        client.script_flush()

    assert ask(rates, window)[:2] == (True, 3)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="nothing"),
        pytest.param(1, id="a number"),
        pytest.param("text", id="text"),
        pytest.param(b"", id="empty"),
        pytest.param(b"x" * 23, id="too short"),
        pytest.param(struct.pack(">6d", 1, 1, 1, 1, 1, 1), id="two verdicts"),
        pytest.param(struct.pack(">3d", 1, float("nan"), 1), id="remaining is no number"),
        pytest.param(struct.pack(">3d", 1, float("inf"), 1), id="infinitely much remains"),
        pytest.param(struct.pack(">3d", 0, 1, float("nan")), id="the wait is no number"),
        pytest.param(struct.pack(">3d", 0, 1, float("inf")), id="an infinite wait"),
    ],
)
def test_an_answer_that_is_not_the_scripts_is_an_outage(
    monkeypatch: pytest.MonkeyPatch, valkey_url: str, answer: object
) -> None:
    rates = RedisRates(valkey_url, "gcra")
    monkeypatch.setattr(rates, "_run", lambda *_: answer)

    with pytest.raises(StoreUnavailable):
        ask(rates, make_window(1))


@pytest.mark.parametrize("strategy", TEXT_STRATEGIES)
@pytest.mark.parametrize("rubbish", [b"", b"12", b"x" * 23, b"x" * 25, b"rubbish" * 100])
def test_a_key_with_rubbish_counts_as_none(
    client: Any, strategy: RateStrategy, valkey_url: str, rubbish: bytes
) -> None:
    rates, window = RedisRates(valkey_url, strategy), make_window(5)
    client.set(key_of(strategy, window), rubbish)

    assert [ask(rates, window)[:2] for _ in range(2)] == [(True, 4), (True, 3)]
    assert client.pttl(key_of(strategy, window)) > 0


@pytest.mark.parametrize("strategy", TEXT_STRATEGIES)
def test_a_key_of_another_type_counts_as_none(client: Any, strategy: RateStrategy, valkey_url: str) -> None:
    rates, window = RedisRates(valkey_url, strategy), make_window(5)
    client.hset(key_of(strategy, window), "field", "value")

    assert [ask(rates, window)[:2] for _ in range(2)] == [(True, 4), (True, 3)]


def test_a_log_of_another_type_or_with_rubbish_is_an_outage(client: Any, valkey_url: str) -> None:
    rates, window = RedisRates(valkey_url, "moving-window"), make_window(5)
    client.set(key_of("moving-window", window, "text"), "rubbish")
    client.rpush(key_of("moving-window", window, "list"), "rubbish")

    for subject in ("text", "list"):
        with pytest.raises(StoreUnavailable):
            ask(rates, window, subject)


def test_numbers_come_through_exactly(strategy: RateStrategy, valkey_url: str) -> None:
    clock = ServerClock(valkey_url)
    rates, window = clock.rates(strategy), make_window(10**9, 60)

    assert ask(rates, window, cost=999_999)[:2] == (True, 10**9 - 999_999)
    assert ask(rates, window)[:2] == (True, 10**9 - 1_000_000)
    assert ask(rates, window, cost=10**9 - 1_000_001)[:2] == (True, 1)
    assert [ask(rates, window)[:2] for _ in range(2)] == [(True, 0), (False, 0)]


@pytest.mark.parametrize("back_s", [0.5, 59.0, 3600.0, 1e8])
def test_a_clock_that_is_set_back_opens_nothing_and_blocks_a_window_at_most(
    client: Any, strategy: RateStrategy, valkey_url: str, back_s: float
) -> None:
    clock = ServerClock(valkey_url)
    rates, window = clock.rates(strategy), make_window(3, 60)
    while ask(rates, window)[0]:
        clock.advance(0.001)

    clock.advance(-back_s)

    allowed, _, wait_s = ask(rates, window)
    assert not allowed
    assert wait_s <= 120
    assert client.pttl(key_of(strategy, window)) > 0
    clock.advance(120)
    assert [ask(rates, window)[0] for _ in range(4)] == [True, True, True, False]


def test_a_look_is_no_refusal_even_when_a_clock_that_was_set_back_left_less_than_nothing(valkey_url: str) -> None:
    clock = ServerClock(valkey_url)
    rates, window = clock.rates("sliding-window"), make_window(3, 60)
    ask(rates, window, cost=3)
    clock.advance(90)
    ask(rates, window)

    clock.advance(-59)

    look, refused = rates.charge([(window, "subject", 0), (make_window(1), "subject", 2)])
    assert (look[:2], refused[0]) == ((True, 0), False)
    assert ask(rates, window, cost=0)[:2] == (True, 0)


def test_a_real_second_passes_as_told(strategy: RateStrategy, valkey_url: str) -> None:
    rates, window = RedisRates(valkey_url, strategy), make_window(1, 1)
    ask(rates, window)
    _, _, wait_s = ask(rates, window)

    time.sleep(wait_s - 0.2)
    assert not ask(rates, window)[0]
    time.sleep(0.25)

    assert ask(rates, window)[0]


def test_a_log_is_no_longer_than_what_is_in_its_window(client: Any, valkey_url: str) -> None:
    clock = ServerClock(valkey_url)
    rates, window = clock.rates("moving-window"), make_window(1000, 10)

    for _ in range(50):
        ask(rates, window, cost=3)
        clock.advance(1)

    entries = client.lrange(key_of("moving-window", window), 0, -1)
    assert len(entries) == 10
    assert {struct.unpack(">ddd", entry)[2] for entry in entries} == {3.0}


@pytest.mark.parametrize("past", [1, 8, 9, 2500])
def test_what_is_past_leaves_the_log_however_much_it_is(client: Any, valkey_url: str, past: int) -> None:
    clock = ServerClock(valkey_url)
    rates, window = clock.rates("moving-window"), make_window(10_000, 10)
    for _ in range(past):
        ask(rates, window)
    clock.advance(5)
    ask(rates, window, cost=7)
    clock.advance(5)

    assert ask(rates, window, cost=0)[1] == 10_000 - 7
    assert client.llen(key_of("moving-window", window)) == 1
