"""Attacks on whole applications, made as in `tests.requests`."""

from __future__ import annotations

from tests.requests.conftest import make_app

__all__ = ["make_app"]
