"""Guard's own tables. Every name begins with `guard_`: they may share a database with an application's.

A change here needs a revision in `migrations/versions` and the new number in `schema.HEAD_REVISION`; a
test compares what both make.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Column, DateTime, Dialect, Index, Integer, MetaData, String, Table, Text, func, text
from sqlalchemy.types import TypeDecorator

PREFIX = "guard_"

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: an aware datetime goes in, the same moment in UTC comes out, whatever the database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        moment = value.astimezone(UTC)
        # SQLite keeps text without a zone; in one zone and one width it sorts as time does.
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        # PostgreSQL answers in the session's zone.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# roles and scopes: JSON arrays of text. digest: SHA-256 in hex. revoked_at: set once, never taken back.
api_keys = Table(
    "guard_api_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("prefix", String(32), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("roles", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("tenant", Text),
    Column("description", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)
Index("guard_api_keys_digest", api_keys.c.digest, unique=True)
# NULLs never collide in a unique index, so keys without a tenant stand under the empty name.
Index(
    "guard_api_keys_live_name",
    func.coalesce(api_keys.c.tenant, text("''")),
    api_keys.c.name,
    unique=True,
    sqlite_where=api_keys.c.revoked_at.is_(None),
    postgresql_where=api_keys.c.revoked_at.is_(None),
)

# What browsers reported against content security policies. digest: SHA-256 in hex of the four columns after it, or
# "dropped" in the one row whose count is that of the reports there was no room for.
csp_reports = Table(
    "guard_csp_reports",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("directive", String(64), nullable=False),
    Column("blocked", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("disposition", String(16), nullable=False),
    Column("source_file", Text),
    Column("line", Integer),
    Column("count", Integer, nullable=False),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
)
