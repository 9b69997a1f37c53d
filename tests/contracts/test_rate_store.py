"""What every way of counting promises (`limits.rates.RateStore`)."""

from __future__ import annotations

from math import ceil

import pytest

from flask_guard.limits.rates import Window
from tests.contracts.rate_stores import EXACT_STORES, TIMED_STORES, Counting, combinations, make_counting, make_window


@pytest.fixture(params=combinations())
def counting(request: pytest.FixtureRequest, valkey_url: str) -> Counting:
    return make_counting(*request.param, valkey_url)


@pytest.fixture(params=combinations(TIMED_STORES))
def timed(request: pytest.FixtureRequest, valkey_url: str) -> Counting:
    return make_counting(*request.param, valkey_url)


@pytest.mark.parametrize("amount", [1, 3, 10])
def test_from_a_cold_start_n_means_n(counting: Counting, amount: int) -> None:
    window = make_window(amount)

    verdicts = [counting.ask(window) for _ in range(amount + 3)]

    assert [allowed for allowed, _, _ in verdicts] == [True] * amount + [False] * 3
    assert [remaining for _, remaining, _ in verdicts] == [*reversed(range(amount)), 0, 0, 0]


def test_subjects_have_buckets_of_their_own(counting: Counting) -> None:
    window = make_window(2)
    counting.use_up(window, "one")

    assert counting.ask(window, "another")[:2] == (True, 1)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"scope": "other"}, id="scope"),
        pytest.param({"amount": 3}, id="amount"),
        pytest.param({"seconds": 1800}, id="seconds"),
    ],
)
def test_windows_that_differ_have_buckets_of_their_own(counting: Counting, other: dict[str, str | int]) -> None:
    window = make_window(2)
    counting.use_up(window)
    values = {"scope": window.scope, "amount": 2, "seconds": 3600} | other
    if "scope" in other:
        values["scope"] = f"{window.scope}:other"

    assert counting.ask(Window(**values, label="test"))[0]  # type: ignore[arg-type]


def test_windows_that_differ_in_their_label_only_share_a_bucket(counting: Counting) -> None:
    window = make_window(2)
    counting.use_up(window)

    assert not counting.ask(make_window(2, scope=window.scope, label="other"))[0]


def test_scope_and_subject_do_not_run_into_each_other(counting: Counting) -> None:
    scope = make_window(1).scope
    counting.use_up(make_window(1, scope=f"{scope}a"), "b")

    assert counting.ask(make_window(1, scope=scope), "ab")[0]


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param("line\nbreak\r\n", id="line break"),
        pytest.param("nul\0byte", id="NUL"),
        pytest.param("größer 日本 🎉", id="not ASCII"),
        pytest.param("lone \ud800 surrogate", id="lone surrogate"),
        pytest.param(" ", id="space"),
        pytest.param("", id="empty"),
        pytest.param("{tag}*?[x]", id="pattern"),
        pytest.param("x" * 10_240, id="10 KB"),
    ],
)
def test_a_subject_may_be_any_text(counting: Counting, subject: str) -> None:
    window = make_window(2)

    assert counting.use_up(window, subject) == 2
    assert counting.ask(window, f"{subject}x")[0]


def test_long_subjects_that_differ_at_their_end_have_buckets_of_their_own(counting: Counting) -> None:
    window = make_window(1)
    counting.use_up(window, "x" * 10_240 + "a")

    assert counting.ask(window, "x" * 10_240 + "b")[0]


def test_a_cost_is_charged_whole_or_not_at_all(counting: Counting) -> None:
    window = make_window(10)

    assert counting.ask(window, cost=7)[:2] == (True, 3)
    assert counting.ask(window, cost=4)[:2] == (False, 3)
    assert counting.ask(window, cost=3)[:2] == (True, 0)


def test_a_cost_above_the_amount_never_passes_and_is_not_charged(counting: Counting) -> None:
    window = make_window(3, 60)

    assert counting.ask(window, cost=4) == (False, 3, 60.0)
    assert counting.use_up(window) == 3


def test_a_cost_of_nothing_looks_and_is_not_charged(counting: Counting) -> None:
    window = make_window(2)

    assert counting.ask(window, cost=0) == (True, 2, 0.0)
    counting.ask(window)
    assert counting.ask(window, cost=0)[:2] == (True, 1)
    assert counting.use_up(window) == 1
    assert counting.ask(window, cost=0)[:2] == (True, 0)


def test_no_charges_have_no_verdicts(counting: Counting) -> None:
    assert counting.store.charge([]) == []


