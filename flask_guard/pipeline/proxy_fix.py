"""Werkzeug's ProxyFix beside Guard: two that rewrite the client's address do not agree on who it is.

ProxyFix believes whoever connects, so that behind it every client chooses its own address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from werkzeug.middleware.proxy_fix import ProxyFix

# What ProxyFix leaves in the WSGI environment, wherever it stands.
PROXY_FIX_KEY: Final = "werkzeug.proxy_fix.orig"
PROXY_FIX_FAULT: Final = (
    "Werkzeug's ProxyFix is at work beside Guard: remove it, and name your proxies in GUARD_TRUSTED_PROXIES."
)
# Under which names middleware keeps the application that it wraps.
_INNER: Final = ("app", "wsgi_app", "application", "_app")
_DEEPEST: Final = 32


def finds_proxy_fix(wsgi_app: Callable[..., Any]) -> bool:
    """Say whether ProxyFix is among the middleware around an application."""
    layer: Any = wsgi_app
    for _depth in range(_DEEPEST):
        if isinstance(layer, ProxyFix):
            return True
        layer = next((inner for name in _INNER if callable(inner := getattr(layer, name, None))), None)
        if layer is None:
            return False
    return False
