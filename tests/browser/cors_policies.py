"""A policy with something in each of its fields, for the tests of CORS in every room."""

from __future__ import annotations

from typing import Any

from flask_guard.browser.cors import CorsPolicy

APP = "https://app.example.com"
SUBDOMAINS = "https://*.example.org"


def make_policy(*origins: str, **changed: Any) -> CorsPolicy:
    """Return a policy for these origins. changed: any other field of it."""
    fields: dict[str, Any] = {
        "credentials": False,
        "methods": ("GET", "POST", "DELETE"),
        "headers": ("Authorization", "Content-Type", "X-CSRF-Token"),
        "expose": ("X-Request-Id", "Retry-After"),
        "max_age_s": 600.0,
    }
    return CorsPolicy(origins=origins, **(fields | changed))
