"""Rate limits as values: what is counted, what a store is asked, what it answers.

Pure. The text of a limit ("100/minute", "5 per hour; 1 per second") is that of Flask-Limiter (`config.rate_text`).
Rule: a limit that cannot be read is refused where it is written; no text means "no limit" by accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..config.rate_text import parse_rate

# What one request costs at most: beyond it arithmetic in Redis would lose whole numbers (2**53).
MAX_COST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """At most `amount` of cost in any `seconds`, counted for each subject apart.

    scope: the family of buckets; two windows of one scope, amount and seconds share their buckets.
    label: the policy's name in the RateLimit headers, printable ASCII without quotes and backslashes.
    denies_on_error: what happens while the store does not answer: a refusal (503), or service.
    """

    scope: str
    amount: int
    seconds: int
    label: str
    denies_on_error: bool = False


# What one request is charged in one window: (window, subject, cost). The subject says whose bucket it is.
# A plain tuple, as is the verdict: both are made on every request.
Charge = tuple[Window, str, int]

# (allowed, remaining, wait_s). remaining: what is left in the window after this request, never below 0.
# wait_s: when allowed, seconds until the window is as good as new; when refused, seconds until a request of this
# cost can succeed if nobody else comes meanwhile.
Verdict = tuple[bool, int, float]


class RateStore(Protocol):
    """Counts. Every implementation passes `tests/contracts/test_rate_store.py`."""

    def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        """Charge all of them if every window has room, else none; one verdict for each, in their order.

        A window that is asked twice in one call (same scope, amount, seconds and subject) is charged for both.
        A cost of 0 looks and charges nothing.
        Raises StoreUnavailable when the store does not answer in time.
        """
        ...

    def forget(self, window: Window, subject: str) -> None:
        """Forget what one subject has used of a window."""
        ...

    def reset(self) -> None:
        """Forget every count."""
        ...

    def after_fork(self) -> None:
        """Share nothing with the parent; called in the child, where no other thread runs."""
        ...


def parse_windows(text: str, *, scope: str, label: str, denies_on_error: bool = False) -> tuple[Window, ...]:
    """Return the windows of a limit's text; none for "off".

    Several windows are labelled `label-1`, `label-2`, because a policy's name stands for one window.
    Raises ValueError for text that is not a limit.
    """
    if text.strip().casefold() == "off":
        return ()
    items = parse_rate(text)
    return tuple(
        Window(
            scope=scope,
            amount=amount,
            seconds=seconds,
            label=label if len(items) == 1 else f"{label}-{position}",
            denies_on_error=denies_on_error,
        )
        for position, (amount, seconds) in enumerate(items, start=1)
    )
