"""What a bucket is called in a store that others can look into.

Rule: a name says nothing of the subject to whoever does not know the subject already, and buckets of different
strategies never share one, because their contents differ. It is no secret: who tries all addresses finds one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2s
from typing import Final

from ..config.sections import RateStrategy
from .rates import Charge, Window

# The number is the version of what is kept under such a name.
PREFIX: Final = "guard:rate:1:"
NAME_LENGTH: Final = 32
LETTERS: Final[dict[RateStrategy, str]] = {
    "sliding-window": "s",
    "fixed-window": "f",
    "moving-window": "m",
    "gcra": "g",
}


def name_service(service: str) -> str:
    """Return what keeps the buckets of a service apart from those of others on the same storage; "" without a name."""
    return f"{blake2s(service.encode(), digest_size=6).hexdigest()}:" if service else ""


def name_bucket(window: Window, subject: str) -> str:
    """Return 32 hexadecimal digits that stand for one subject's bucket of a window."""
    text = f"{len(window.scope)}:{window.scope}{window.amount}:{window.seconds}:{subject}"
    return blake2s(text.encode("utf-8", "surrogatepass"), digest_size=NAME_LENGTH // 2).hexdigest()


def sum_charges(charges: Sequence[Charge], prefix: str) -> tuple[list[str], dict[str, tuple[Window, int]]]:
    """Return the name of each charge's bucket, and for each bucket its window and all that it is charged."""
    names = [prefix + name_bucket(window, subject) for window, subject, _cost in charges]
    sums: dict[str, tuple[Window, int]] = {}
    for name, (window, _subject, cost) in zip(names, charges, strict=True):
        sums[name] = window, cost + sums[name][1] if name in sums else cost
    return names, sums
