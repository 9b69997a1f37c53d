"""Keep API keys.

Frozen: later changes of `tables` go into later revisions. What is there already is passed over.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "guard_api_keys",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        if_not_exists=True,
    )
    op.create_index("guard_api_keys_digest", "guard_api_keys", ["digest"], unique=True, if_not_exists=True)
    op.create_index(
        "guard_api_keys_live_name",
        "guard_api_keys",
        [sa.text("coalesce(tenant, '')"), "name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("guard_api_keys", if_exists=True)
