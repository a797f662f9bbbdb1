"""Second revision: seconds of video that each key has asked for, which stay when its clips are deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "spent",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False, index=True),
        sa.Column("at_s", sa.Float(53), nullable=False),
        sa.Column("seconds", sa.Float(53), nullable=False),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("spent")
