"""Checks of what stands between the network and a view, for a deployment: https, hosts, proxies, cookies, limits.

Rule: a finding names the setting that mends it. Plain http, any host and limits in memory are how one develops, so
they are told in production only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ..net.addresses import NetworkSet
from ..pipeline.cors_rule import finds_flask_cors
from ..pipeline.runtime import Runtime
from ..values import Finding, Level
from .registry import register_check


@register_check("FG-HTTPS-001")
def check_https(runtime: Runtime) -> Iterator[Finding]:
    if runtime.settings.is_production and not runtime.settings.service.require_https:
        yield Finding(
            "FG-HTTPS-001",
            Level.WARNING,
            "Requests over plain http are served.",
            "Set GUARD_REQUIRE_HTTPS=true, and GUARD_TRUSTED_PROXIES if TLS ends at a proxy.",
        )


@register_check("FG-HTTPS-002")
def check_hsts(runtime: Runtime) -> Iterator[Finding]:
    if runtime.settings.is_production and runtime.settings.browser.hsts is None:
        yield Finding(
            "FG-HTTPS-002",
            Level.WARNING,
            "Browsers are not told to stay with https (Strict-Transport-Security).",
            "Set GUARD_HSTS=true once every name of the domain is served over https.",
        )


@register_check("FG-HOST-001")
def check_hosts(runtime: Runtime) -> Iterator[Finding]:
    if runtime.settings.is_production and not runtime.app.config["TRUSTED_HOSTS"]:
        yield Finding(
            "FG-HOST-001",
            Level.WARNING,
            "Requests may name any host, and what Flask builds from it is theirs.",
            "Set GUARD_ALLOWED_HOSTS to the names of this service.",
        )


@register_check("FG-PROXY-001")
def check_proxies(runtime: Runtime) -> Iterator[Finding]:
    networks = NetworkSet(each for each in runtime.settings.service.trusted_proxies if each != "unix")
    if networks.is_universal:
        yield Finding(
            "FG-PROXY-001",
            Level.ERROR,
            "GUARD_TRUSTED_PROXIES trusts every address: each client chooses its own.",
            "Name the networks of your proxies.",
        )


@register_check("FG-PROXY-002")
def check_server_proxies(_runtime: Runtime) -> Iterator[Finding]:
    if "*" in os.environ.get("FORWARDED_ALLOW_IPS", ""):
        yield Finding(
            "FG-PROXY-002",
            Level.ERROR,
            "FORWARDED_ALLOW_IPS=* has gunicorn believe every client that says it came by https.",
            "Remove it, or name your proxies there.",
        )


@register_check("FG-CORS-001")
def check_cors(runtime: Runtime) -> Iterator[Finding]:
    if finds_flask_cors(runtime.app):
        yield Finding(
            "FG-CORS-001",
            Level.WARNING,
            "Flask-CORS answers by hooks of its own beside Guard, by rules that Guard does not know.",
            "Remove CORS(app), and set GUARD_CORS_ORIGINS or write guard.cors(...) on routes.",
        )


@register_check("FG-LIMIT-001")
def check_rate_storage(runtime: Runtime) -> Iterable[Finding]:
    limits = runtime.settings.limits
    if not runtime.settings.is_production or limits.storage_uri.reveal() != "memory://":
        return []
    workers = _count_workers()
    said = f"{workers} workers each count" if workers > 1 else "Every worker counts"
    return [
        Finding(
            "FG-LIMIT-001",
            Level.ERROR if workers > 1 else Level.WARNING,
            f"Limits are counted in memory: {said} alone, and a restart forgets.",
            "Set GUARD_RATE_LIMIT_STORAGE_URI to a Redis or Valkey server that all workers share.",
        )
    ]


def _count_workers() -> int:
    """Return how many workers the environment asks a server for, 1 when it does not say (gunicorn's variable)."""
    number = os.environ.get("WEB_CONCURRENCY", "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 1
