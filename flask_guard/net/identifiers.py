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

_MADE_AT_ONCE: Final = 64
# Ids to come. A forked process must not hand out those of its parent.
_made: Final[list[str]] = []
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_made.clear)

# Version 4 and the variant 10 are the highest bits of two of the 16 bytes (RFC 9562, section 5.4).
_VERSION: Final = bytes(0x40 | byte & 0x0F for byte in range(256))
_VARIANT: Final = bytes(0x80 | byte & 0x3F for byte in range(256))
_GROUPS: Final = re.compile("(.{8})(.{4})(.{4})(.{4})(.{12})")


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
        return _made.pop()
    except IndexError:
        made, *others = _make_many()
        _made.extend(others)
        return made


def _make_many() -> list[str]:
    """Make many ids at once: asking the system for randomness costs more than an id, and so does writing one alone."""
    drawn = bytearray(os.urandom(16 * _MADE_AT_ONCE))
    drawn[6::16] = drawn[6::16].translate(_VERSION)
    drawn[8::16] = drawn[8::16].translate(_VARIANT)
    return ["-".join(groups) for groups in _GROUPS.findall(drawn.hex())]


def parse_traceparent(raw: str | None) -> str | None:
    """Return the trace id, 32 lower-case hex digits, of a `traceparent` header; None when it is not valid.

    Refused: version ff, an id of zeros, upper case, and anything after the flags of version 00.
    Source: W3C Trace Context, section 3.2.
    """
    match = _TRACEPARENT.match(raw) if raw else None
    if match is None or (match[1] == "00" and match[3]):
        return None
    return match[2]
