"""What a program asks of Guard while it runs: tokens and API keys, by the services of the application.

Whatever is handed out inside a request is a credential, so the answer of that request is kept out of caches.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Literal

from ..errors import ConfigError
from ..values import ApiKeyRecord
from .context import find_request_context
from .runtime import Runtime


def _mark_credential_answer() -> None:
    context = find_request_context()
    if context is not None:
        context.answers_credentials = True


class TokenDesk:
    """`guard.tokens`."""

    def __init__(self, runtime: Runtime) -> None:
        self._tokens = runtime.tokens

    def issue(
        self,
        subject: str,
        roles: Iterable[str] = (),
        scopes: Iterable[str] = (),
        tenant: str | None = None,
        ttl: str | float | timedelta | None = None,
        **claims: Any,
    ) -> str:
        """Return a signed access token (RFC 9068).

        ttl: its lifetime, "15m", seconds or a timedelta; GUARD_JWT_ACCESS_TTL by default.
        claims: further claims; those with a meaning of their own are refused with ValueError.
        Raises ConfigError when no signing key is configured.
        """
        if self._tokens is None:
            raise ConfigError(
                "Tokens cannot be issued: set GUARD_JWT_SECRET_KEY or GUARD_JWT_PRIVATE_KEY "
                "(`flask-guard keygen jwt` makes one)."
            )
        _mark_credential_answer()
        return self._tokens.issue(subject, roles=roles, scopes=scopes, tenant=tenant, ttl=ttl, **claims)


class ApiKeyDesk:
    """`guard.api_keys`."""

    def __init__(self, runtime: Runtime) -> None:
        self._keys = runtime.api_keys

    def create(
        self,
        name: str,
        *,
        scopes: Iterable[str] = (),
        roles: Iterable[str] = (),
        tenant: str | None = None,
        expires_in: str | float | timedelta | None = None,
        kind: Literal["service", "client"] = "service",
        description: str = "",
    ) -> tuple[ApiKeyRecord, str]:
        """Return the record of a new key and the key itself, which is shown this once.

        Raises ValueError for a name, scope, role or lifetime that cannot be, Conflict when the tenant has a
        live key of this name, StoreUnavailable when the store does not answer.
        """
        _mark_credential_answer()
        return self._keys.create(
            name,
            scopes=scopes,
            roles=roles,
            tenant=tenant,
            expires_in=expires_in,
            kind=kind,
            description=description,
        )

    def rotate(
        self,
        key_id: str,
        *,
        grace: str | float | timedelta | None = None,
        expires_in: str | float | timedelta | None = None,
    ) -> tuple[ApiKeyRecord, str]:
        """Return a new key in the place of a live one, which ends now or after the grace.

        Raises NotFound for an unknown id, Conflict for a key that is not live; nothing has changed then.
        """
        _mark_credential_answer()
        return self._keys.rotate(key_id, grace=grace, expires_in=expires_in)

    def list_keys(
        self, *, tenant: str | None = None, kind: Literal["service", "client"] | None = None
    ) -> list[ApiKeyRecord]:
        """Return the keys, newest first, without their secrets."""
        return self._keys.list_keys(tenant=tenant, kind=kind)

    def revoke(self, key_id: str) -> bool:
        """End a key for good and keep its record. False when there is no such key."""
        return self._keys.revoke(key_id)

    def delete(self, key_id: str) -> bool:
        """Remove a key and its record. False when there is no such key."""
        return self._keys.delete(key_id)
