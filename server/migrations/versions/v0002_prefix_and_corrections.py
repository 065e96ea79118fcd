"""Stacked letters beside a plate, the form in which a hit was met, and which read corrects which."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reads", sa.Column("prefix", sa.String(length=32), nullable=True))
    op.add_column("reads", sa.Column("prefix_confidence", sa.Float(), nullable=True))
    for column in ("prefix_first_folded", "prefix_last_folded"):
        op.add_column("reads", sa.Column(column, sa.String(length=32), nullable=True))
        op.create_index(f"ix_reads_{column}", "reads", [column], unique=False)
    op.add_column("reads", sa.Column("revises", sa.String(length=64), nullable=True))
    op.create_index("ix_reads_revises", "reads", ["revises"], unique=False)
    op.add_column("hits", sa.Column("form", sa.String(length=16), nullable=True))
