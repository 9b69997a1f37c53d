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
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, MappedAsDataclass, declared_attr, mapped_column

from ..tenancy.parameters import bound_owner, bound_tenant
from ..tenancy.process import guard_process

guard_process()

# What an identity provider calls a tenant or a user: RFC 7519 sets no limit to a subject, OpenID Connect Core
# (section 2) sets 255 ASCII characters.
_ID = String(255)


class TenantMixin:
    """A mapped class whose rows belong to one tenant each: to the one that is bound when they are written."""

    @declared_attr
    def tenant_id(cls) -> Mapped[str]:
        return _make_column(cls, "tenant", _ask_tenant)


class OwnedMixin:
    """A mapped class whose rows belong to one principal each, and are there for nobody else.

    Roles in `__owner_bypass_roles__` (without it, "admin") see the rows of every owner of the tenant.
    """

    @declared_attr
    def owner_id(cls) -> Mapped[str]:
        return _make_column(cls, "owner", _ask_owner)


def parent(column: str) -> dict[str, Any]:
    """Return the `info` of a table whose rows belong to the tenant of the row that a foreign key column refers to."""
    return {"guard": {"parent": column}}


def shared() -> dict[str, Any]:
    """Return the `info` of a table whose rows belong to everybody."""
    return {"guard": {"global": True}}


def _make_column(class_: Any, kind: str, ask: Callable[[], object]) -> Mapped[str]:
    # The __init__ of a dataclass would ask for it first, and in every call.
    options: dict[str, Any] = {"init": False} if issubclass(class_, MappedAsDataclass) else {}
    return mapped_column(_ID, nullable=False, index=True, insert_default=ask, info={"guard": kind}, **options)


def _ask_tenant() -> object:
    return bound_tenant(_ID)


def _ask_owner() -> object:
    return bound_owner(_ID)
