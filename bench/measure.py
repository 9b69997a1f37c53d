"""Fair timing on a machine that does other things too.

Cases take turns in short blocks (A B C, then C B A beginning elsewhere, and so on), so that a drift of the
clock meets all of them. A ratio is taken within each round and then its median, so that what slowed a whole
round cancels. Time is the CPU time of the process: while a neighbour has the core, it stands still.
Rule: whatever a case uses up is laid in before its clock runs.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

# Long enough that reading the clock does not count, short enough that one round sees one speed of the CPU.
BLOCK_MS = 6.0
# Fewer have no quartiles worth the name.
LEAST_ROUNDS = 5
_WARM_UP_CALLS = 3


def _use_nothing(calls: int) -> None:
    """Lay in nothing: most cases may be called again and again."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to time.

    call: does it once. stock: lays in what so many calls use up. scene: is entered around every block.
    Neither stock nor scene is timed.
    """

    name: str
    call: Callable[[], object]
    stock: Callable[[int], None] = _use_nothing
    scene: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured: microseconds a call, one sample a round, for each case by its name."""

    rounds: dict[str, list[float]]

    def spread_us(self, name: str) -> Spread:
        return Spread.of(self.rounds[name])

    def ratio(self, name: str, base: str) -> Spread:
        """Return how many times as long as `base` it took."""
        return Spread.of([a / b for a, b in zip(self.rounds[name], self.rounds[base], strict=True)])

    def added_us(self, name: str, base: str) -> float:
        """Return the microseconds that it took beyond `base`."""
        pairs = zip(self.rounds[name], self.rounds[base], strict=True)
        return statistics.median([a - b for a, b in pairs])

    def fastest(self, names: Iterable[str]) -> str:
        return min(names, key=lambda name: statistics.median(self.rounds[name]))


def scaled(rounds: int, scale: float) -> int:
    """Return how many rounds to run: fewer for a smoke run."""
    return max(LEAST_ROUNDS, round(rounds * scale))


def measure(
    cases: Iterable[Case],
    *,
    rounds: int,
    block_ms: float = BLOCK_MS,
    clock_ns: Callable[[], int] = time.process_time_ns,
) -> Timing:
    """Time the cases, which have different names, side by side."""
    cases = list(cases)
    calls = {case.name: _fit_block(case, block_ms, clock_ns) for case in cases}
    for case in cases:
        case.stock(calls[case.name] * rounds)
    samples: dict[str, list[float]] = {case.name: [] for case in cases}
    gc.collect()
    gc.freeze()  # what was laid in is not walked again and again by the collector
    for number in range(rounds):
        for case in _turns(cases, number):
            samples[case.name].append(_time_block(case, calls[case.name], clock_ns))
    gc.unfreeze()
    return Timing(samples)


def _turns(cases: Sequence[Case], number: int) -> list[Case]:
    first = number % len(cases)
    order = [*cases[first:], *cases[:first]]
    return order[::-1] if number % 2 else order


def _fit_block(case: Case, block_ms: float, clock_ns: Callable[[], int]) -> int:
    """Return how many calls fill a block; warms the case up on the way."""
    case.stock(_WARM_UP_CALLS)
    _time_block(case, _WARM_UP_CALLS, clock_ns)
    calls = 1
    while True:
        case.stock(calls)
        taken_ms = _time_block(case, calls, clock_ns) * calls / 1e3
        if taken_ms >= block_ms / 2:
            return max(1, round(calls * block_ms / taken_ms))
        calls *= 2


def _time_block(case: Case, calls: int, clock_ns: Callable[[], int]) -> float:
    """Return the microseconds of one call, from a block of them."""
    call = case.call
    with case.scene():
        began_ns = clock_ns()
        for _ in range(calls):
            call()
        taken_ns = clock_ns() - began_ns
    return taken_ns / calls / 1e3
