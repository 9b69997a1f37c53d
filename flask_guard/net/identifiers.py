"""The ids that tie one request's log lines together: its own id and the trace it belongs to.

Pure but for randomness. Rule: nothing of a client's id is kept unless it matches as a whole, so that an id can
stand in a log line, a header and a query without another look.
"""

from __future__ import annotations

import os
import re
from typing import Final

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")

# W3C Trace Context, "traceparent Header Field Values": version, trace id, parent id, flags; what a later
# version appends begins with a dash.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?\Z"
)

_DRAWN_AT_ONCE: Final = 64
# 32 hex digits for each id to come. A forked process must not hand out those of its parent.
_random: Final[list[str]] = []
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_random.clear)

# The two highest bits of this digit are the variant 10 (RFC 9562, section 4.1); the two lower stay random.
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def choose_request_id(raw: str | None) -> str:
    """Return the client's request id if it is 1 to 128 of `A-Za-z0-9._-`, else a new UUID of version 4.

    A malformed id is replaced, never repaired: a repaired one could be that of another request.
    """
    if raw is not None and _REQUEST_ID.match(raw):
        return raw
    return make_request_id()


def make_request_id() -> str:
    """Return a random UUID of version 4 as text (RFC 9562, section 5.4)."""
    try:
        digits = _random.pop()
    except IndexError:
        digits = _draw()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


def _draw() -> str:
    """Ask the system for the randomness of many ids at once; one call for each costs more than the id itself."""
    drawn = os.urandom(16 * _DRAWN_AT_ONCE).hex()
    _random.extend(drawn[start : start + 32] for start in range(32, len(drawn), 32))
    return drawn[:32]


def parse_traceparent(raw: str | None) -> str | None:
    """Return the trace id, 32 lower-case hex digits, of a `traceparent` header; None when it is not valid.

    Refused: version ff, an id of zeros, upper case, and anything after the flags of version 00.
    Source: W3C Trace Context, section 3.2.
    """
    match = _TRACEPARENT.match(raw) if raw else None
    if match is None or (match[1] == "00" and match[3]):
        return None
    return match[2]
