"""How long one statement may take now: what the innermost `query_timeout` says, else the setting of the request.

Outside of requests, in jobs, commands and migrations, there is no limit unless a block sets one. Knows neither
Flask nor SQLAlchemy; `db.timeouts` enforces what is found here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Final

# Of Connection.info: the limit that a transaction was told, in seconds, with the transaction; None for one that begins.
APPLIED: Final = "flask_guard.time_limit"
# The largest value of PostgreSQL's statement_timeout, some 24 days.
_MOST_MS = 2**31 - 1

# Of the blocks around, the innermost last. Without tokens, because threads may share a block.
_limits: ContextVar[tuple[float, ...]] = ContextVar("flask_guard_time_limits", default=())
_find_in_request: Callable[[], float] = lambda: 0.0  # noqa: E731  # replaced where requests are known


def enter_limit(limit_s: float) -> None:
    """Limit each statement from now on, until `leave_limit`. 0 lifts the limit around it."""
    _limits.set((*_limits.get(), limit_s))


def leave_limit() -> None:
    """Go back to the limit that was there before the last `enter_limit`."""
    _limits.set(_limits.get()[:-1])


def find_time_limit_s() -> float:
    """Return how many seconds a statement may take now, 0 for as long as it needs."""
    limits = _limits.get()
    return limits[-1] if limits else _find_in_request()


def set_time_limit_source(find: Callable[[], float]) -> None:
    """Say where the limit of a request is found. find: returns 0 outside of requests; never raises."""
    global _find_in_request
    _find_in_request = find


def as_milliseconds(limit_s: float) -> int:
    """Return a limit above zero as whole milliseconds, one at least: 0 would mean none."""
    return max(1, min(_MOST_MS, math.ceil(limit_s * 1000)))


def timeout_settings() -> dict[str, str]:
    """Return the transaction-local settings of PostgreSQL that enforce the limit; empty without one.

    Whoever sends them with a message of his own calls `note_timeout` afterwards, so that nobody sends them again.
    """
    limit_s = find_time_limit_s()
    return {"statement_timeout": str(as_milliseconds(limit_s))} if limit_s else {}


def note_timeout(info: MutableMapping[str, Any]) -> None:
    """Note that the transaction that begins has what `timeout_settings` returned. info: `Connection.info`."""
    info[APPLIED] = (None, find_time_limit_s())
