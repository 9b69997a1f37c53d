"""What no single setting can tell: secrets too weak or used twice, and settings that contradict each other.

Pure. `find_faults` is what refuses to start, `find_warnings` what a start says aloud; a weak secret is a
fault in production and a warning elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .kinds import decode_key
from .secrets import Secret, find_weakness
from .sections import DefaultAccess
from .settings import DOMAIN_KEYS_PREFIX, Settings, all_options

# Least bytes of each secret. HS256: RFC 7518, section 3.2 asks for the size of the hash.
_LEAST_BYTES = {
    "GUARD_JWT_SECRET_KEY": 32,
    "GUARD_ADMIN_SECRET": 32,
    "GUARD_AUDIT_PEPPER": 16,
}
_ENCODED_KEYS = frozenset({"GUARD_ENCRYPTION_KEY", "GUARD_ENCRYPTION_INDEX_KEY"})
_ADVISED_JWT_CHARACTERS = 64


def find_faults(settings: Settings, *, flask_secret: Any = None) -> list[str]:
    """Return what must be mended before the application may start."""
    faults = list(_contradictions(settings))
    if settings.is_production:
        faults += _weak_secrets(settings, flask_secret)
        faults += _development_only(settings)
    return faults


def find_warnings(settings: Settings, *, flask_secret: Any = None) -> list[str]:
    """Return what a start should say aloud."""
    warnings = [] if settings.is_production else list(_weak_secrets(settings, flask_secret))
    secret = settings.jwt.secret_key
    if secret is not None and len(secret.reveal()) < _ADVISED_JWT_CHARACTERS:
        warnings.append(f"GUARD_JWT_SECRET_KEY has fewer than {_ADVISED_JWT_CHARACTERS} characters.")
    if _checks_foreign_tokens(settings) and not settings.jwt.audience:
        warnings.append("GUARD_JWT_AUDIENCE is not set: tokens that the issuer made for others are accepted.")
    if settings.service.default_access != "authenticated":
        warnings.append(_open_default(settings.service.default_access))
    return warnings + list(_without_effect(settings))


def _open_default(access: DefaultAccess) -> str:
    what = "nothing is refused" if access == "report-only" else "routes without a rule are not closed"
    return f"GUARD_DEFAULT_ACCESS is {access}: {what}."


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
    if _environ_key(jwt.header) == _environ_key(settings.keys.header):
        yield "GUARD_JWT_HEADER and GUARD_API_KEY_HEADER name the same header; give each kind its own."
    if settings.browser.cors_credentials and "*" in settings.browser.cors_origins:
        yield "GUARD_CORS_ORIGINS must list origins one by one when GUARD_CORS_CREDENTIALS is on."


def _environ_key(header: str) -> str:
    """Return a header's name as WSGI spells it, where X-Key and X_KEY are one."""
    return header.upper().replace("-", "_")


def _development_only(settings: Settings) -> Iterator[str]:
    if (settings.jwt.jwks_url or "").startswith("http:"):
        yield "GUARD_JWT_JWKS_URL must be https in production."
    if "*" in settings.browser.cors_origins:
        yield "GUARD_CORS_ORIGINS must not be * in production."
    if not settings.accounts.oidc_enabled:
        yield "GUARD_OIDC_ENABLED must not be false in production."


def _secrets(settings: Settings, flask_secret: Any) -> dict[str, Secret]:
    named = {
        "GUARD_JWT_SECRET_KEY": settings.jwt.secret_key,
        "GUARD_ADMIN_SECRET": settings.keys.admin_secret,
        "GUARD_AUDIT_PEPPER": settings.audit.pepper,
        "GUARD_ENCRYPTION_KEY": settings.encryption.key,
        "GUARD_ENCRYPTION_INDEX_KEY": settings.encryption.index_key,
        "GUARD_ENCRYPTION_KEYS": settings.encryption.keys,
    }
    named |= {DOMAIN_KEYS_PREFIX + name.upper(): key for name, key in settings.encryption.domain_keys.items()}
    if isinstance(flask_secret, bytes):
        flask_secret = flask_secret.decode("latin-1")
    if isinstance(flask_secret, str) and flask_secret:
        named["SECRET_KEY"] = Secret(flask_secret)
    return {name: secret for name, secret in named.items() if secret is not None}


def _weak_secrets(settings: Settings, flask_secret: Any) -> Iterator[str]:
    secrets = _secrets(settings, flask_secret)
    for name, secret in secrets.items():
        weakness = _find_weakness(name, secret)
        if weakness is not None:
            yield f"{name} {weakness}. Make one with `flask guard keygen`."
    names = list(secrets)
    for position, name in enumerate(names):
        for other in names[position + 1 :]:
            if secrets[name] == secrets[other] or _are_one_key(secrets, name, other):
                yield f"{name} and {other} are the same secret; give each purpose its own."


def _find_weakness(name: str, secret: Secret) -> str | None:
    if name in _LEAST_BYTES:
        return find_weakness(secret, min_bytes=_LEAST_BYTES[name])
    if name in _ENCODED_KEYS:
        return find_weakness(Secret(decode_key(secret).decode("latin-1")), min_bytes=32)
    return None


def _are_one_key(secrets: dict[str, Secret], name: str, other: str) -> bool:
    """Say whether two encoded keys are the same bytes, one in hex and one in base64."""
    both = {name, other} <= _ENCODED_KEYS
    return both and Secret(decode_key(secrets[name]).hex()) == Secret(decode_key(secrets[other]).hex())


def _checks_foreign_tokens(settings: Settings) -> bool:
    return bool(settings.jwt.jwks_url or settings.jwt.public_key)


def _without_effect(settings: Settings) -> Iterator[str]:
    for name, declared in all_options().items():
        if not declared.effective and settings.is_set(name):
            yield f"{name} has no effect in this version."
    for domain in settings.encryption.domain_keys:
        yield f"{DOMAIN_KEYS_PREFIX}{domain.upper()} has no effect in this version."
