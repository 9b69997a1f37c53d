"""The one table: notes, each of which belongs to a tenant and to whoever wrote it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    __table_args__ = (Index("notes_of_tenant", "tenant_id", "created_at"),)

    # Random: a number would tell each tenant how many notes the others write.
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[str] = mapped_column(String(255))
    owner_id: Mapped[str] = mapped_column(String(255))
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    # UTC, and without a zone, because SQLite keeps none.
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))

    def to_dict(self) -> dict[str, Any]:
        """Return what callers see."""
        created_at = f"{self.created_at.isoformat(timespec='seconds')}Z"
        members = {"title": self.title, "body": self.body, "owner": self.owner_id, "created_at": created_at}
        return {"id": str(self.id), **members}
