"""Counting in the memory of this process.

Each process counts on its own: with n workers a limit is n times as high, so production wants a shared store.
No thread; what has expired goes a few buckets at a time, whenever a new one comes.

What holds when `max_keys` buckets are there and one more comes. Nobody is refused for it. The emptiest of the
four that were looked at longest ago goes, whatever is expired before it, and a bucket that is used up (nothing
remained when it was last asked) only when more than three quarters of all are: the rest is for those who come.
So to get rid of his used-up bucket, a caller who moves from address to address has to use up three quarters of
`max_keys` others; to get rid of one with little left, he has to show up with that many others, and while he does,
those with more left go first.
Memory: about 0.4 KB a bucket, of `moving-window` 1 KB and up to 0.1 KB for each request in the window.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2s
from typing import Final

from ..config.sections import RateStrategy
from .algorithms import BUCKETS, Bucket
from .rates import Charge, Verdict, Window

# Whose bucket: scope, amount, seconds, and the subject or, of a long one, its digest.
_Key = tuple[str, int, int, str | bytes]

LEAST_KEYS: Final = 100
# A new bucket pays for looking at this many old ones on either shelf, so that the expired ones cannot pile up.
_SWEPT: Final = 2
_CANDIDATES: Final = 4
# A longer subject is kept as its digest: a key may be as long as a client likes.
_LONGEST_SUBJECT: Final = 200


class MemoryRates:
    """A RateStore of at most `max_keys` buckets.

    strategy: see `algorithms`. clock: seconds; if it goes back, time here goes on from where it was.
    Raises ValueError for a max_keys below 100.
    """

    def __init__(
        self, strategy: RateStrategy, *, clock: Callable[[], float] = time.monotonic, max_keys: int = 100_000
    ) -> None:
        if max_keys < LEAST_KEYS:
            raise ValueError(f"max_keys is {max_keys}, it must be at least {LEAST_KEYS}")
        self._make: type[Bucket] = BUCKETS[strategy]
        self._clock = clock if clock is time.monotonic else _SteadyClock(clock)
        self._max_keys = max_keys
        self._max_spent = max_keys * 3 // 4
        self._lock = threading.Lock()
        # In the order in which they were last looked at for room, not in that of use.
        self._open: OrderedDict[_Key, Bucket] = OrderedDict()
        self._spent: OrderedDict[_Key, Bucket] = OrderedDict()
        self._get_open = self._open.get

    def __len__(self) -> int:
        return len(self._open) + len(self._spent)

    def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        """Charge all or none (`RateStore`). Never raises StoreUnavailable."""
        lock = self._lock
        lock.acquire()  # `with` takes twice as long in Python 3.11, a tenth of the whole call
        try:
            if len(charges) != 1:
                return self._charge_all(charges, self._clock())
            window, subject, cost = charges[0]
            key = (window.scope, window.amount, window.seconds, subject)
            now = self._clock()
            bucket = self._get_open(key) or self._find(key, now)
            verdict = bucket.charge(cost, now) if cost else bucket.look(now)
            if not verdict[1]:
                self._shelve_spent(key)
            return [verdict]
        finally:
            lock.release()

    def forget(self, window: Window, subject: str) -> None:
        """Forget what one subject has used of a window."""
        key = _shorten((window.scope, window.amount, window.seconds, subject))
        with self._lock:
            self._open.pop(key, None)
            self._spent.pop(key, None)

    def reset(self) -> None:
        """Forget every count."""
        with self._lock:
            self._open.clear()
            self._spent.clear()

    def after_fork(self) -> None:
        """Take a fresh lock: another thread of the parent may have held the old one."""
        self._lock = threading.Lock()

    def _charge_all(self, charges: Sequence[Charge], now: float) -> list[Verdict]:
        costs: dict[_Key, int] = {}
        for window, subject, cost in charges:
            key: _Key = (window.scope, window.amount, window.seconds, subject)
            costs[key] = costs.get(key, 0) + cost
        buckets, verdicts, has_room = [], {}, True
        for key, cost in costs.items():
            bucket = self._get_open(key) or self._find(key, now)
            verdict = bucket.charge(cost, now) if cost else bucket.look(now)
            if not verdict[1]:
                self._shelve_spent(key)
            has_room = has_room and verdict[0]
            verdicts[key] = verdict
            buckets.append(bucket)
        if not has_room:
            for (key, cost), bucket in zip(costs.items(), buckets, strict=True):
                if verdicts[key][0] and cost:
                    bucket.give_back(cost)
                    verdicts[key] = bucket.look(now)
        return [verdicts[window.scope, window.amount, window.seconds, subject] for window, subject, _cost in charges]

    def _find(self, key: _Key, now: float) -> Bucket:
        """Return a bucket that was not among the open ones by this key, or a new one."""
        key = _shorten(key)
        bucket = self._spent.get(key) or self._open.get(key)
        if bucket is None:
            self._make_room(now)
            bucket = self._open[key] = self._make(key[1], key[2])
        return bucket

    def _shelve_spent(self, key: _Key) -> None:
        key = _shorten(key)
        bucket = self._open.pop(key, None)
        if bucket is not None:
            self._spent[key] = bucket

    def _make_room(self, now: float) -> None:
        """Look at some old buckets, and leave room for one more."""
        self._sweep(self._spent, _SWEPT, now)
        self._sweep(self._open, _SWEPT, now)
        while len(self) >= self._max_keys:
            emptiest = self._sweep(self._open, _CANDIDATES, now)
            if len(self._spent) > self._max_spent:
                self._spent.popitem(last=False)
            elif emptiest is not None and len(self) >= self._max_keys:
                del self._open[emptiest]

    def _sweep(self, shelf: OrderedDict[_Key, Bucket], count: int, now: float) -> _Key | None:
        """Drop those that are as good as new, put the others behind all of their kind; return the emptiest."""
        emptiest, most = None, 0.0
        for _ in range(min(count, len(shelf))):
            key, bucket = shelf.popitem(last=False)
            _, remaining, wait_s = bucket.look(now)
            if wait_s:
                (self._open if remaining else self._spent)[key] = bucket
                share = remaining / key[1]
                if share > most:
                    emptiest, most = key, share
        return emptiest


class _SteadyClock:
    """A clock that goes on from where it was when the one it reads is set back. Its caller takes turns."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ahead = 0.0
        self._latest = float("-inf")

    def __call__(self) -> float:
        now = self._clock() + self._ahead
        if now < self._latest:
            self._ahead += self._latest - now
            now = self._latest
        self._latest = now
        return now


def _shorten(key: _Key) -> _Key:
    scope, amount, seconds, subject = key
    if isinstance(subject, bytes) or len(subject) <= _LONGEST_SUBJECT:
        return key
    return scope, amount, seconds, blake2s(subject.encode("utf-8", "surrogatepass")).digest()
