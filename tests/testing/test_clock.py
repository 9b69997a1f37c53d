from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flask_guard.testing import FrozenClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_frozen_clock_stands_still() -> None:
    clock = FrozenClock(NOON)

    assert (clock(), clock.now) == (clock(), NOON)


@pytest.mark.parametrize(
    ("by", "seconds"),
    [("15m", 900), (1.5, 1.5), (timedelta(days=1), 86_400), ("0s", 0)],
    ids=["text", "seconds", "timedelta", "nothing"],
)
def test_it_goes_when_it_is_told_to(by: str | float | timedelta, seconds: float) -> None:
    clock = FrozenClock(NOON)
    before = clock()

    clock.advance(by)

    assert clock() - before == seconds


def test_it_can_be_set_back() -> None:
    clock = FrozenClock(NOON)

    clock.set(NOON - timedelta(days=1))

    assert clock.now == NOON - timedelta(days=1)


def test_it_takes_seconds_since_the_epoch() -> None:
    assert FrozenClock(0).now == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("by", [-1.0, timedelta(seconds=-1)], ids=["seconds", "timedelta"])
def test_it_is_not_advanced_backwards(by: float | timedelta) -> None:
    clock = FrozenClock(NOON)

    with pytest.raises(ValueError, match="set, not advanced"):
        clock.advance(by)

    assert clock.now == NOON


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        FrozenClock(NOON.replace(tzinfo=None))
