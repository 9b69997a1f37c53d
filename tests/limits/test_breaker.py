"""A store that is down is asked once in a cooldown, by one caller, and all are asked again once it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from flask_guard.errors import StoreUnavailable
from flask_guard.limits.breaker import RateBreaker
from flask_guard.limits.rates import Charge, Verdict, Window
from tests.db.races import run_processes, run_threads

WINDOW = Window(scope="test", amount=3, seconds=60, label="test")
CHARGES: list[Charge] = [(WINDOW, "subject", 1)]
VERDICTS: list[Verdict] = [(True, 2, 60.0)]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FlakyStore:
    """asked: what it was asked, in order. error: what it raises, None when it answers. delay_s: before that."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.delay_s = 0.0

    def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        self._answer("charge")
        return VERDICTS

    def forget(self, window: Window, subject: str) -> None:
        self._answer(f"forget {window.scope} {subject}")

    def reset(self) -> None:
        self._answer("reset")

    def after_fork(self) -> None:
        self.asked.append("after_fork")

    def _answer(self, question: str) -> None:
        self.asked.append(question)
        time.sleep(self.delay_s)
        if self.error is not None:
            raise self.error


@pytest.fixture
def store() -> FlakyStore:
    return FlakyStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(store: FlakyStore, clock: Clock) -> RateBreaker:
    return RateBreaker(store, cooldown_s=1.0, clock=clock)


def take_down(breaker: RateBreaker, store: FlakyStore) -> None:
    store.error = StoreUnavailable("no answer")
    with pytest.raises(StoreUnavailable, match="no answer"):
        breaker.charge(CHARGES)
    store.asked.clear()


def test_while_the_store_answers_every_call_asks_it(breaker: RateBreaker, store: FlakyStore) -> None:
    assert [breaker.charge(CHARGES) for _ in range(3)] == [VERDICTS] * 3
    breaker.forget(WINDOW, "subject")
    breaker.reset()

    assert store.asked == ["charge"] * 3 + ["forget test subject", "reset"]


def ask_charge(breaker: RateBreaker) -> object:
    return breaker.charge(CHARGES)


def ask_forget(breaker: RateBreaker) -> object:
    return breaker.forget(WINDOW, "subject")


def ask_reset(breaker: RateBreaker) -> object:
    return breaker.reset()


@pytest.mark.parametrize("ask", [ask_charge, ask_forget, ask_reset])
@pytest.mark.parametrize("asked_before", [ask_charge, ask_forget, ask_reset])
def test_within_the_cooldown_nobody_asks(
    breaker: RateBreaker,
    store: FlakyStore,
    clock: Clock,
    ask: Callable[[RateBreaker], object],
    asked_before: Callable[[RateBreaker], object],
) -> None:
    store.error = StoreUnavailable("no answer")
    with pytest.raises(StoreUnavailable, match="no answer"):
        asked_before(breaker)
    store.asked.clear()

    for _ in range(9):
        clock.now += 0.1
        with pytest.raises(StoreUnavailable, match="less than 1 s ago"):
            ask(breaker)

    assert store.asked == []


def test_after_the_cooldown_one_call_asks_and_an_answer_ends_the_outage(
    breaker: RateBreaker, store: FlakyStore, clock: Clock
) -> None:
    take_down(breaker, store)
    store.error = None

    clock.now += 1.0

    assert [breaker.charge(CHARGES) for _ in range(3)] == [VERDICTS] * 3
    assert len(store.asked) == 3


def test_a_store_that_stays_down_is_asked_once_in_a_cooldown(
    breaker: RateBreaker, store: FlakyStore, clock: Clock
) -> None:
    take_down(breaker, store)

    for _ in range(100):
        clock.now += 0.1
        with pytest.raises(StoreUnavailable):
            breaker.charge(CHARGES)

    assert 9 <= len(store.asked) <= 10


def test_an_outage_ends_only_for_an_answer(breaker: RateBreaker, store: FlakyStore, clock: Clock) -> None:
    take_down(breaker, store)
    store.error = ValueError("a mistake of ours")
    clock.now += 1.0

    with pytest.raises(ValueError, match="a mistake of ours"):
        breaker.charge(CHARGES)
    store.error = None

    assert breaker.charge(CHARGES) == VERDICTS


def test_another_error_is_no_outage(breaker: RateBreaker, store: FlakyStore) -> None:
    store.error = ValueError("a mistake of ours")

    for _ in range(3):
        with pytest.raises(ValueError, match="a mistake of ours"):
            breaker.charge(CHARGES)

    assert len(store.asked) == 3


def test_while_one_thread_asks_the_others_are_answered_at_once(
    breaker: RateBreaker, store: FlakyStore, clock: Clock
) -> None:
    take_down(breaker, store)
    store.error, store.delay_s = None, 0.3
    clock.now += 1.0

    def ask() -> tuple[object, float]:
        began = time.monotonic()
        try:
            return breaker.charge(CHARGES), time.monotonic() - began
        except StoreUnavailable as exc:
            return str(exc), time.monotonic() - began

    outcomes = run_threads([ask] * 8)

    answered = [taken_s for answer, taken_s in outcomes if answer == VERDICTS]
    refused = [taken_s for answer, taken_s in outcomes if answer != VERDICTS]
    assert (len(answered), len(refused), len(store.asked)) == (1, 7, 1)
    assert max(refused) < 0.2


def test_after_an_outage_nobody_waits_for_another(breaker: RateBreaker, store: FlakyStore, clock: Clock) -> None:
    take_down(breaker, store)
    store.error = None
    clock.now += 1.0
    breaker.charge(CHARGES)
    store.delay_s = 0.1

    assert run_threads([partial(breaker.charge, CHARGES)] * 8) == [VERDICTS] * 8


def test_of_many_threads_one_in_a_cooldown_meets_the_timeout(store: FlakyStore) -> None:
    breaker = RateBreaker(store, cooldown_s=0.2)
    take_down(breaker, store)
    store.delay_s = 0.05
    ends_at = time.monotonic() + 1.0

    def ask_often() -> None:
        while time.monotonic() < ends_at:
            with pytest.raises(StoreUnavailable):
                breaker.charge(CHARGES)
            time.sleep(0.001)

    assert run_threads([ask_often] * 6) == [None] * 6
    assert 2 <= len(store.asked) <= 5


FORK = """
import os
from flask_guard.limits.breaker import RateBreaker
from flask_guard.errors import StoreUnavailable

class Store:
    is_down, asked = True, []
    def charge(self, charges):
        self.asked.append("charge")
        if self.is_down:
            raise StoreUnavailable("no answer")
        return charges
    def after_fork(self):
        self.asked.append("after_fork")

start()
def fail(breaker):
    try:
        breaker.charge([1])
    except StoreUnavailable:
        return True

store = Store()
breaker = RateBreaker(store, cooldown_s=0)
assert fail(breaker)
with breaker._probe:  # another thread's, as far as the child knows
    child = os.fork()
    if not child:
        breaker.after_fork()
        assert fail(breaker)
        store.is_down = False
        os._exit(0 if breaker.charge([1]) == [1] and store.asked == ["charge", "after_fork", *["charge"] * 2] else 1)
assert os.waitpid(child, 0)[1] == 0
print("ok")
"""


def test_a_forked_process_asks_anew_and_renews_its_store() -> None:
    assert run_processes(FORK, count=1) == ["ok"]
