"""Which incident a read was made for: few reads have one, so the index holds those alone."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reads", sa.Column("incident", sa.String(length=64), nullable=True))
    op.create_index(
        "ix_reads_incident",
        "reads",
        ["incident", "settled_at"],
        unique=False,
        sqlite_where=sa.text("incident IS NOT NULL"),
        postgresql_where=sa.text("incident IS NOT NULL"),
    )
