"""First revision: models, prompts, clips, raters, ballots and votes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table("facts", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))
    op.create_table(
        "models",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "prompts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
    )
    op.create_table(
        "clips",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model", sa.Integer, sa.ForeignKey("models.id"), nullable=False),
        sa.Column("prompt", sa.Integer, sa.ForeignKey("prompts.id"), nullable=False),
        sa.Column("variant", sa.Integer, nullable=False),
        sa.Column("file", sa.Text, nullable=False, unique=True),
        sa.Column("seconds", sa.Float(53), nullable=False),
        sa.UniqueConstraint("model", "prompt", "variant"),
    )
    op.create_table(
        "raters",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("secret_hash", sa.Text, unique=True),
        sa.Column("created", sa.Float(53), nullable=False),
    )
    op.create_table(
        "ballots",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("rater", sa.Integer, sa.ForeignKey("raters.id"), nullable=False, index=True),
        sa.Column("left_clip", sa.Integer, sa.ForeignKey("clips.id"), nullable=False),
        sa.Column("right_clip", sa.Integer, sa.ForeignKey("clips.id"), nullable=False),
        sa.Column("issued", sa.Float(53), nullable=False),
        sa.Column("expires", sa.Float(53), nullable=False),
    )
    op.create_table(
        "votes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("ballot", sa.Text, sa.ForeignKey("ballots.id"), nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=name != "overall") for name in _CRITERIA),
        sa.Column("watched_left", sa.Boolean, nullable=False),
        sa.Column("watched_right", sa.Boolean, nullable=False),
        sa.Column("replays", sa.Integer, nullable=False),
        sa.Column("latency_s", sa.Float(53), nullable=False),
        sa.Column("voted", sa.Float(53), nullable=False),
        sa.Column("app_version", sa.Text, nullable=False),
        sa.Column("marks", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Remove the tables."""
    for name in ("votes", "ballots", "raters", "clips", "prompts", "models", "facts"):
        op.drop_table(name)


_CRITERIA = ("overall", "sync", "audio", "video", "prompt")
