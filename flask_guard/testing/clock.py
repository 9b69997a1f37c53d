"""A clock that goes when it is told to: `Guard(app, clock=FrozenClock())`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..config.kinds import duration_s

# A Monday at noon, in the past of every token that a test could make by the real clock.
START = datetime(2024, 1, 1, 12, tzinfo=UTC)


class FrozenClock:
    """Seconds since the epoch, always the same ones until `advance` or `set` is called.

    start: an aware datetime, or seconds since the epoch.
    """

    def __init__(self, start: datetime | float = START) -> None:
        self._now_s = _seconds_of(start)

    def __call__(self) -> float:
        return self._now_s

    @property
    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.fromtimestamp(self._now_s, UTC)

    def advance(self, by: str | float | timedelta) -> None:
        """Let time pass: text such as "15m", seconds, or a timedelta. Raises ValueError for less than nothing."""
        passed_s = by.total_seconds() if isinstance(by, timedelta) else _duration_of(by)
        if passed_s < 0:
            raise ValueError("a clock that goes back is set, not advanced")
        self._now_s += passed_s

    def set(self, to: datetime | float) -> None:
        """Set the time, also back: an aware datetime, or seconds since the epoch."""
        self._now_s = _seconds_of(to)


def _duration_of(value: Any) -> float:
    return duration_s(value) if isinstance(value, str) else float(value)


def _seconds_of(time: datetime | float) -> float:
    if not isinstance(time, datetime):
        return float(time)
    if time.tzinfo is None:
        raise ValueError("a time without a zone is not one moment; give it one, such as datetime.UTC")
    return time.timestamp()
