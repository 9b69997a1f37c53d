"""Makes header sets for the tests of the response headers, and reads what they send."""

from __future__ import annotations

from typing import Any

from flask_guard.browser.headers import HeaderSet, Pair
from flask_guard.config.options import iterate_options
from flask_guard.config.sections import BrowserSettings

CSP = "Content-Security-Policy"
REPORT_ONLY = "Content-Security-Policy-Report-Only"
HSTS = "Strict-Transport-Security"
JSON = ("Content-Type", "application/json")
HTML = ("Content-Type", "text/html; charset=utf-8")


def browser_settings(**changed: Any) -> BrowserSettings:
    defaults = {
        name: None if declared.default is None else declared.kind(declared.default)
        for name, declared in iterate_options(BrowserSettings)
    }
    return BrowserSettings(**(defaults | changed))


def complete(
    *given: Pair,
    service: str | None = None,
    extra: tuple[Pair, ...] = (),
    status: str = "200 OK",
    is_secure: bool = False,
    nonce: str | None = None,
    route: Any = None,
    **changed: Any,
) -> list[Pair]:
    """Return an answer's headers, completed under the changed settings. route: the route's own content policy."""
    headers = HeaderSet(browser_settings(**changed), service)
    policy = None if route is None else headers.prepare(route)
    sent = list(given)
    headers.complete(sent, extra, status=status, is_secure=is_secure, policy=policy, nonce=nonce)
    return sent


def values_of(sent: list[Pair], name: str) -> list[str]:
    return [value for each, value in sent if each.lower() == name.lower()]
