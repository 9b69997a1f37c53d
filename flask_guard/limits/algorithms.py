"""How one bucket counts in memory: the four strategies.

Pure: the time comes from the caller, in seconds that never go back. `extras/redis_scripts.py` is the same in Lua.
Rule: from a cold start N means N, and what a bucket says of waiting comes true to the second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, Protocol

from ..config.sections import RateStrategy
from .rates import Verdict

# Seconds. Sums of floating-point times are not exact: who waited as long as he was told may be short by less.
_GRACE_S: Final = 1e-6
# Digits. A wait of 60.000000001 s would be told as 61; half of the last digit is within the grace.
_WAIT_DIGITS: Final = 6
_LONG_AGO: Final = float("-inf")


class Bucket(Protocol):
    """What one subject has used of one window."""

    def __init__(self, amount: int, seconds: int) -> None: ...

    def charge(self, cost: int, now: float) -> Verdict:
        """Charge a cost of one at least if it has room."""
        ...

    def give_back(self, cost: int) -> None:
        """Undo the last charge, which was of this cost and at this moment."""
        ...

    def look(self, now: float) -> Verdict:
        """Return the verdict on a cost of nothing; its wait is 0.0 when the bucket is as good as new."""
        ...


class SlidingWindow:
    """Two counters: this window's, and the last one's, which fades evenly while this one runs.

    Whoever spreads his requests evenly is counted exactly; after a burst the last window counts as if it had been
    even. What has begun to fade counts no more, so that one request a minute is one in every minute.
    The first request begins a window.
    """

    __slots__ = ("amount", "ends", "fading", "last", "seconds", "used")

    def __init__(self, amount: int, seconds: int) -> None:
        self.amount = amount
        self.seconds = float(seconds)  # sums of whole and other numbers take longer
        self.ends = _LONG_AGO
        self.last = self.used = 0
        self.fading = 0.0  # of `last`, in a second

    def charge(self, cost: int, now: float) -> Verdict:
        left = self.ends - now
        if left <= _GRACE_S:
            left = self._turn(now)
        used = self.used + cost
        spare = self.amount - used
        if self.fading:
            spare -= int(self.fading * (left - _GRACE_S))  # `_faded`, without the call
        if spare < 0:
            return self._refuse(cost, left)
        self.used = used
        return True, spare, left + self.seconds

    def give_back(self, cost: int) -> None:
        self.used -= cost

    def look(self, now: float) -> Verdict:
        left = self.ends - now
        if left <= _GRACE_S:
            left = self._turn(now)
        if not (self.used or self.last):
            self.ends = _LONG_AGO  # the next request begins a window
            return True, self.amount, 0.0
        return True, self.amount - self.used - self._faded(left), left + self.seconds if self.used else left

    def _turn(self, now: float) -> float:
        """Begin the window of `now`; return what is left of it."""
        is_next = self.used and now + _GRACE_S < self.ends + self.seconds
        self.last = self.used if is_next else 0
        self.fading = self.last / self.seconds
        self.used = 0
        if is_next:
            self.ends += self.seconds
            return self.ends - now
        self.ends = now + self.seconds
        return self.seconds

    def _faded(self, left: float) -> int:
        """Return what is left of the last window: whole requests, without the one that is fading."""
        return int(self.fading * (left - _GRACE_S))

    def _refuse(self, cost: int, left: float) -> Verdict:
        remaining = min(cost - 1, self.amount - self.used - self._faded(left))
        room = self.amount - self.used - cost
        if cost > self.amount:
            if not (self.used or self.last):
                self.ends = _LONG_AGO  # as in `look`
            return False, remaining, self.seconds
        if room >= 0:
            wait_s = left - (room + 1) * self.seconds / self.last
        else:  # in the next window, where what is used in this one fades
            wait_s = left + max(0.0, self.seconds - (self.amount - cost + 1) * self.seconds / self.used)
        return False, remaining, round(wait_s, _WAIT_DIGITS)


class FixedWindow:
    """One counter, from the first request on. Two windows' worth may pass around the end of one."""

    __slots__ = ("amount", "ends", "seconds", "used")

    def __init__(self, amount: int, seconds: int) -> None:
        self.amount = amount
        self.seconds = seconds
        self.ends = _LONG_AGO
        self.used = 0

    def charge(self, cost: int, now: float) -> Verdict:
        left = self.ends - now
        if left <= _GRACE_S or not self.used:
            self.used = 0
            self.ends = now + self.seconds
            left = float(self.seconds)
        used = self.used + cost
        if used > self.amount:
            wait_s = round(left, _WAIT_DIGITS) if cost <= self.amount else float(self.seconds)
            return False, self.amount - self.used, wait_s
        self.used = used
        return True, self.amount - used, left

    def give_back(self, cost: int) -> None:
        self.used -= cost

    def look(self, now: float) -> Verdict:
        left = self.ends - now
        if left <= _GRACE_S or not self.used:
            return True, self.amount, 0.0
        return True, self.amount - self.used, left


