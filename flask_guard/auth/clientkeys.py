"""Client keys: a random UUID that is a credential and names the tenant whose rows it opens.

Pure; the store is behind a protocol.
Rule: one spelling only. A key accepted in two spellings could be ended in one and used in the other.
"""

from __future__ import annotations

from ..errors import InvalidApiKey, InvalidClientKey
from ..protocols import ApiKeyStore, Clock
from ..values import Principal
from .keyformat import client_tenant, is_client_key, is_uuid_like
from .keyrecords import KeyRecords


class ClientKeyAuthenticator:
    """Turns a client key into a principal.

    registered_only: accept only keys that the store has. Otherwise any version 4 UUID opens the tenant that
    is derived from it, but one that the store has as revoked or expired stays refused.
    store: None when there is nowhere to register keys.
    """

    def __init__(self, store: ApiKeyStore | None, *, registered_only: bool, clock: Clock, max_stale_s: float) -> None:
        self._registered_only = registered_only
        self._records: KeyRecords | None = None
        if store is not None:
            self._records = KeyRecords(store, kind="client", method="client_key", clock=clock, max_stale_s=max_stale_s)

    def authenticate(self, credential: str) -> Principal | None:
        """Return the principal of a client key, None for a text that is no UUID in any spelling.

        Raises InvalidClientKey for a UUID of another version or spelling; InvalidApiKey for an unknown,
        revoked or expired one; CredentialStoreUnavailable when that cannot be told.
        """
        if not is_client_key(credential):
            if is_uuid_like(credential):
                raise InvalidClientKey(detail="a UUID of another version, or not in canonical lower case")
            return None
        principal = None if self._records is None else self._records.find(credential)
        if principal is None and self._registered_only:
            raise InvalidApiKey(detail="a client key that is not registered")
        return principal or _unregistered(credential)

    def forget(self, key_id: str) -> None:
        """Drop what is remembered of a key that was revoked or deleted."""
        if self._records is not None:
            self._records.forget(key_id)

    def after_fork(self) -> None:
        if self._records is not None:
            self._records.after_fork()


def _unregistered(key: str) -> Principal:
    tenant = client_tenant(key)
    return Principal(id=f"client-{tenant}", kind="client", method="client_key", tenant=tenant)
