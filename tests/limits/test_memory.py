"""Counting in memory: clocks that are set back, long subjects, forks. The contract is in tests/contracts."""

from __future__ import annotations

import threading
import tracemalloc

import pytest

from flask_guard.config.sections import RateStrategy
from flask_guard.limits.memory import LEAST_KEYS, MemoryRates
from flask_guard.limits.rates import Verdict, Window
from tests.db.races import run_processes

STRATEGIES: tuple[RateStrategy, ...] = ("sliding-window", "fixed-window", "moving-window", "gcra")
MINUTE = Window(scope="test", amount=3, seconds=60, label="test")


class Clock:
    def __init__(self, now: float = 5000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def ask(rates: MemoryRates, window: Window = MINUTE, subject: str = "subject", cost: int = 1) -> Verdict:
    [verdict] = rates.charge([(window, subject, cost)])
    return verdict


def use_up(rates: MemoryRates, window: Window = MINUTE, subject: str = "subject") -> None:
    while ask(rates, window, subject)[0]:
        pass


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> RateStrategy:
    chosen: RateStrategy = request.param
    return chosen


@pytest.mark.parametrize("back_s", [0.5, 59.0, 3600.0, 1e9])
def test_a_clock_that_is_set_back_neither_opens_nor_blocks(strategy: RateStrategy, back_s: float) -> None:
    clock = Clock()
    rates = MemoryRates(strategy, clock=clock)
    use_up(rates)
    wait_s = ask(rates)[2]

    clock.now -= back_s

    assert ask(rates) == (False, 0, pytest.approx(wait_s))
    clock.now += wait_s - 0.01
    assert not ask(rates)[0]
    clock.now += 0.02
    assert ask(rates)[0]


def test_a_clock_that_is_set_back_again_and_again_does_not_stand_still(strategy: RateStrategy) -> None:
    clock = Clock()
    rates = MemoryRates(strategy, clock=clock)
    use_up(rates)

    for _ in range(13):
        clock.now += 10.0
        ask(rates, subject="another")
        clock.now -= 500.0
        ask(rates, subject="another")

    assert ask(rates)[0]


def test_the_real_clock_is_the_default(strategy: RateStrategy) -> None:
    second = Window(scope="test", amount=1, seconds=1, label="test")
    rates = MemoryRates(strategy)
    use_up(rates, second)

    _, _, wait_s = ask(rates, second)

    assert 0.5 < wait_s <= 2
    threading.Event().wait(wait_s)
    assert ask(rates, second)[0]


@pytest.mark.parametrize("now", [0.0, -1000.0, 1e8, 1.8e9])
def test_a_clock_may_begin_anywhere(strategy: RateStrategy, now: float) -> None:
    rates = MemoryRates(strategy, clock=Clock(now))

    assert [ask(rates)[:2] for _ in range(4)] == [(True, 2), (True, 1), (True, 0), (False, 0)]


@pytest.mark.parametrize(("amount", "seconds"), [(100_000, 60), (1_000_000, 1), (7, 86_400)])
def test_n_means_n_however_large(strategy: RateStrategy, amount: int, seconds: int) -> None:
    window = Window(scope="test", amount=amount, seconds=seconds, label="test")
    rates = MemoryRates(strategy, clock=Clock(1e6))
    step = max(1, amount // 1000)

    verdicts = [ask(rates, window, cost=step) for _ in range(amount // step)]

    assert all(allowed for allowed, _, _ in verdicts)
    assert [remaining for _, remaining, _ in verdicts] == [*range(amount - step, -1, -step)]
    assert not ask(rates, window)[0]


def test_a_limit_below_one_a_second_has_a_window_all_the_same(strategy: RateStrategy) -> None:
    clock = Clock()
    rates = MemoryRates(strategy, clock=clock)
    rare = Window(scope="test", amount=1, seconds=1_000_000, label="test")

    assert ask(rates, rare)[0]
    clock.now += 999_999
    assert not ask(rates, rare)[0]


def test_long_subjects_are_not_kept() -> None:
    rates = MemoryRates("sliding-window", max_keys=1000)
    tracemalloc.start()

    for number in range(1000):
        ask(rates, subject=f"{number}" + "x" * 10_000)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept_bytes < 1_000_000


def test_a_long_subject_and_the_text_of_its_digest_are_two() -> None:
    rates = MemoryRates("fixed-window")
    use_up(rates, subject="x" * 1000)
    [key] = rates._spent

    assert isinstance(key[3], bytes)
    assert ask(rates, subject=key[3].hex())[0]


def test_a_bucket_that_expired_is_charged_though_a_new_one_comes_in_the_same_call(strategy: RateStrategy) -> None:
    clock = Clock()
    rates = MemoryRates(strategy, clock=clock)
    ask(rates)
    clock.now += 1000
    other = Window(scope="other", amount=9, seconds=60, label="test")

    rates.charge([(MINUTE, "subject", 2), (other, "subject", 1)])

    assert ask(rates, cost=0)[1] == 1


@pytest.mark.parametrize("max_keys", [LEAST_KEYS - 1, 0, -5])
def test_fewer_keys_than_it_needs_are_refused(max_keys: int) -> None:
    with pytest.raises(ValueError, match="at least 100"):
        MemoryRates("gcra", max_keys=max_keys)


FORK = """
import os
from flask_guard.limits.memory import MemoryRates
from flask_guard.limits.rates import Window

start()
rates = MemoryRates("sliding-window")
charges = [(Window(scope="test", amount=3, seconds=60, label="test"), "subject", 1)]
rates.charge(charges)
with rates._lock:  # another thread's, as far as the child knows
    child = os.fork()
    if not child:
        rates.after_fork()
        os._exit(0 if rates.charge(charges)[0][1] == 1 else 1)
assert os.waitpid(child, 0)[1] == 0
print(rates.charge(charges)[0][1])
"""


def test_a_forked_process_counts_on_by_itself_though_the_lock_was_held() -> None:
    assert run_processes(FORK, count=1) == ["1"]
