"""Verified tokens are remembered within bounds, and forgotten when told, also by those who come late."""

from __future__ import annotations

import threading

import pytest

from flask_guard.auth.keyring import LocalKeys
from flask_guard.auth.token_cache import CachedToken, TokenCache
from flask_guard.values import Claims, Principal

KEYS = LocalKeys([])


def entry(subject: str = "user-1", token_id: str | None = None) -> CachedToken:
    claims = Claims({"jti": token_id} if token_id else {})
    return Principal(subject, claims=claims), 1e12, KEYS, 0


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_what_was_kept_is_found() -> None:
    cache = TokenCache(10)
    token = entry()

    cache.keep(digest(1), token, cache.epoch)

    assert cache.find(digest(1)) is token
    assert cache.find(digest(2)) is None


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100])
def test_the_cache_never_holds_more_than_its_size_and_drops_the_oldest(size: int) -> None:
    cache = TokenCache(size)

    for number in range(1000):
        cache.keep(digest(number), entry(), cache.epoch)
        assert len(cache) <= size
        assert (cache.find(digest(number)) is not None) is (size > 0)

    kept = [number for number in range(1000) if cache.find(digest(number))]
    assert kept == list(range(1000 - len(kept), 1000))
    assert len(kept) >= size * 7 // 8 - 1


@pytest.mark.parametrize(
    ("subject", "token_id", "left"),
    [
        ("alice", None, {"b1", "b2"}),
        (None, "b1", {"a1", "a2", "b2"}),
        ("alice", "b2", {"b1"}),
        ("nobody", None, {"a1", "a2", "b1", "b2"}),
        (None, "nothing", {"a1", "a2", "b1", "b2"}),
        ("", None, {"a1", "a2", "b1", "b2"}),
        (None, None, set()),
    ],
)
def test_forgetting_drops_what_is_meant(subject: str | None, token_id: str | None, left: set[str]) -> None:
    cache = TokenCache(10)
    tokens = {"a1": "alice", "a2": "alice", "b1": "bob", "b2": "bob"}
    for number, (name, owner) in enumerate(tokens.items()):
        cache.keep(digest(number), entry(owner, name), cache.epoch)

    cache.forget(subject=subject, token_id=token_id)

    assert {name for number, name in enumerate(tokens) if cache.find(digest(number))} == left


@pytest.mark.parametrize("what", [{"token_id": "token-1"}, {"subject": "bob"}], ids=str)
def test_a_token_without_an_id_is_not_the_token_of_any_id(what: dict[str, str]) -> None:
    cache = TokenCache(10)
    cache.keep(digest(1), entry("alice"), cache.epoch)

    cache.forget(**what)

    assert cache.find(digest(1)) is not None


def test_a_verification_that_began_before_a_revocation_leaves_nothing_behind() -> None:
    cache = TokenCache(10)
    epoch = cache.epoch

    cache.forget(subject="somebody else")
    cache.keep(digest(1), entry("alice"), epoch)

    assert cache.find(digest(1)) is None


def test_after_a_fork_a_lock_that_was_held_does_not_matter() -> None:
    cache = TokenCache(10)
    cache._lock.acquire()

    cache.after_fork()
    cache.keep(digest(1), entry(), cache.epoch)

    assert cache.find(digest(1)) is not None


def test_threads_that_keep_and_forget_break_neither_the_bound_nor_a_revocation() -> None:
    cache = TokenCache(50)
    stop = threading.Event()
    faults: list[object] = []

    def keep(offset: int) -> None:
        number = offset
        try:
            while not stop.is_set():
                cache.keep(digest(number), entry("alice" if number % 2 else "bob"), cache.epoch)
                cache.find(digest(number // 2))
                number += 4
        except BaseException as exc:
            faults.append(exc)

    threads = [threading.Thread(target=keep, args=[offset]) for offset in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        cache.forget(subject="alice")
        if len(cache) > 51:
            faults.append(len(cache))
    stop.set()
    for thread in threads:
        thread.join()
    cache.forget(subject="alice")

    assert faults == []
    assert all(token[0].id == "bob" for token in cache._tokens.values())
