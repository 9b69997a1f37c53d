"""What memory holds when more callers come than it has room for: which bucket goes, and which never does."""

from __future__ import annotations

import tracemalloc
from functools import partial

import pytest

from flask_guard.limits.memory import MemoryRates
from flask_guard.limits.rates import Verdict, Window
from tests.db.races import run_threads

MAX_KEYS = 200
MINUTE = Window(scope="test", amount=5, seconds=60, label="test")


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


def ask(rates: MemoryRates, subject: str, window: Window = MINUTE, cost: int = 1) -> Verdict:
    [verdict] = rates.charge([(window, subject, cost)])
    return verdict


def use_up(rates: MemoryRates, *subjects: str, window: Window = MINUTE) -> None:
    for subject in subjects:
        while ask(rates, subject, window)[0]:
            pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> MemoryRates:
    return MemoryRates("sliding-window", clock=clock, max_keys=MAX_KEYS)


def test_there_are_never_more_buckets_than_allowed_and_nobody_is_refused_for_it(rates: MemoryRates) -> None:
    for number in range(MAX_KEYS * 5):
        assert ask(rates, f"caller {number}")[:2] == (True, 4)
        assert len(rates) <= MAX_KEYS

    assert len(rates) == MAX_KEYS


def test_calls_with_several_new_windows_keep_to_the_bound_too(rates: MemoryRates) -> None:
    windows = [Window(scope=f"test {number}", amount=5, seconds=60, label="test") for number in range(7)]

    for number in range(MAX_KEYS):
        verdicts = rates.charge([(window, f"caller {number}", 1) for window in windows])
        assert all(verdict[:2] == (True, 4) for verdict in verdicts)
        assert len(rates) <= MAX_KEYS


@pytest.mark.parametrize("cost", [1, 5])
def test_a_call_with_more_windows_than_there_is_room_for_is_answered(rates: MemoryRates, cost: int) -> None:
    windows = [Window(scope=f"test {number}", amount=5, seconds=60, label="test") for number in range(MAX_KEYS * 2)]

    verdicts = rates.charge([(window, "caller", cost) for window in windows])

    assert [verdict[:2] for verdict in verdicts] == [(True, 5 - cost)] * len(windows)
    assert len(rates.charge([(window, "caller", cost) for window in windows])) == len(windows)
    assert len(rates) <= MAX_KEYS


@pytest.mark.parametrize("newcomers", [MAX_KEYS, MAX_KEYS * 20])
def test_an_attacker_who_rotates_addresses_does_not_get_rid_of_his_used_up_bucket(
    rates: MemoryRates, newcomers: int
) -> None:
    use_up(rates, "attacker")

    for number in range(newcomers):
        ask(rates, f"2001:db8:{number:x}::/64")

    assert not ask(rates, "attacker")[0]


def test_a_bucket_with_little_left_stays_while_newcomers_have_more(rates: MemoryRates) -> None:
    ask(rates, "victim's name", cost=4)

    for number in range(MAX_KEYS * 10):
        ask(rates, f"name {number}")

    assert ask(rates, "victim's name", cost=0)[1] == 1


def test_used_up_buckets_go_only_when_they_are_more_than_three_quarters(rates: MemoryRates) -> None:
    kept = MAX_KEYS * 3 // 4
    use_up(rates, *(f"caller {number}" for number in range(kept)))

    for number in range(MAX_KEYS * 3):
        ask(rates, f"newcomer {number}")

    assert not any(ask(rates, f"caller {number}")[0] for number in range(kept))


def test_when_nearly_all_are_used_up_newcomers_are_counted_all_the_same(rates: MemoryRates) -> None:
    use_up(rates, *(f"caller {number}" for number in range(MAX_KEYS * 4)))

    newcomers = [f"newcomer {number}" for number in range(20)]
    for _ in range(MINUTE.amount):
        assert all(ask(rates, newcomer)[0] for newcomer in newcomers)

    assert not any(ask(rates, newcomer)[0] for newcomer in newcomers)


def test_expired_buckets_go_before_any_other(rates: MemoryRates, clock: Clock) -> None:
    hour = Window(scope="test", amount=5, seconds=3600, label="test")
    for number in range(MAX_KEYS // 2):
        ask(rates, f"brief {number}")
        ask(rates, f"long {number}", hour)
    clock.now += 121

    for number in range(MAX_KEYS // 2):
        ask(rates, f"newcomer {number}", hour)

    assert all(ask(rates, f"long {number}", hour, cost=0)[1] == 4 for number in range(MAX_KEYS // 2))


def test_expired_buckets_do_not_pile_up(rates: MemoryRates, clock: Clock) -> None:
    for number in range(MAX_KEYS - 10):
        use_up(rates, f"first {number}") if number % 2 else ask(rates, f"first {number}")
    clock.now += 121

    for number in range(MAX_KEYS // 2):
        ask(rates, f"second {number}")

    assert len(rates) <= MAX_KEYS // 2 + 4


def test_a_used_up_bucket_that_has_room_again_is_one_among_the_others(rates: MemoryRates, clock: Clock) -> None:
    use_up(rates, *(f"caller {number}" for number in range(10)))
    clock.now += 115  # what was used has faded to less than one

    for number in range(MAX_KEYS * 2):
        ask(rates, f"newcomer {number}", cost=5)

    assert not any(ask(rates, f"caller {number}", cost=0)[1] < 4 for number in range(10))
    assert len(rates) == MAX_KEYS


def test_many_threads_of_newcomers_keep_to_the_bound(rates: MemoryRates) -> None:
    use_up(rates, "attacker")

    def rotate(thread: int) -> None:
        for number in range(300):
            ask(rates, f"{thread}:{number}")

    assert run_threads([partial(rotate, thread) for thread in range(8)]) == [None] * 8
    assert len(rates) == MAX_KEYS
    assert not ask(rates, "attacker")[0]


def test_a_bucket_takes_less_than_half_a_kilobyte() -> None:
    rates = MemoryRates("sliding-window", max_keys=10_000)
    tracemalloc.start()

    for number in range(10_000):
        ask(rates, f"2001:db8:{number:x}::/64")
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept_bytes / len(rates) < 512
