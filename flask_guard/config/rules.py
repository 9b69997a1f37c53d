"""What no single setting can tell: settings that contradict each other, and what a start should say aloud.

Pure. `find_faults` is what refuses to start; `find_findings` is what a start warns of and the checklist
shows. A weak secret (`strength`) is the one in production and the other elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ..values import Finding, Level
from .kinds import environ_key
from .settings import DOMAIN_KEYS_PREFIX, Settings, all_options
from .strength import find_weak_secrets

_ADVISED_JWT_CHARACTERS = 64
_PORT_AT_END = re.compile(r":[0-9]+\Z")


def find_faults(settings: Settings, *, flask_secret: Any = None) -> list[str]:
    """Return what must be mended before the application may start."""
    faults = list(_contradictions(settings))
    if settings.is_production:
        faults += map(_sentence, find_weak_secrets(settings, flask_secret=flask_secret))
        faults += _development_only(settings)
    return faults


def find_warnings(settings: Settings, *, flask_secret: Any = None) -> list[str]:
    """Return what a start should say aloud, each with its remedy."""
    return [_sentence(finding) for finding in find_findings(settings, flask_secret=flask_secret)]


def find_findings(settings: Settings, *, flask_secret: Any = None) -> list[Finding]:
    """Return what an application can run with and should not be deployed with."""
    # In production they stopped the start, unless the application set its SECRET_KEY afterwards.
    weak = list(find_weak_secrets(settings, flask_secret=flask_secret))
    return [
        *weak,
        *_short_jwt_secret(settings),
        *_missing_audiences(settings),
        *_open_default(settings),
        *_without_effect(settings),
    ]


def _sentence(finding: Finding) -> str:
    return f"{finding.message} {finding.remedy}"


def _short_jwt_secret(settings: Settings) -> Iterator[Finding]:
    secret = settings.jwt.secret_key
    if secret is not None and len(secret.reveal()) < _ADVISED_JWT_CHARACTERS:
        message = f"GUARD_JWT_SECRET_KEY has fewer than {_ADVISED_JWT_CHARACTERS} characters."
        yield Finding("FG-SECRET-003", Level.WARNING, message, "Make one with `flask-guard keygen jwt`.")


def _missing_audiences(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each issuer of foreign tokens that are taken whoever they were made for."""
    jwt = settings.jwt
    if jwt.audience:
        return
    if jwt.jwks_url or jwt.public_key:
        yield Finding(
            "FG-TOKEN-001",
            Level.WARNING,
            "GUARD_JWT_AUDIENCE is not set: tokens that the issuer made for others are accepted.",
            "Set it to the name that the issuer has for this service.",
        )
    for position, entry in enumerate(jwt.issuers or ()):
        if not entry.get("audience"):
            yield Finding(
                "FG-TOKEN-001",
                Level.WARNING,
                f"GUARD_JWT_ISSUERS[{position}] has no audience: tokens that its issuer made for others are accepted.",
                "Give it the audience that the issuer has for this service, or set GUARD_JWT_AUDIENCE.",
            )


def _open_default(settings: Settings) -> Iterator[Finding]:
    access = settings.service.default_access
    if access == "authenticated":
        return
    is_report_only = access == "report-only"
    yield Finding(
        "FG-ACCESS-001",
        Level.ERROR if is_report_only and settings.is_production else Level.WARNING,
        f"GUARD_DEFAULT_ACCESS is {access}: "
        + ("nothing is refused." if is_report_only else "routes without a rule are not closed."),
        "Set it to authenticated; open single routes with guard.public(reason=...).",
    )


def _contradictions(settings: Settings) -> Iterator[str]:
    jwt = settings.jwt
    asymmetric = [
        name
        for name, value in (
            ("GUARD_JWT_PRIVATE_KEY", jwt.private_key),
            ("GUARD_JWT_PUBLIC_KEY", jwt.public_key),
            ("GUARD_JWT_JWKS_URL", jwt.jwks_url),
        )
        if value
    ]
    if jwt.secret_key is not None and asymmetric:
        yield (
            f"GUARD_JWT_SECRET_KEY and {asymmetric[0]} are both set; one issuer has one family of "
            "algorithms. Put the second issuer into GUARD_JWT_ISSUERS."
        )
    if jwt.jwks_url and len(asymmetric) > 1:
        yield f"GUARD_JWT_JWKS_URL and {asymmetric[0]} are both set; put one of them into GUARD_JWT_ISSUERS."
    if jwt.asymmetric_only and jwt.secret_key is not None:
        yield "GUARD_JWT_ASYMMETRIC_ONLY refuses GUARD_JWT_SECRET_KEY; set a key pair or a JWKS address."
    if jwt.secret_key is not None and "-----BEGIN " in jwt.secret_key.reveal():
        yield "GUARD_JWT_SECRET_KEY holds a PEM key; use GUARD_JWT_PRIVATE_KEY or GUARD_JWT_PUBLIC_KEY."
    if jwt.refresh_ttl_s <= jwt.access_ttl_s:
        yield "GUARD_JWT_REFRESH_TTL must be longer than GUARD_JWT_ACCESS_TTL."
    if jwt.max_lifetime_s is not None and jwt.max_lifetime_s < jwt.access_ttl_s:
        yield "GUARD_JWT_ACCESS_TTL is longer than GUARD_JWT_MAX_LIFETIME: our own tokens would be refused."
    if environ_key(jwt.header) == environ_key(settings.keys.header):
        yield "GUARD_JWT_HEADER and GUARD_API_KEY_HEADER name the same header; give each kind its own."
    if settings.browser.cors_credentials and "*" in settings.browser.cors_origins:
        yield "GUARD_CORS_ORIGINS must list origins one by one when GUARD_CORS_CREDENTIALS is on."
    yield from _contradicting_addresses(settings)


def _contradicting_addresses(settings: Settings) -> Iterator[str]:
    service = settings.service
    if service.public_url is None:
        return
    if service.require_https and not service.public_url.startswith("https:"):
        yield "GUARD_PUBLIC_URL must be https when GUARD_REQUIRE_HTTPS is on: a redirect to it would never end."
    host = urlsplit(service.public_url).hostname or ""
    names = [_PORT_AT_END.sub("", name).strip("[]") for name in service.allowed_hosts]
    if names and not any(host == name or (name[0] == "." and f".{host}".endswith(name)) for name in names):
        yield "GUARD_ALLOWED_HOSTS does not name the host of GUARD_PUBLIC_URL: nobody could reach the service by it."


def _development_only(settings: Settings) -> Iterator[str]:
    if (settings.jwt.jwks_url or "").startswith("http:"):
        yield "GUARD_JWT_JWKS_URL must be https in production."
    if "*" in settings.browser.cors_origins:
        yield "GUARD_CORS_ORIGINS must not be * in production."
    if not settings.accounts.oidc_enabled:
        yield "GUARD_OIDC_ENABLED must not be false in production."


def _without_effect(settings: Settings) -> Iterator[Finding]:
    names = [name for name, declared in all_options().items() if not declared.effective and settings.is_set(name)]
    names += [f"{DOMAIN_KEYS_PREFIX}{domain.upper()}" for domain in settings.encryption.domain_keys]
    for name in names:
        message = f"{name} has no effect in this version."
        yield Finding("FG-SETTINGS-001", Level.WARNING, message, "Remove it, and do not rely on what it promises.")
