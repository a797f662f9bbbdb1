"""First revision: jobs, the inputs that they use, keys of repeated requests, workers, facts of the queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        # Numbers are never used again: pages go by them.
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("clip_order", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("batch_key", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("haystack", sa.Text, nullable=False),
        *(sa.Column(name, sa.Float(53), nullable=False) for name in ("position", "lease_until_s", "created_s")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("attempt", "crashes", "variant")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("lease_owner", "group_id", "remixed_from")),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("is_cancel_asked", "is_gone")),
        sa.Column("stage", sa.Text, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("done", "total")),
        sa.Column("percent", sa.Float(53), nullable=False),
        *(sa.Column(name, sa.Float(53)) for name in ("left_s", "started_s", "completed_s", "expires_s")),
        *(sa.Column(name, sa.Text) for name in ("error_code", "error_message")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("artifacts", "facts")),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_queue", "jobs", ["state", "position", "number"])
    op.create_index("jobs_owner", "jobs", ["owner", "number"])
    op.create_table(
        "inputs",
        sa.Column("job", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("artifact", sa.Text, nullable=False, index=True),
        sa.PrimaryKeyConstraint("job", "artifact"),
    )
    op.create_table(
        "request_keys",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("body_sha256", sa.Text, nullable=False),
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("created_s", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("owner", "name"),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("seen_s", sa.Float(53), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
    )
    facts = op.create_table(
        "facts", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    op.bulk_insert(facts, [{"name": "paused", "value": "no"}, {"name": "adding", "value": ""}])


def downgrade() -> None:
    """Remove the tables."""
    for name in ("facts", "workers", "request_keys", "inputs", "jobs"):
        op.drop_table(name)
