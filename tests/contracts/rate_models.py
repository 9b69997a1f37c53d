"""The four strategies once more, slow and exact: whole microseconds, fractions, and every charge remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from flask_guard.config.sections import RateStrategy

SECOND_US = 1_000_000


@dataclass
class Model:
    """One bucket. log: (when, cost) of everything that was charged, in microseconds."""

    strategy: RateStrategy
    amount: int
    seconds: int
    log: list[tuple[int, int]] = field(default_factory=list)

    @property
    def span(self) -> int:
        return self.seconds * SECOND_US

    def used(self, now: int) -> Fraction:
        """Return what counts as used at a moment."""
        return USED[self.strategy](self, now)

    def has_room(self, cost: int, now: int) -> bool:
        return self.used(now) + cost <= self.amount

    def remaining(self, now: int) -> int:
        return int(self.amount - self.used(now))

    def window_starts(self) -> list[int]:
        """Return when each window began: with a request if none ran, else (where the last one fades) at its end."""
        starts: list[int] = []
        for when, _cost in self.log:
            while self.strategy == "sliding-window" and starts and starts[-1] + self.span <= when:
                begun = starts[-1]
                if when >= begun + 2 * self.span or not self.charged(begun, begun + self.span):
                    break
                starts.append(begun + self.span)
            if not starts or starts[-1] + self.span <= when:
                starts.append(when)
        return starts

    def charged(self, begin: int, end: int) -> int:
        return sum(cost for when, cost in self.log if begin <= when < end)


def used_of_sliding_window(model: Model, now: int) -> Fraction:
    starts = model.window_starts()
    if not starts:
        return Fraction(0)
    begun = starts[-1]
    if now >= begun + model.span:  # the window after it, which nothing has been charged in
        last, used, left = model.charged(begun, begun + model.span), 0, begun + 2 * model.span - now
    else:
        used, left = model.charged(begun, begun + model.span), begun + model.span - now
        last = model.charged(begun - model.span, begun) if begun - model.span in starts else 0
    fading = Fraction(last * max(left, 0), model.span)
    return Fraction(used + max(0, ceil(fading) - 1))


def used_of_fixed_window(model: Model, now: int) -> Fraction:
    starts = model.window_starts()
    is_over = not starts or now >= starts[-1] + model.span
    return Fraction(0 if is_over else model.charged(starts[-1], now + 1))


def used_of_moving_window(model: Model, now: int) -> Fraction:
    return Fraction(model.charged(now - model.span + 1, now + 1))


def used_of_gcra(model: Model, now: int) -> Fraction:
    level, last = Fraction(0), 0
    for when, cost in [*model.log, (now, 0)]:
        level = max(level - Fraction((when - last) * model.amount, model.span), Fraction(0)) + cost
        last = when
    return level


USED: dict[RateStrategy, Callable[[Model, int], Fraction]] = {
    "sliding-window": used_of_sliding_window,
    "fixed-window": used_of_fixed_window,
    "moving-window": used_of_moving_window,
    "gcra": used_of_gcra,
}
