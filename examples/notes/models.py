"""Notes and their comments. Each row belongs to a tenant, which is the only one that can reach it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

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
    comments: Mapped[list[Comment]] = relationship(passive_deletes=True, order_by="Comment.words")

    def to_dict(self) -> dict[str, Any]:
        """Return what callers see."""
        created_at = f"{self.created_at.isoformat(timespec='seconds')}Z"
        members = {"title": self.title, "body": self.body, "owner": self.owner_id, "created_at": created_at}
        return {"id": str(self.id), **members}


class Comment(TenantMixin, Base):
    __tablename__ = "comments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    # In the database this is (tenant_id, note_id): a comment and its note are of one tenant.
    note_id: Mapped[UUID] = mapped_column(ForeignKey("notes.id", ondelete="CASCADE"))
    words: Mapped[str] = mapped_column(String(1000))
