"""The text of a rate limit: "100/minute", "5 per hour; 1 per second".

Pure. It is the notation of Flask-Limiter (the library `limits`, 5.8), where a month has 30 days and a year 12 such
months; a test compares. Read here, because importing that library takes as long as a third of Flask.
Rule: what lets nothing through, or everything, is no limit and is refused.
"""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "month": 30 * 86400,
    "year": 360 * 86400,
}
_ONE: Final = re.compile(
    rf"\s*([0-9]{{1,12}})\s*(?:/|\s*per\s)\s*(?:([0-9]{{1,6}})\s*)?({'|'.join(_SECONDS)})s?\s*", re.IGNORECASE
)
_BETWEEN: Final = re.compile(r"[;,|]")


def parse_rate(text: str) -> list[tuple[int, int]]:
    """Return the limits of a text, one at least, each as (amount, seconds); both are above zero.

    Raises ValueError with words that fit after a name.
    """
    found = []
    for part in _BETWEEN.split(text):
        match = _ONE.fullmatch(part)
        if match is None:
            raise ValueError("must be a rate such as 100/minute, or off")
        amount, multiple = int(match[1]), int(match[2] or 1)
        if not amount or not multiple:
            raise ValueError("must allow one request at least; write off for no limit")
        found.append((amount, multiple * _SECONDS[match[3].lower()]))
    return found
