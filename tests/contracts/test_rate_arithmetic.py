"""Ours in memory and in Redis decide as an exact model does, and what they say of waiting comes true."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_guard.limits.rates import Window
from tests.contracts.rate_models import SECOND_US, Model
from tests.contracts.rate_stores import EXACT_STORES, Counting, combinations, make_counting, make_window

# A fixture that lives through all examples is right here: each example has a window of its own.
examples = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

windows = st.tuples(st.integers(1, 12), st.sampled_from([1, 2, 7, 60, 3600]))
# Milliseconds; the ends of windows are tried often, because that is where mistakes are.
pauses = st.one_of(st.integers(0, 3_000), st.sampled_from([0, 1, 500, 1000, 2000, 7000, 14_000, 60_000, 120_000]))
requests = st.lists(st.tuples(pauses, st.integers(1, 13)), min_size=1, max_size=25)


@pytest.fixture(params=combinations(EXACT_STORES))
def counting(request: pytest.FixtureRequest, valkey_url: str) -> Counting:
    return make_counting(*request.param, valkey_url)


@examples
@given(limit=windows, asked=requests)
def test_every_verdict_is_that_of_the_model(
    counting: Counting, limit: tuple[int, int], asked: list[tuple[int, int]]
) -> None:
    window, model, now = make_window(*limit), Model(counting.strategy, *limit), 10**12

    for pause_ms, cost in asked:
        counting.advance(pause_ms / 1000)
        now += pause_ms * 1000
        allowed, remaining, _wait_s = counting.ask(window, cost=cost)

        assert allowed == model.has_room(cost, now)
        if allowed:
            model.log.append((now, cost))
        assert remaining == model.remaining(now)


@examples
@given(limit=windows, asked=requests)
def test_a_wait_is_as_long_as_it_must_be_and_no_longer(
    counting: Counting, limit: tuple[int, int], asked: list[tuple[int, int]]
) -> None:
    window, model, now = make_window(*limit), Model(counting.strategy, *limit), 10**12

    for pause_ms, cost in asked:
        counting.advance(pause_ms / 1000)
        now += pause_ms * 1000
        allowed, _remaining, wait_s = counting.ask(window, cost=cost)
        if allowed:
            model.log.append((now, cost))
        elif cost > window.amount:
            assert wait_s == window.seconds
        else:
            wait_us = wait_s * SECOND_US
            assert model.has_room(cost, now + ceil(wait_us + 2))
            assert not model.has_room(cost, now + int(wait_us - 3))


@examples
@given(limit=windows, asked=requests, cost=st.integers(1, 12))
def test_who_waits_as_long_as_he_was_told_passes_and_who_comes_sooner_does_not(
    counting: Counting, limit: tuple[int, int], asked: list[tuple[int, int]], cost: int
) -> None:
    window = make_window(*limit)
    cost = min(cost, window.amount)
    wait_s = use(counting, window, asked, cost)

    sooner_s = min(0.002, wait_s / 2)
    counting.advance(wait_s - sooner_s)
    assert not counting.ask(window, cost=cost)[0]
    counting.advance(sooner_s)

    assert counting.ask(window, cost=cost)[0]


@examples
@given(limit=windows, asked=requests, cost=st.integers(1, 12))
def test_who_waits_whole_seconds_passes_and_one_second_less_is_too_little(
    counting: Counting, limit: tuple[int, int], asked: list[tuple[int, int]], cost: int
) -> None:
    window = make_window(*limit)
    cost = min(cost, window.amount)
    whole_s = ceil(use(counting, window, asked, cost))

    counting.advance(whole_s - 1)
    assert not counting.ask(window, cost=cost)[0]
    counting.advance(1)

    assert counting.ask(window, cost=cost)[0]


@examples
@given(limit=windows, asked=requests)
def test_a_window_is_as_good_as_new_when_it_said_it_would_be(
    counting: Counting, limit: tuple[int, int], asked: list[tuple[int, int]]
) -> None:
    window = make_window(*limit)
    use(counting, window, asked, 1)
    _, _, fresh_s = counting.ask(window, cost=0)

    counting.advance(fresh_s - 0.001)
    assert counting.ask(window, cost=0)[2] == pytest.approx(0.001, abs=1e-5)
    counting.advance(0.001)

    assert counting.ask(window, cost=0) == (True, window.amount, 0.0)


def use(counting: Counting, window: Window, asked: list[tuple[int, int]], cost: int) -> float:
    """Charge what is asked and then the cost until it is refused; return the wait that is told then."""
    for pause_ms, asked_cost in asked:
        counting.advance(pause_ms / 1000)
        counting.ask(window, cost=asked_cost)
    while True:
        allowed, _remaining, wait_s = counting.ask(window, cost=cost)
        if not allowed:
            return wait_s
