"""A Limiter of Flask-Limiter that the application made itself, beside its Guard.

It keeps its hooks, its storage and its policies, and checks after Guard's own steps. What Guard adds is how its
refusals are told, and that a storage that is down is a 503 and no 500.
Rule: its limits are never taken away or counted twice, and a handler that the application registered wins.
"""

from __future__ import annotations

import time
from math import ceil
from typing import Final

from flask import Flask, current_app
from flask_limiter import Limiter, RateLimitExceeded
from limits.errors import StorageError

from ..errors import RateLimited, RateLimitUnavailable, Refusal
from .limiter import GuardLimiter

# What Flask-Limiter reads from app.config, and the setting of ours that says the same.
_PREFIX: Final = "RATELIMIT_"
_COUNTERPARTS: Final = {
    "RATELIMIT_APPLICATION": "GUARD_RATE_LIMIT_ANONYMOUS and GUARD_RATE_LIMIT_AUTHENTICATED",
    "RATELIMIT_DEFAULT": "guard.limit() on the routes or blueprints",
    "RATELIMIT_HEADERS_ENABLED": "GUARD_RATE_LIMIT_LEGACY_HEADERS",
    "RATELIMIT_STORAGE_URI": "GUARD_RATE_LIMIT_STORAGE_URI",
    "RATELIMIT_STRATEGY": "GUARD_RATE_LIMIT_STRATEGY",
    "RATELIMIT_SWALLOW_ERRORS": "GUARD_RATE_LIMIT_FAIL_CLOSED",
}


def foreign_limiters(app: Flask) -> list[Limiter]:
    """Return the Limiters of the application that are not Guard's."""
    return [found for found in app.extensions.get("limiter", ()) if not isinstance(found, GuardLimiter)]


def find_unread_settings(app: Flask) -> list[str]:
    """Return a sentence for each setting of Flask-Limiter that nobody reads: a limit that is not there.

    A Limiter that is switched off leaves no trace but RATELIMIT_ENABLED; then nothing is said.
    """
    if foreign_limiters(app) or app.config.get("RATELIMIT_ENABLED") is False:
        return []
    return [
        f"{name} is set, but the application has no Limiter that reads it{_tell_counterpart(name)}."
        for name in sorted(name for name in app.config if isinstance(name, str) and name.startswith(_PREFIX))
    ]


def _tell_counterpart(name: str) -> str:
    counterpart = _COUNTERPARTS.get(name)
    return f"; under Guard use {counterpart}" if counterpart else ""


def name_storage_failures(app: Flask) -> None:
    """Have each Limiter's storage raise StorageError when it is down, which nothing else in an application raises.

    Not where the application handles the storage's own errors, as Flask-Limiter's manual advises: those it goes on
    getting.
    """
    handled = {kind for by_code in app.error_handler_spec.values() for kinds in by_code.values() for kind in kinds}
    specific = handled - {Exception, StorageError}
    for limiter in foreign_limiters(app):
        if not any(_are_related(kind, raised) for kind in specific for raised in _errors_of(limiter)):
            limiter.storage.wrap_exceptions = True


def _errors_of(limiter: Limiter) -> tuple[type[Exception], ...]:
    errors = limiter.storage.base_exceptions
    return (StorageError, *(errors if isinstance(errors, tuple) else (errors,)))


def _are_related(one: type[Exception], other: type[Exception]) -> bool:
    return issubclass(one, other) or issubclass(other, one)


def as_refusal(error: Exception) -> Refusal | None:
    """Return what a foreign Limiter raised as a refusal of ours; None for everything else.

    None too for a breach that an `on_breach` of the application has an answer for.
    Call it while the request is there: the wait is asked of the storage.
    """
    cause = getattr(error, "original_exception", None) or error
    if isinstance(cause, StorageError):
        refusal = RateLimitUnavailable(detail="the storage of the application's Limiter does not answer")
        refusal.__cause__ = cause
        return refusal
    if not isinstance(cause, RateLimitExceeded) or cause.response is not None:
        return None
    return RateLimited(
        str(cause.description) if cause.limit.error_message else None,
        retry_after_s=_wait_s(cause),
        detail=f"over the limit {cause.limit.limit} of the application's Limiter",
    )


def _wait_s(error: RateLimitExceeded) -> int:
    """Return whole seconds until the limit has room again; its whole window when the storage does not tell."""
    for limiter in foreign_limiters(current_app):
        current = limiter.current_limit
        if current is not None and current.breached and current.limit == error.limit.limit:
            try:
                return max(1, ceil(current.window.reset_time - time.time()))
            except _errors_of(limiter):
                break
    return error.limit.limit.get_expiry()
