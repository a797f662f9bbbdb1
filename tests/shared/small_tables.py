"""Migrations of two small tables, for tests of what runs them."""

from mova.database.database import Tables

_FIRST = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade():
    op.create_table("facts", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))
    op.create_table("places", sa.Column("id", sa.Integer, primary_key=True))
"""
_SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade():
    op.add_column("facts", sa.Column("moment", sa.Float(53)))
"""


def write_tables(folder):
    """Write the migrations into a folder whose name is awkward, and return what they make."""
    versions = folder / "50 % of it"
    versions.mkdir()
    (versions / "r0001.py").write_text(_FIRST)
    (versions / "r0002.py").write_text(_SECOND)
    return Tables(versions, ("0001", "0002"), title="the database of tests", extra="serve")