def test_the_verdicts_come_in_the_order_of_the_charges(counting: Counting) -> None:
    windows = [make_window(amount) for amount in (7, 3, 5)]

    verdicts = counting.store.charge([(window, "subject", 1) for window in windows])

    assert [verdict[:2] for verdict in verdicts] == [(True, 6), (True, 2), (True, 4)]


@pytest.mark.parametrize("spent_position", [0, 1, 2])
def test_if_one_window_has_no_room_none_is_charged(counting: Counting, spent_position: int) -> None:
    windows = [make_window(10) for _ in range(3)]
    counting.ask(windows[0])
    spent = windows[spent_position]
    counting.use_up(spent)

    verdicts = counting.store.charge([(window, "subject", 2) for window in windows])

    assert [verdict[0] for verdict in verdicts] == [window is not spent for window in windows]
    left = [counting.ask(window, cost=0)[1] for window in windows]
    assert [verdict[1] for verdict in verdicts] == left
    assert left == [0 if window is spent else 9 if window is windows[0] else 10 for window in windows]


def test_a_refused_first_request_begins_nothing(counting: Counting) -> None:
    roomy, spent = make_window(10), make_window(1)
    counting.use_up(spent)

    counting.store.charge([(roomy, "subject", 1), (spent, "subject", 1)])

    assert counting.ask(roomy, cost=0) == (True, 10, 0.0)


def test_a_window_that_is_asked_twice_in_one_call_is_charged_for_both(counting: Counting) -> None:
    window = make_window(5)
    twice = [(window, "subject", 2), (make_window(5, scope=window.scope, label="again"), "subject", 1)]

    assert [verdict[:2] for verdict in counting.store.charge(twice)] == [(True, 2), (True, 2)]
    assert [verdict[:2] for verdict in counting.store.charge(twice)] == [(False, 2), (False, 2)]
    assert counting.use_up(window) == 2


def test_forgetting_one_subject_leaves_the_others(counting: Counting) -> None:
    window = make_window(2)
    for subject in ("one", "another"):
        counting.use_up(window, subject)

    counting.store.forget(window, "one")

    assert counting.ask(window, "one")[:2] == (True, 1)
    assert not counting.ask(window, "another")[0]


def test_a_reset_forgets_everything(counting: Counting) -> None:
    windows = [make_window(2), make_window(3)]
    for window in windows:
        counting.use_up(window)

    counting.store.reset()

    assert [counting.ask(window)[:2] for window in windows] == [(True, 1), (True, 2)]


def test_a_used_window_says_when_it_will_be_as_good_as_new(timed: Counting) -> None:
    _, _, fresh_s = timed.ask(make_window(5, 600))

    longest = {"sliding-window": 1200, "gcra": 120}.get(timed.strategy, 600)
    assert longest - 2 < fresh_s <= longest


@pytest.mark.parametrize("timed", combinations(EXACT_STORES), indirect=True)
@pytest.mark.parametrize("kind", ["a look", "too much", "another window has no room"])
def test_what_is_not_charged_begins_no_window(timed: Counting, kind: str) -> None:
    window, spent = make_window(1, 60), make_window(1, 3600)
    timed.use_up(spent)
    also = [(spent, "subject", 1)] if kind == "another window has no room" else []
    timed.store.charge([(window, "subject", {"a look": 0, "too much": 2}.get(kind, 1)), *also])

    timed.advance(40)
    timed.use_up(window)
    timed.advance(30)

    assert timed.ask(window) == (False, 0, pytest.approx(30))


def test_after_the_window_everything_is_there_again(timed: Counting) -> None:
    window = make_window(3, 1)
    timed.use_up(window)

    timed.advance(2.01)

    assert timed.ask(window, cost=0) == (True, 3, 0.0)
    assert timed.use_up(window) == 3


def test_who_waits_as_many_whole_seconds_as_he_was_told_passes(timed: Counting) -> None:
    window = make_window(3, 1)
    timed.use_up(window)

    _, _, wait_s = timed.ask(window)
    timed.advance(ceil(wait_s))

    assert timed.ask(window)[0]


def test_who_keeps_knocking_passes_as_soon_as_who_waits(timed: Counting) -> None:
    window = make_window(1, 1)
    timed.use_up(window)
    whole_s = ceil(timed.ask(window)[2])

    for _ in range(9):
        assert not timed.ask(window)[0]
        timed.advance(0.1)
    timed.advance(whole_s - 0.9 + 0.01)

    assert timed.ask(window)[0]
