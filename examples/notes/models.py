"""The one table: notes. Each belongs to a tenant, which is the only one that can reach it, and says who wrote it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_guard import current_principal
from flask_guard.db import TenantMixin


class Base(DeclarativeBase):
    pass


class Note(TenantMixin, Base):
    __tablename__ = "notes"
    __table_args__ = (Index("notes_of_tenant", "tenant_id", "created_at"),)

    # Random: a number would tell each tenant how many notes the others write.
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[str] = mapped_column(String(255), default=lambda: current_principal.id)
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    # UTC, and without a zone, because SQLite keeps none.
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))

    def to_dict(self) -> dict[str, Any]:
        """Return what callers see."""
        created_at = f"{self.created_at.isoformat(timespec='seconds')}Z"
        members = {"title": self.title, "body": self.body, "owner": self.owner_id, "created_at": created_at}
        return {"id": str(self.id), **members}
