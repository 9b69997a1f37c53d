"""Tables: one row for each case, its target and its verdict at the end.

Rule: a figure is printed with its quartiles or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .measure import Spread, Timing

NO_TARGET = ("-", "-")


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: at most, or at least, this."""

    limit: float
    side: Literal["at most", "at least"] = "at most"
    unit: str = ""

    def is_met(self, value: float) -> bool:
        return value <= self.limit if self.side == "at most" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.side} {self.limit:g}{self.unit}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row of its own: how many times as long as `base` a case took."""

    name: str
    base: str
    target: Target


class Report:
    """Prints tables and remembers what was missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []
        self.judged = 0

    def judge(self, what: str, value: float, target: Target | None) -> tuple[str, str]:
        """Return the last two cells of a row."""
        if target is None:
            return NO_TARGET
        self.judged += 1
        if target.is_met(value):
            return str(target), "met"
        self.missed.append(f"{what}: {value:.3f}{target.unit}, the target is {target}")
        return str(target), "missed"

    def heading(self, text: str) -> None:
        print(f"## {text}\n")

    def note(self, text: str) -> None:
        print(f"{text}\n")

    def timing(
        self,
        title: str,
        timing: Timing,
        *,
        floor: str,
        targets: dict[str, Target],
        comparisons: Sequence[Comparison] = (),
    ) -> None:
        """Print the ratios to the floor, then the comparisons of cases with each other."""
        rows = []
        for name in timing.rounds:
            ratio, us = timing.ratio(name, floor), timing.spread_us(name).median
            target = targets.get(name)
            verdict = self.judge(f"{title}, {name}", ratio.median, target)
            rows.append((name, show(ratio), f"{us:.2f}", f"{timing.added_us(name, floor):+.2f}", *verdict))
        for row in comparisons:
            ratio = timing.ratio(row.name, row.base)
            label = f"{row.name} / {row.base}"
            verdict = self.judge(f"{title}, {label}", ratio.median, row.target)
            rows.append((label, show(ratio), "", "", *verdict))
        self.table(("case", "x floor (quartiles)", "us", "us over floor", "target", "verdict"), rows)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]

        def line(cells: Sequence[str]) -> str:
            first, *others = zip(cells, widths, strict=True)
            return f"| {first[0]:<{first[1]}} | " + " | ".join(f"{c:>{w}}" for c, w in others) + " |"

        print(line(heads))
        print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
        for row in rows:
            print(line(row))
        print(flush=True)

    def conclude(self) -> None:
        """List what was missed; the last lines of a run."""
        self.heading("Targets")
        print(f"{self.judged - len(self.missed)} of {self.judged} met.")
        for sentence in self.missed:
            print(f"missed: {sentence}")


def show(spread: Spread, digits: int = 2) -> str:
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f}..{spread.high:.{digits}f})"
