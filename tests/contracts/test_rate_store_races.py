"""N means N, whoever asks at the same moment: threads of a process, and processes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from functools import partial
from itertools import chain

import pytest

from flask_guard.limits.rates import Window
from tests.contracts.rate_stores import SHARED_STORES, Counting, combinations, make_counting, make_window
from tests.db.races import run_processes, run_threads

PROCESSES = """
from flask_guard.extras.redis import RedisRates
from flask_guard.limits.library import LibraryRates
from flask_guard.limits.rates import Window

store, url, strategy, scope, amount = sys.argv[1:]
rates = {"redis": RedisRates, "library redis": LibraryRates}[store](url, strategy, timeout_s=10.0)
window = Window(scope=scope, amount=int(amount), seconds=86400, label="test")
start()
print(sum(rates.charge([(window, "subject", 1)])[0][0] for _ in range(int(amount))))
"""


@pytest.fixture(params=combinations(SHARED_STORES))
def counting(request: pytest.FixtureRequest, valkey_url: str) -> Counting:
    return make_counting(*request.param, valkey_url)


@pytest.fixture(autouse=True)
def hasty_threads() -> Iterator[None]:
    """Have Python change threads as often as it can."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual_s)


def ask_often(counting: Counting, windows: list[Window], times: int) -> list[bool]:
    charges = [(window, "subject", 1) for window in windows]
    return [all(allowed for allowed, _, _ in counting.store.charge(charges)) for _ in range(times)]


def test_of_eight_threads_exactly_n_requests_pass(counting: Counting) -> None:
    window = make_window(100, 86_400)

    outcomes = run_threads([partial(ask_often, counting, [window], 50)] * 8)

    assert sum(chain(*outcomes)) == 100


def test_of_eight_threads_that_begin_a_bucket_one_is_first(counting: Counting) -> None:
    for _ in range(20):
        window = make_window(1, 86_400)

        outcomes = run_threads([partial(ask_often, counting, [window], 1)] * 8)

        assert sum(chain(*outcomes)) == 1


@pytest.mark.parametrize("counting", combinations(("memory", "redis", "breaker")), indirect=True)
def test_several_windows_are_charged_together_from_threads_too(counting: Counting) -> None:
    narrow, wide = make_window(60, 86_400), make_window(1000, 86_400)

    outcomes = run_threads([partial(ask_often, counting, [wide, narrow], 30)] * 8)

    assert sum(chain(*outcomes)) == 60
    assert counting.ask(wide, cost=0)[1] == 940


@pytest.mark.parametrize("counting", combinations(("redis", "library redis")), indirect=True)
def test_of_four_processes_exactly_n_requests_pass(counting: Counting, valkey_url: str) -> None:
    scope = make_window(1).scope

    printed = run_processes(PROCESSES, counting.name, valkey_url, counting.strategy, scope, "60", count=4)

    assert sum(map(int, printed)) == 60


def test_a_thread_that_resets_disturbs_nobody(counting: Counting) -> None:
    window = make_window(1_000_000, 86_400)
    done = threading.Event()

    def reset_often() -> None:
        while not done.is_set():
            counting.store.reset()

    def charge_often() -> None:
        ask_often(counting, [window], 200)
        done.set()

    assert run_threads([reset_often, charge_often, charge_often]) == [None, None, None]
