"""How strong the secrets of the settings are, and whether one serves two purposes.

Pure. `find_weak_secrets` is the one list of them: a fault in production, a warning elsewhere (`rules`).
Rule: a secret is named, never quoted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..values import Finding, Level
from .kinds import decode_key
from .secrets import Secret, find_weakness
from .settings import DOMAIN_KEYS_PREFIX, Settings

# HS256: RFC 7518, section 3.2 asks for the size of the hash. AES-256 has keys of 32 bytes. An API key is to
# be as strong as those we make, which have 256 bits; so is what opens administration.
_LEAST_BYTES = 32
# A pepper only keeps fingerprints from being tried out: 128 bits.
_LEAST_PEPPER_BYTES = 16
# What a name may look like to be quoted: a key that stands in its place by mistake must not be.
_QUOTABLE = re.compile(r"[A-Za-z0-9_.-]{1,20}")


@dataclass(frozen=True, slots=True)
class _Configured:
    """One secret. least_bytes: 0 for one that is not judged. purpose: what `flask-guard keygen` calls it."""

    name: str
    secret: Secret
    least_bytes: int = 0
    purpose: str | None = None

    @property
    def remedy(self) -> str:
        if self.purpose is not None:
            return f"Make one with `flask-guard keygen {self.purpose}`."
        return f"Take {self.least_bytes} random bytes or more."


def name_key_entry(position: int, entry: Mapping[str, Any]) -> str:
    """Return how faults call an entry of GUARD_API_KEYS. position: from 1 up."""
    name = entry.get("name")
    is_quotable = isinstance(name, str) and _QUOTABLE.fullmatch(name) is not None
    return f"GUARD_API_KEYS, entry {position}" + (f" ({name})" if is_quotable else "")


def find_weak_secrets(settings: Settings, *, flask_secret: Any = None) -> Iterator[Finding]:
    """Yield a finding for each secret that is too weak, and for each that serves two purposes.

    flask_secret: Flask's SECRET_KEY, which signs sessions and CSRF tokens.
    """
    configured = [*_signing_secrets(settings), *_encryption_secrets(settings), *_flask_secrets(flask_secret)]
    for one in configured:
        weakness = _find_weakness(one) if one.least_bytes else None
        if weakness is not None:
            yield Finding("FG-SECRET-001", Level.WARNING, f"{one.name} {weakness}.", one.remedy)
    seen: dict[bytes, str] = {}
    for one in configured:
        # Two forms of one secret are told once, and what it is the same as by its first name.
        first = next((seen[form] for form in _forms(one.secret) if form in seen), None)
        if first is not None:
            message = f"{first} and {one.name} are the same secret."
            yield Finding("FG-SECRET-002", Level.WARNING, message, "Give each purpose its own.")
        for form in _forms(one.secret):
            seen.setdefault(form, one.name)


def _signing_secrets(settings: Settings) -> Iterator[_Configured]:
    """Yield what signs, opens and identifies."""
    keys = settings.keys
    for name, secret, least_bytes, purpose in (
        ("GUARD_JWT_SECRET_KEY", settings.jwt.secret_key, _LEAST_BYTES, "jwt"),
        ("GUARD_ADMIN_SECRET", keys.admin_secret, _LEAST_BYTES, "admin"),
        ("GUARD_AUDIT_PEPPER", settings.audit.pepper, _LEAST_PEPPER_BYTES, None),
    ):
        if secret is not None:
            yield _Configured(name, secret, least_bytes, purpose)
    # One that is no Secret could not be read; who builds something from the entry says why.
    for position, issuer in enumerate(settings.jwt.issuers or ()):
        if isinstance(secret := issuer.get("secret_key"), Secret) and secret.reveal():
            yield _Configured(f"GUARD_JWT_ISSUERS[{position}].secret_key", secret, _LEAST_BYTES, "jwt")
    for position, entry in enumerate(keys.static or (), start=1):
        if isinstance(secret := entry.get("key"), Secret) and secret.reveal():
            yield _Configured(f"{name_key_entry(position, entry)}: key", secret, _LEAST_BYTES)


def _encryption_secrets(settings: Settings) -> Iterator[_Configured]:
    encryption = settings.encryption
    for name, secret in (
        ("GUARD_ENCRYPTION_KEY", encryption.key),
        ("GUARD_ENCRYPTION_INDEX_KEY", encryption.index_key),
    ):
        if secret is not None:
            yield _Configured(name, secret, _LEAST_BYTES, "encryption")
    sets = {"GUARD_ENCRYPTION_KEYS": encryption.keys or {}}
    sets |= {DOMAIN_KEYS_PREFIX + domain.upper(): keys for domain, keys in encryption.domain_keys.items()}
    for name, versions in sets.items():
        for version, secret in versions.items():
            yield _Configured(f"{name}, version {version}", secret, _LEAST_BYTES, "encryption")


def _flask_secrets(flask_secret: Any) -> Iterator[_Configured]:
    if isinstance(flask_secret, bytes):
        flask_secret = flask_secret.decode("latin-1")
    if isinstance(flask_secret, str) and flask_secret:
        yield _Configured("SECRET_KEY", Secret(flask_secret), _LEAST_PEPPER_BYTES)


def find_weak_flask_secret(flask_secret: Any) -> str | None:
    """Return what is weak about a secret that signs Flask's sessions, in words that fit after its name."""
    return next(filter(None, map(_find_weakness, _flask_secrets(flask_secret))), None)


def _find_weakness(one: _Configured) -> str | None:
    is_encoded = one.purpose == "encryption"
    secret = Secret(decode_key(one.secret).decode("latin-1")) if is_encoded else one.secret
    return find_weakness(secret, min_bytes=one.least_bytes)


def _forms(secret: Secret) -> set[bytes]:
    """Return digests of a secret as text and, when it is 32 bytes in hex or base64, as those bytes."""
    decoded = decode_key(secret)
    forms = [secret.reveal_bytes(), *([decoded] if len(decoded) == 32 else [])]
    return {hashlib.sha256(form).digest() for form in forms}
