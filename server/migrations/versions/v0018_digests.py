"""Reads and batches have digests, and there are rounds in which the database is looked through.

Rows of before have none: `alpr-server check --adopt` gives them one, of what they are then.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reads", sa.Column("row_digest", sa.LargeBinary(), nullable=True))
    op.add_column("batches", sa.Column("row_digest", sa.LargeBinary(), nullable=True))
    op.create_table(
        "checks",
        sa.Column("check_id", sa.Integer(), nullable=False),
        sa.Column("begun_by", sa.String(length=128), nullable=False),
        sa.Column("begun_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("reads", sa.Integer(), nullable=False),
        sa.Column("unchecked", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("check_id", name="pk_checks"),
        sqlite_autoincrement=True,
    )
