"""The one way from a presented key to its live record: look-up, a short memory, and the note of its use.

Service keys and client keys share it. Pure but for locks; the store is behind a protocol.
Rules: only keys that were found live are remembered, for `max_stale_s` at most; whether one has expired is
asked of the clock each time; a note of use that fails never refuses a request.
"""

from __future__ import annotations

import hmac
import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal

from ..errors import CredentialStoreUnavailable, InvalidApiKey, StoreUnavailable
from ..protocols import ApiKeyStore, Clock
from ..values import ApiKeyRecord, Claims, Principal, PrincipalMethod
from .keyformat import digest_of

logger = logging.getLogger("flask_guard.auth")

# More live keys than one process sees in `max_stale_s`; about 2 KB each.
MAX_REMEMBERED = 4096

# How exact `last_used_at` is; it bounds the writes that reading a key causes.
TOUCH_INTERVAL_S = 60


@dataclass(frozen=True, slots=True)
class _Found:
    record: ApiKeyRecord
    principal: Principal
    asked_at: float


class KeyRecords:
    """Finds the principals of live keys in a store and remembers them.

    kind: of the records that count, and of their principals; method: how those are proved.
    max_stale_s: how long a revocation elsewhere may go unnoticed here; 0 asks the store each time.
    """

    def __init__(
        self,
        store: ApiKeyStore,
        *,
        kind: Literal["service", "client"],
        method: PrincipalMethod,
        clock: Clock,
        max_stale_s: float,
    ) -> None:
        self._store = store
        self._kind = kind
        self._method = method
        self._clock = clock
        self._max_stale_s = max_stale_s
        self._lock = threading.Lock()
        self._found: dict[str, _Found] = {}
        self._touched: dict[str, float] = {}
        self._forgotten = 0

    def find(self, key: str) -> Principal | None:
        """Return the principal of a live key, None for a key without a record.

        Raises InvalidApiKey for one that is revoked or expired (or whose record is of another kind), and
        CredentialStoreUnavailable when the store does not answer.
        """
        digest = digest_of(key)
        now = self._clock()
        found = self._found.get(digest)
        # A clock that was set back must not prolong the memory.
        if found is None or not 0 <= now - found.asked_at < self._max_stale_s:
            found = self._ask(digest, now)
        if found is None:
            return None
        reason = find_end(found.record, now)
        if reason is not None:
            raise InvalidApiKey(detail=f"the {self._kind} key {found.record.id} {reason}")
        self._touch_when_due(found.record, now)
        return found.principal

    def forget(self, key_id: str) -> None:
        """Drop what is remembered of a key: it was revoked or deleted a moment ago."""
        with self._lock:
            # A look-up that is under way has perhaps read the record as it was: it must not be kept.
            self._forgotten += 1
            for digest, found in list(self._found.items()):
                if found.record.id == key_id:
                    del self._found[digest]

    def after_fork(self) -> None:
        """Take a fresh lock: another thread of the parent may have held the old one."""
        self._lock = threading.Lock()

    def _ask(self, digest: str, now: float) -> _Found | None:
        forgotten = self._forgotten
        try:
            record = self._store.find_by_digest(digest)
        except StoreUnavailable as exc:
            raise CredentialStoreUnavailable(detail=f"the store of API keys: {exc}") from exc
        if record is None or not hmac.compare_digest(record.digest, digest):
            return None
        if record.kind != self._kind:
            raise InvalidApiKey(detail=f"the key {record.id} is recorded as a {record.kind} key")
        found = _Found(record, self._principal_of(record), now)
        if self._max_stale_s > 0 and find_end(record, now) is None:
            self._remember(digest, found, forgotten=forgotten)
        return found

    def _principal_of(self, record: ApiKeyRecord) -> Principal:
        return Principal(
            id=record.id,
            kind=record.kind,
            method=self._method,
            roles=record.roles,
            scopes=record.scopes,
            tenant=record.tenant,
            claims=Claims({"name": record.name, "key_id": record.id}),
        )

    def _remember(self, digest: str, found: _Found, *, forgotten: int) -> None:
        with self._lock:
            if forgotten != self._forgotten:
                return
            _make_room(self._found)
            self._found[digest] = found

    def _touch_when_due(self, record: ApiKeyRecord, now: float) -> None:
        noted = self._touched.get(record.id)
        if noted is not None and 0 <= now - noted < TOUCH_INTERVAL_S:
            return
        with self._lock:
            # Of the threads that come at once, one writes.
            if self._touched.get(record.id) is not noted:
                return
            _make_room(self._touched)
            self._touched[record.id] = now
        self._touch(record, datetime.fromtimestamp(now, UTC))

    def _touch(self, record: ApiKeyRecord, at: datetime) -> None:
        before = at - timedelta(seconds=TOUCH_INTERVAL_S)
        if record.last_used_at is not None and before < record.last_used_at <= at:
            return  # another process noted it
        try:
            self._store.touch(record.id, at, not_after=before)
        except Exception as exc:
            # Whatever a store of somebody else's raises: this is bookkeeping, the key is good.
            logger.warning("the use of the key %s could not be noted (%s)", record.id, type(exc).__name__)


def find_end(record: ApiKeyRecord, now: float) -> str | None:
    """Return why a key no longer counts, None for a live one. It ends at the second of its expiry."""
    if record.revoked_at is not None:
        return f"was revoked at {record.revoked_at.isoformat(timespec='seconds')}"
    if record.expires_at is not None and now >= record.expires_at.timestamp():
        return f"expired at {record.expires_at.isoformat(timespec='seconds')}"
    return None


def _make_room(members: dict[str, Any]) -> None:
    """Drop the oldest eighth when full: finding a dict's first member after many are gone is linear."""
    if len(members) >= MAX_REMEMBERED:
        for key in list(islice(members, MAX_REMEMBERED // 8)):
            del members[key]
