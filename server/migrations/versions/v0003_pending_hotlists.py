"""Where a feed comes from, and what waits for a second person's approval."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hotlist_feeds", sa.Column("source", sa.String(length=32), nullable=True))
    op.add_column("hotlist_feeds", sa.Column("imported_by", sa.String(length=128), nullable=True))
    op.add_column(
        "hotlist_feeds", sa.Column("approved_loss", sa.Integer(), server_default="0", nullable=False)
    )
    op.create_table(
        "hotlist_pending",
        sa.Column("pending_id", sa.Integer(), nullable=False),
        sa.Column("feed", sa.String(length=64), nullable=True),
        sa.Column("asked_by", sa.String(length=128), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("before", sa.Integer(), nullable=False),
        sa.Column("after", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pending_id", name="pk_hotlist_pending"),
        sqlite_autoincrement=True,
    )
