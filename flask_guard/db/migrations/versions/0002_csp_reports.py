"""Keep reports of content security policies.

Frozen: later changes of `tables` go into later revisions. What is there already is passed over.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "guard_csp_reports",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("directive", sa.String(64), nullable=False),
        sa.Column("blocked", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("disposition", sa.String(16), nullable=False),
        sa.Column("source_file", sa.Text),
        sa.Column("line", sa.Integer),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("guard_csp_reports", if_exists=True)
