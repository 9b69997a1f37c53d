"""API keys: made, listed and ended (`ApiKeys`), recognised (`ApiKeyAuthenticator`), and all kinds in turn.

The door of this room for keys: `keyformat` says what a key looks like, `keyrecords` finds its record,
`statickeys` and `clientkeys` are the other two kinds.
Rule: a key exists in the answer of `create` and nowhere else; the store has its SHA-256.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from ..config.kinds import positive_duration_s
from ..errors import Conflict, InvalidApiKey, NotFound
from ..protocols import ApiKeyStore, Authenticator, Clock
from ..values import ApiKeyRecord, Principal
from .clientkeys import ClientKeyAuthenticator
from .keyformat import (
    SERVICE_PREFIX,
    client_tenant,
    digest_of,
    find_key_id,
    is_key_id,
    make_client_key,
    make_key_id,
    make_service_key,
    require_roles,
    require_scopes,
    require_text,
    require_word,
)
from .keyrecords import KeyRecords, find_end
from .statickeys import StaticKeys, build_static_keys

__all__ = [
    "ApiKeyAuthenticator",
    "ApiKeys",
    "ClientKeyAuthenticator",
    "KeyChain",
    "KeyKind",
    "StaticKeys",
    "build_static_keys",
    "client_tenant",
]

logger = logging.getLogger("flask_guard.auth")

KeyKind = Literal["service", "client"]

# How much of a key its record shows: a service key's public id, or 32 of a client key's 122 random bits.
_SERVICE_PREFIX_LENGTH = 20
_CLIENT_PREFIX_LENGTH = 8


class ApiKeys:
    """Makes, lists and ends the keys of a store.

    forget: told the id of each key that ends, for example `ApiKeyAuthenticator.forget`, so that this
    process refuses it from then on; others do after their `max_stale_s`.
    """

    def __init__(self, store: ApiKeyStore, *, clock: Clock, forget: Iterable[Callable[[str], None]] = ()) -> None:
        self._store = store
        self._clock = clock
        self._forget = tuple(forget)

    def create(
        self,
        name: str,
        *,
        scopes: Iterable[str] = (),
        roles: Iterable[str] = (),
        tenant: str | None = None,
        expires_in: str | float | timedelta | None = None,
        kind: KeyKind = "service",
        description: str = "",
    ) -> tuple[ApiKeyRecord, str]:
        """Return a new key's record and the key itself, which is shown this once.

        name: one live key of a tenant has it. expires_in: "90d", seconds, or a timedelta; None is never.
        kind: "service", or "client", whose key is a UUID and whose tenant is its own unless one is given.
        Raises ValueError for an argument of the wrong form, Conflict for a name that is taken, and
        StoreUnavailable.
        """
        if kind not in get_args(KeyKind):
            raise ValueError("kind must be service or client")
        now = self._now()
        key_id, key = _make_key(kind)
        own_tenant = client_tenant(key) if kind == "client" else None
        record = ApiKeyRecord(
            id=key_id,
            name=require_word(name, what="name"),
            kind=kind,
            prefix=_show_prefix(key, kind),
            digest=digest_of(key),
            roles=require_roles(roles),
            scopes=require_scopes(scopes),
            tenant=own_tenant if tenant is None else require_word(tenant, what="tenant"),
            created_at=now,
            expires_at=None if expires_in is None else _end_after(now, expires_in),
            description=require_text(description, what="description"),
        )
        self._store.add(record)
        return record, key

    def rotate(
        self,
        key_id: str,
        *,
        grace: str | float | timedelta | None = None,
        expires_in: str | float | timedelta | None = None,
    ) -> tuple[ApiKeyRecord, str]:
        """Return a new key in the place of a live one: its record, and the key, which is shown this once.

        The new one has the name, kind, roles, scopes and tenant of the old one, so a client key keeps its
        namespace. grace: how long the old one is good for still, under a name that says so; None ends it now.
        expires_in: as for `create`; None gives the new one as long a life as the old one was given.
        Both are kept or neither is. Raises NotFound for an unknown id, Conflict for a key that is not live,
        ValueError and StoreUnavailable as `create`.
        """
        old = self._store.find_by_id(key_id) if is_key_id(key_id) else None
        if old is None:
            raise NotFound("There is no such key.")
        now = self._now()
        if find_end(old, now.timestamp()) is not None:
            raise Conflict("The key is not live.", detail=f"the key {old.id} {find_end(old, now.timestamp())}")
        new_id, key = _make_key(old.kind)
        life = None if old.expires_at is None else old.expires_at - old.created_at
        lasting = life if expires_in is None else expires_in
        new = replace(
            old,
            id=new_id,
            prefix=_show_prefix(key, old.kind),
            digest=digest_of(key),
            created_at=now,
            expires_at=None if lasting is None else _end_after(now, lasting),
            last_used_at=None,
        )
        if not self._store.replace(_retire(old, now, grace), by=new):
            raise Conflict("The key is not live.", detail=f"the key {old.id} was ended meanwhile")
        self._end(old.id, True)
        logger.info("the key %s was replaced by %s", old.id, new.id)
        return new, key

    def list_keys(self, *, tenant: str | None = None, kind: KeyKind | None = None) -> list[ApiKeyRecord]:
        """Return the records of keys, newest first, ended ones included. Raises StoreUnavailable."""
        return self._store.list_keys(tenant=tenant, kind=kind)

    def state_of(self, record: ApiKeyRecord) -> Literal["live", "revoked", "expired"]:
        """Say whether a key counts at this moment."""
        if find_end(record, self._clock()) is None:
            return "live"
        return "expired" if record.revoked_at is None else "revoked"

    def revoke(self, key_id: str) -> bool:
        """End a key for good and keep its record. False for an unknown id. Raises StoreUnavailable."""
        return is_key_id(key_id) and self._end(key_id, self._store.revoke(key_id, self._now()))

    def delete(self, key_id: str) -> bool:
        """Remove a key and its record. False for an unknown id. Raises StoreUnavailable."""
        return is_key_id(key_id) and self._end(key_id, self._store.delete(key_id))

    def _end(self, key_id: str, is_known: bool) -> bool:
        for forget in self._forget:
            forget(key_id)
        return is_known

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


class ApiKeyAuthenticator:
    """Turns a service key into a principal. max_stale_s: as in `KeyRecords`."""

    def __init__(self, store: ApiKeyStore, *, clock: Clock, max_stale_s: float) -> None:
        self._records = KeyRecords(store, kind="service", method="service_key", clock=clock, max_stale_s=max_stale_s)

    def authenticate(self, credential: str) -> Principal | None:
        """Return the principal of a service key, None for a text that does not begin as one.

        Raises InvalidApiKey for one that is malformed (then no store is asked), unknown, revoked or
        expired, with one text for all; CredentialStoreUnavailable when that cannot be told.
        """
        if not credential.startswith(SERVICE_PREFIX):
            return None
        key_id = find_key_id(credential)
        if key_id is None:
            raise InvalidApiKey(detail=f"a malformed service key of {len(credential)} characters")
        principal = self._records.find(credential)
        if principal is None:
            raise InvalidApiKey(detail=f"the service key {key_id} is unknown")
        return principal

    def forget(self, key_id: str) -> None:
        """Drop what is remembered of a key that was revoked or deleted."""
        self._records.forget(key_id)

    def after_fork(self) -> None:
        self._records.after_fork()


class KeyChain:
    """Asks several authenticators in turn; a key that none of them claims is refused."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    def authenticate(self, credential: str) -> Principal:
        """Return the principal of the first authenticator that claims the key.

        Raises what that one raises, InvalidApiKey when there is none.
        """
        for authenticator in self._authenticators:
            principal = authenticator.authenticate(credential)
            if principal is not None:
                return principal
        raise InvalidApiKey(detail=f"a key of no known kind, of {len(credential)} characters")


def _make_key(kind: KeyKind) -> tuple[str, str]:
    """Return a new id and a new key."""
    key_id = make_key_id()
    return key_id, make_service_key(key_id) if kind == "service" else make_client_key()


def _show_prefix(key: str, kind: KeyKind) -> str:
    return key[: _SERVICE_PREFIX_LENGTH if kind == "service" else _CLIENT_PREFIX_LENGTH]


def _retire(old: ApiKeyRecord, now: datetime, grace: str | float | timedelta | None) -> ApiKeyRecord:
    """Return a record as it is after its key was replaced. Its name is free for the new key either way."""
    if grace is None:
        return replace(old, revoked_at=now)
    end = _end_after(now, grace, what="grace")
    if old.expires_at is not None:
        end = min(end, old.expires_at)
    return replace(old, name=f"{old.name} (until {end:%Y-%m-%d %H:%M:%S} UTC)", expires_at=end)


def _end_after(now: datetime, lasting: str | float | timedelta, *, what: str = "expires_in") -> datetime:
    try:
        if isinstance(lasting, timedelta):
            lasting = lasting.total_seconds()
        return now + timedelta(seconds=positive_duration_s(lasting))
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{what} must be a duration above zero, such as 90d") from exc
