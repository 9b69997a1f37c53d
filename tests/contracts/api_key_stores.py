"""A store of API keys in memory, held to the same contract as the real ones, that counts what it is asked."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from typing import Literal

from flask_guard.errors import Conflict, StoreUnavailable
from flask_guard.values import ApiKeyRecord


class MemoryApiKeyStore:
    """asked, touched: how often. is_down: every call raises StoreUnavailable."""

    def __init__(self) -> None:
        self.records: dict[str, ApiKeyRecord] = {}
        self.lock = threading.Lock()
        self.asked = 0
        self.touched: list[tuple[str, datetime]] = []
        self.is_down = False

    def add(self, record: ApiKeyRecord) -> None:
        with self._answering():
            live = {(kept.tenant, kept.name) for kept in self.records.values() if kept.revoked_at is None}
            if record.revoked_at is None and (record.tenant, record.name) in live:
                raise Conflict(detail="taken")
            self.records[record.id] = record

    def find_by_digest(self, digest: str) -> ApiKeyRecord | None:
        self.asked += 1
        with self._answering():
            return next((kept for kept in self.records.values() if kept.digest == digest), None)

    def find_by_id(self, key_id: str) -> ApiKeyRecord | None:
        with self._answering():
            return self.records.get(key_id)

    def replace(self, ended: ApiKeyRecord, *, by: ApiKeyRecord) -> bool:
        with self._answering():
            kept = self.records.get(ended.id)
            if kept is None or kept.revoked_at is not None:
                return False
            others = [other for other in self.records.values() if other.id != ended.id and other.revoked_at is None]
            names = {(other.tenant, other.name) for other in others}
            if ended.revoked_at is None:
                names.add((ended.tenant, ended.name))
            if (by.tenant, by.name) in names:
                raise Conflict(detail="taken")
            self.records |= {ended.id: ended, by.id: by}
            return True

    def list_keys(
        self, *, tenant: str | None = None, kind: Literal["service", "client"] | None = None
    ) -> list[ApiKeyRecord]:
        with self._answering():
            found = [
                kept for kept in self.records.values() if tenant in (None, kept.tenant) and kind in (None, kept.kind)
            ]
        return sorted(found, key=lambda kept: kept.created_at, reverse=True)

    def revoke(self, key_id: str, at: datetime) -> bool:
        with self._answering():
            kept = self.records.get(key_id)
            if kept is not None and kept.revoked_at is None:
                self.records[key_id] = replace(kept, revoked_at=at)
            return kept is not None

    def delete(self, key_id: str) -> bool:
        with self._answering():
            return self.records.pop(key_id, None) is not None

    def touch(self, key_id: str, at: datetime, *, not_after: datetime) -> None:
        self.touched.append((key_id, at))
        with self._answering():
            kept = self.records.get(key_id)
            if kept is not None and (kept.last_used_at is None or kept.last_used_at <= not_after):
                self.records[key_id] = replace(kept, last_used_at=at)

    def _answering(self) -> threading.Lock:
        if self.is_down:
            raise StoreUnavailable("the store does not answer")
        return self.lock
