"""What stands between the network and a view: the client's address, cookies, CORS, CSRF, limits."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask

from ..browser.cookies import harden_session_cookie
from ..browser.cors import CorsPolicy
from ..config.kinds_web import ONE_SERVER_SCHEMES
from ..config.sections import LimitSettings
from ..config.settings import Settings
from ..config.strength import find_weak_flask_secret
from ..errors import ConfigError
from ..limits.breaker import RateBreaker
from ..limits.memory import MemoryRates
from ..limits.rates import RateStore
from ..logs.counters import Counters
from ..net.addresses import ClientReader
from ..pipeline.cors_answers import CorsAnswers
from ..pipeline.csrf_session import CsrfTokens
from ..pipeline.proxy_fix import PROXY_FIX_FAULT, finds_proxy_fix
from ..pipeline.rates import Rates
from .lazy import survive_forks


@dataclass(frozen=True, slots=True)
class Front:
    """The services of this part of an application."""

    client_reader: ClientReader
    cors: CorsAnswers
    csrf_tokens: CsrfTokens
    rates: Rates
    counters: Counters


def build_front(app: Flask, settings: Settings, *, clock: Callable[[], float]) -> Front:
    """Return the services. Raises ConfigError for what cannot be run, such as a storage without its driver."""
    service, counters = settings.service, Counters()
    store = build_rate_store(settings.limits, service=service.name or "")
    rates = Rates(store, settings.limits, clock=clock, counters=counters)
    survive_forks(counters, rates)
    return Front(
        client_reader=ClientReader(service.trusted_proxies, family=service.forwarded_header),
        cors=CorsAnswers(make_cors_policy(settings)),
        csrf_tokens=CsrfTokens(app, reads_forms=service.default_access != "report-only"),
        rates=rates,
        counters=counters,
    )


def make_cors_policy(settings: Settings) -> CorsPolicy:
    browser = settings.browser
    return CorsPolicy(
        origins=browser.cors_origins,
        credentials=browser.cors_credentials,
        methods=browser.cors_methods,
        headers=browser.cors_headers,
        expose=browser.cors_expose,
        max_age_s=browser.cors_max_age_s,
    )


def build_rate_store(limits: LimitSettings, *, service: str) -> RateStore:
    """Return where limits are counted. Memory never fails; what may is behind a breaker.

    service: services of different names count apart on one storage.
    """
    uri = limits.storage_uri.reveal()
    scheme = uri.partition("://")[0]
    if scheme == "memory":
        memory = MemoryRates(limits.strategy)
        survive_forks(memory)
        return memory
    if scheme in ONE_SERVER_SCHEMES:
        store: RateStore = importlib.import_module("flask_guard.extras.redis").RedisRates(
            uri, limits.strategy, service=service
        )
    else:
        store = importlib.import_module("flask_guard.limits.library").LibraryRates(
            uri, limits.strategy, service=service
        )
    breaker = RateBreaker(store, clock=time.monotonic)
    survive_forks(breaker)
    return breaker


def prepare_app(app: Flask, settings: Settings) -> tuple[str, ...]:
    """Set what Flask itself does better than we could: trusted hosts, cookie flags, bounds of forms.

    Returns what a start should say aloud. Raises ConfigError with every fault, before anything is set.
    """
    service = settings.service
    cookie = harden_session_cookie(app.config, env=service.env, require_https=service.require_https)
    faults = [*cookie.faults, *_find_host_faults(app, settings)]
    faults += _find_fallback_faults(app, is_production=settings.is_production)
    if finds_proxy_fix(app.wsgi_app):
        faults.append(PROXY_FIX_FAULT)
    if faults:
        raise ConfigError(*faults)
    app.config.update(cookie.changes)
    if service.allowed_hosts:
        app.config["TRUSTED_HOSTS"] = list(service.allowed_hosts)
    if settings.is_set("GUARD_MAX_FORM_PARTS"):
        app.config["MAX_FORM_PARTS"] = settings.limits.max_form_parts
    return cookie.warnings


def _find_fallback_faults(app: Flask, *, is_production: bool) -> list[str]:
    """Return what is wrong with the secrets that sessions and CSRF tokens may still be signed with."""
    fallbacks = app.config.get("SECRET_KEY_FALLBACKS") or ()
    if isinstance(fallbacks, (str, bytes)):
        return ["SECRET_KEY_FALLBACKS must be a list: of a text, Flask takes each character for a secret."]
    if not is_production:
        return []
    weak = ((place, find_weak_flask_secret(secret)) for place, secret in enumerate(fallbacks, start=1))
    return [f"SECRET_KEY_FALLBACKS, entry {place} {fault}. Remove it." for place, fault in weak if fault]


def _find_host_faults(app: Flask, settings: Settings) -> list[str]:
    allowed, trusted = settings.service.allowed_hosts, app.config.get("TRUSTED_HOSTS")
    if allowed and trusted and set(allowed) != set(trusted):
        return ["GUARD_ALLOWED_HOSTS and Flask's TRUSTED_HOSTS differ; set one of them."]
    return []


def use_nonces(app: Flask, nonce: Callable[[], str]) -> None:
    """Let templates say `<script nonce="{{ csp_nonce() }}">`."""
    cast(dict[str, Any], app.jinja_env.globals).setdefault("csp_nonce", nonce)