class Gcra:
    """A bucket that drains evenly, `amount` in `seconds`, and takes a burst of `amount`.

    Source: ITU-T I.371, generic cell rate algorithm, in its form as a continuous-state leaky bucket.
    """

    __slots__ = ("amount", "at", "grace", "level", "rate", "seconds")

    def __init__(self, amount: int, seconds: int) -> None:
        self.amount = amount
        self.seconds = seconds
        self.at = _LONG_AGO
        self.level = 0.0
        self.rate = amount / seconds
        self.grace = min(_GRACE_S * self.rate, 0.5)  # never as much as one request is worth

    def charge(self, cost: int, now: float) -> Verdict:
        level = self._level(now)
        charged = level + cost
        if charged > self.amount + self.grace:
            over = charged - self.amount
            wait_s = round(over / self.rate, _WAIT_DIGITS) if cost <= self.amount else float(self.seconds)
            return False, min(cost - 1, self._remaining(level)), wait_s
        self.level = charged
        self.at = now
        return True, self._remaining(charged), charged / self.rate

    def give_back(self, cost: int) -> None:
        self.level -= cost

    def look(self, now: float) -> Verdict:
        level = self._level(now)
        return True, self._remaining(level), level / self.rate if level > self.grace else 0.0

    def _level(self, now: float) -> float:
        return max(self.level - (now - self.at) * self.rate, 0.0)

    def _remaining(self, level: float) -> int:
        return int(self.amount - level + self.grace)


class MovingWindow:
    """The time and cost of every charge: exact at every moment, and up to `amount` entries a bucket."""

    __slots__ = ("amount", "entries", "seconds", "used")

    def __init__(self, amount: int, seconds: int) -> None:
        self.amount = amount
        self.seconds = seconds
        self.used = 0
        self.entries: deque[tuple[float, int]] = deque()  # (when it leaves the window, cost), the oldest first

    def charge(self, cost: int, now: float) -> Verdict:
        self._drop_past(now)
        used = self.used + cost
        if used > self.amount:
            return False, self.amount - self.used, self._wait(cost, now)
        self.entries.append((now + self.seconds, cost))
        self.used = used
        return True, self.amount - used, float(self.seconds)

    def give_back(self, cost: int) -> None:
        self.used -= cost
        self.entries.pop()

    def look(self, now: float) -> Verdict:
        self._drop_past(now)
        return True, self.amount - self.used, self.entries[-1][0] - now if self.entries else 0.0

    def _drop_past(self, now: float) -> None:
        while self.entries and self.entries[0][0] - now <= _GRACE_S:
            self.used -= self.entries.popleft()[1]

    def _wait(self, cost: int, now: float) -> float:
        """Return the seconds until enough has left the window."""
        if cost > self.amount:
            return float(self.seconds)
        over = self.used + cost - self.amount
        entries = iter(self.entries)
        while over > 0:
            leaves, freed = next(entries)
            over -= freed
        return round(leaves - now, _WAIT_DIGITS)


BUCKETS: Final[Mapping[RateStrategy, type[Bucket]]] = {
    "sliding-window": SlidingWindow,
    "fixed-window": FixedWindow,
    "moving-window": MovingWindow,
    "gcra": Gcra,
}
