"""Columns that say whose a row is. Importing this module guards the whole process.

    class Note(TenantMixin, OwnedMixin, Base):
        __tablename__ = "notes"
        id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)

A table without a tenant of its own says where its rows belong:

    class Comment(Base):
        __tablename__ = "comments"
        __table_args__ = {"info": parent("note_id")}   # to the tenant of the note

    Table("countries", metadata, ..., info=shared())   # to everybody
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, String
from sqlalchemy.orm import Mapped, declared_attr

from ..tenancy.parameters import bound_owner, bound_tenant
from ..tenancy.process import guard_process

guard_process()

# What an identity provider calls a tenant or a user: RFC 7519 sets no limit to a subject, OpenID Connect Core
# (section 2) sets 255 ASCII characters.
_ID = String(255)


class TenantMixin:
    """A mapped class whose rows belong to one tenant each: to the one that is bound when they are written."""

    if TYPE_CHECKING:
        tenant_id: Mapped[str]
    else:

        @declared_attr
        def tenant_id(cls):
            return _make_column("tenant", lambda: bound_tenant(_ID))


class OwnedMixin:
    """A mapped class whose rows belong to one principal each, and are there for nobody else.

    Roles in `__owner_bypass_roles__` (without it, "admin") see the rows of every owner of the tenant.
    """

    if TYPE_CHECKING:
        owner_id: Mapped[str]
    else:

        @declared_attr
        def owner_id(cls):
            return _make_column("owner", lambda: bound_owner(_ID))


def parent(column: str) -> dict[str, Any]:
    """Return the `info` of a table whose rows belong to the tenant of the row that a foreign key column refers to."""
    return {"guard": {"parent": column}}


def shared() -> dict[str, Any]:
    """Return the `info` of a table whose rows belong to everybody."""
    return {"guard": {"global": True}}


def _make_column(kind: str, ask: Callable[[], object]) -> Column[str]:
    # A plain Column without an annotation: mapped dataclasses take no fields from a class that is none.
    return Column(_ID, nullable=False, index=True, default=ask, info={"guard": kind})
