"""Key sets under threads that race, issuers that hang, and documents that are none."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from flask_guard.auth.jwks import MAX_KEYS, JwksKeys
from flask_guard.errors import KeysUnavailable
from tests.auth.forge import signing_key
from tests.auth.jwks_world import HOUR, NEW, OLD, URL, Provider, Stopwatch, has, key_set, make_keys, settle, wait_until

# Races -------------------------------------------------------------------------------------------------


def test_a_slow_issuer_blocks_nobody_whose_key_is_known(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    has(keys, OLD)
    provider.gate.clear()
    watch.now += 30
    stranger = threading.Thread(target=keys.candidates, args=["invented", "ES256"])
    stranger.start()
    wait_until(lambda: len(provider.calls) == 2)

    started = time.monotonic()
    for _ in range(100):
        assert has(keys, OLD)
    elapsed = time.monotonic() - started

    assert stranger.is_alive()
    assert elapsed < 1
    provider.gate.set()
    stranger.join()


def test_keys_at_hand_are_served_without_the_lock(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    """Once the refresh is under way, nobody queues up behind anybody."""
    has(keys, OLD)
    provider.gate.clear()
    watch.now += HOUR
    has(keys, OLD)
    served: list[bool] = []
    request = threading.Thread(target=lambda: served.append(has(keys, OLD) and keys.generation == 0), daemon=True)

    with keys._lock:
        request.start()
        request.join(5)

        assert served == [True]


def test_an_attempt_that_outlives_the_cooldown_is_not_joined_by_another(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    has(keys, OLD)
    provider.gate.clear()
    for _ in range(10):
        watch.now += HOUR
        assert has(keys, OLD)

    provider.gate.set()
    settle(keys)

    assert len(provider.calls) == 2


@pytest.mark.parametrize(("wait_s", "unknown_wait_s"), [(0.1, 60.0), (60.0, 0.1)])
def test_an_invented_name_does_not_hold_a_worker_for_long(
    wait_s: float, unknown_wait_s: float, provider: Provider, watch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_guard.auth.jwks._UNKNOWN_KID_WAIT_S", unknown_wait_s)
    keys = make_keys(provider, watch, wait_s=wait_s)
    has(keys, OLD)
    provider.gate.clear()
    watch.now += 30

    started = time.monotonic()
    found = keys.candidates("invented", "ES256")

    assert found == ()
    assert time.monotonic() - started < 5


def test_the_wait_for_first_keys_ends(provider: Provider, watch: Stopwatch) -> None:
    keys = make_keys(provider, watch, wait_s=0.2)
    provider.gate.clear()

    with pytest.raises(KeysUnavailable):
        has(keys, OLD)


def test_threads_that_race_for_the_first_keys_share_one_fetch(keys: JwksKeys, provider: Provider) -> None:
    provider.gate.clear()
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(has(keys, OLD))) for _ in range(20)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(provider.calls) == 1)

    provider.gate.set()
    for thread in threads:
        thread.join()

    assert results == [True] * 20
    assert len(provider.calls) == 1


def test_threads_that_race_for_a_new_key_share_one_fetch(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    has(keys, OLD)
    provider.document = key_set(OLD, NEW)
    watch.now += 30
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(has(keys, NEW))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [True] * 20
    assert len(provider.calls) == 2


def test_an_attempt_of_the_parent_does_not_hold_up_a_forked_child(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    """In the child the thread does not run and the lock may be held by nobody."""
    keys._attempt = threading.Event()
    keys._next_attempt_at = watch.now + 30
    keys._lock.acquire()

    keys.after_fork()

    assert has(keys, OLD)
    assert len(provider.calls) == 1


def test_a_thread_that_cannot_be_started_is_a_failed_attempt(
    keys: JwksKeys, provider: Provider, watch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(keys, OLD)
    watch.now += HOUR

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert has(keys, OLD)
        assert keys.failures == 1
    watch.now += 30
    has(keys, OLD)
    settle(keys)

    assert keys.age_s == 0


# Documents ---------------------------------------------------------------------------------------------

BAD_DOCUMENTS: dict[str, Any] = {
    "empty": b"",
    "not JSON": b"<html>Sign in</html>",
    "not UTF-8": b'{"keys": ["\xff"]}',
    "deep": b"[" * 100_000,
    "a list": [],
    "null": None,
    "no keys": {},
    "keys an object": {"keys": {}},
    "keys empty": {"keys": []},
    "keys no objects": {"keys": [1, None, "x", []]},
    "nothing usable": {"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "n": "AQ", "e": "AQAB"}]},
}


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_a_document_without_keys_is_a_failure_and_the_last_good_set_serves(
    case: str, keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    has(keys, OLD)
    provider.document = BAD_DOCUMENTS[case]
    watch.now += HOUR

    has(keys, OLD)
    settle(keys)

    assert has(keys, OLD)
    assert (keys.failures, keys.generation) == (1, 0)


@pytest.mark.parametrize(
    "error", [OSError(), ValueError(), KeyError("x"), RecursionError(), RuntimeError(), MemoryError()]
)
def test_whatever_fetch_raises_the_keys_are_just_not_available(
    error: Exception, watch: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fetch(_url: str) -> bytes:
        raise error

    keys = JwksKeys(URL, fetch=fetch, clock=watch, max_stale_s=HOUR)

    with pytest.raises(KeysUnavailable):
        has(keys, OLD)
    assert keys.failures == 1


def test_unusable_members_are_skipped_and_the_rest_is_served(provider: Provider, watch: Stopwatch) -> None:
    provider.document = {"keys": [None, {"kty": "new"}, {"kty": "oct", "k": "AAAA", "kid": "s"}, *key_set(OLD)["keys"]]}

    assert has(make_keys(provider, watch), OLD)


def test_a_set_is_cut_to_its_first_keys(provider: Provider, watch: Stopwatch) -> None:
    first = key_set(OLD)["keys"][0]
    provider.document = {"keys": [{**first, "kid": f"k{number}"} for number in range(200)]}
    keys = make_keys(provider, watch)

    assert len(keys.candidates(None, "ES256")) == MAX_KEYS == 50
    assert keys.candidates("k49", "ES256") != ()
    assert keys.candidates("k50", "ES256") == ()


def test_a_name_that_two_keys_bear_is_nobodys(provider: Provider, watch: Stopwatch) -> None:
    provider.document = {"keys": [*key_set(OLD, NEW, kid="twice")["keys"], *key_set(OLD, kid="once")["keys"]]}
    keys = make_keys(provider, watch)

    assert keys.candidates("twice", "ES256") == ()
    assert [key.kid for key in keys.candidates(None, "ES256")] == ["once"]


def test_the_same_key_twice_is_one_key(provider: Provider, watch: Stopwatch) -> None:
    provider.document = key_set(OLD, OLD)
    keys = make_keys(provider, watch)

    assert len(keys.candidates(None, "ES256")) == 1
    assert has(keys, OLD)


def test_one_name_for_keys_of_two_algorithms_is_not_ambiguous(provider: Provider, watch: Stopwatch) -> None:
    provider.document = key_set(OLD, signing_key("RS256"), kid="shared")
    keys = make_keys(provider, watch)

    assert [key.algorithm for key in keys.candidates("shared", "ES256")] == ["ES256"]
    assert [key.algorithm for key in keys.candidates("shared", "RS256")] == ["RS256"]
