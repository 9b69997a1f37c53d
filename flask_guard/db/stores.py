"""The stores that keep Guard's own data in SQL.

SQLAlchemy Core only. Every change is one conditional statement, so that processes need no lock.
Rule: a store answers, or raises StoreUnavailable; it never guesses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, Update, bindparam, delete, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError

from ..errors import Conflict, StoreUnavailable
from ..values import ApiKeyRecord
from .engine import Database
from .schema import PreparedDatabase
from .tables import UtcDateTime, api_keys

# Built once: it is what a request waits for.
_BY_DIGEST = select(api_keys).where(api_keys.c.digest == bindparam("digest"))


class SqlApiKeyStore:
    """Keeps API keys in `guard_api_keys`. See `protocols.ApiKeyStore` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = PreparedDatabase(database)

    def add(self, record: ApiKeyRecord) -> None:
        self._insert(record)

    def find_by_digest(self, digest: str) -> ApiKeyRecord | None:
        with self._database.transaction() as connection:
            row = connection.execute(_BY_DIGEST, {"digest": digest}).one_or_none()
        return None if row is None else _read_record(row)

    def find_by_id(self, key_id: str) -> ApiKeyRecord | None:
        with self._database.transaction() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
        return None if row is None else _read_record(row)

    def list_keys(
        self, *, tenant: str | None = None, kind: Literal["service", "client"] | None = None
    ) -> list[ApiKeyRecord]:
        query = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id)
        if tenant is not None:
            query = query.where(api_keys.c.tenant == tenant)
        if kind is not None:
            query = query.where(api_keys.c.kind == kind)
        with self._database.transaction() as connection:
            rows = connection.execute(query).all()
        return [_read_record(row) for row in rows]

    def revoke(self, key_id: str, at: datetime) -> bool:
        first = func.coalesce(api_keys.c.revoked_at, literal(at, UtcDateTime))
        with self._database.transaction() as connection:
            done = connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=first))
        return done.rowcount == 1

    def replace(self, ended: ApiKeyRecord, *, by: ApiKeyRecord) -> bool:
        end = (
            update(api_keys)
            .where(api_keys.c.id == ended.id, api_keys.c.revoked_at.is_(None))
            .values(name=ended.name, revoked_at=ended.revoked_at, expires_at=ended.expires_at)
        )
        return self._insert(by, after=end)

    def delete(self, key_id: str) -> bool:
        with self._database.transaction() as connection:
            done = connection.execute(delete(api_keys).where(api_keys.c.id == key_id))
        return done.rowcount == 1

    def touch(self, key_id: str, at: datetime, *, not_after: datetime) -> None:
        last = api_keys.c.last_used_at
        is_due = or_(last.is_(None), last <= not_after)
        with self._database.transaction() as connection:
            connection.execute(update(api_keys).where(api_keys.c.id == key_id, is_due).values(last_used_at=at))

    def _insert(self, record: ApiKeyRecord, *, after: Update | None = None) -> bool:
        """Keep a new row, after a change of another if there is one; False when that one is not there to be changed.

        Raises Conflict when the name is taken, outside of the handler: the driver's error quotes the row, and a
        chained one would be logged.
        """
        try:
            with self._database.transaction() as connection:
                if after is not None and connection.execute(after).rowcount != 1:
                    return False
                connection.execute(insert(api_keys).values(_write_record(record)))
            return True
        except IntegrityError:
            taken = f"tenant {record.tenant!r} has a live key named {record.name!r} already"
        raise Conflict("A live key of this name exists.", detail=taken)


def _write_record(record: ApiKeyRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "kind": record.kind,
        "prefix": record.prefix,
        "digest": record.digest,
        "roles": _write_words(record.roles),
        "scopes": _write_words(record.scopes),
        "tenant": record.tenant,
        "description": record.description,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "last_used_at": record.last_used_at,
    }


def _read_record(row: Row[Any]) -> ApiKeyRecord:
    """Return the row's record. Raises StoreUnavailable for a row that was not written here."""
    if row.kind not in ("service", "client"):
        raise StoreUnavailable(f"the row of the key {row.id!r} is damaged: its kind is unknown")
    return ApiKeyRecord(
        id=row.id,
        name=row.name,
        kind=row.kind,
        prefix=row.prefix,
        digest=row.digest,
        roles=_read_words(row.roles, key_id=row.id),
        scopes=_read_words(row.scopes, key_id=row.id),
        tenant=row.tenant,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        description=row.description,
    )


def _write_words(words: Iterable[str]) -> str:
    return json.dumps(sorted(words), ensure_ascii=False)


def _read_words(text: str, *, key_id: str) -> frozenset[str]:
    """Return a JSON array of texts as a set. Anything else is refused: `"admin"` is no list of letters."""
    try:
        words = json.loads(text)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise StoreUnavailable(f"the row of the key {key_id!r} is damaged: no list of texts in it")
    return frozenset(words)
