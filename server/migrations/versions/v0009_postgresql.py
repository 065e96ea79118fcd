"""On PostgreSQL reads lie by months; on both, evidence knows when its read settled."""

import sqlalchemy as sa
from alembic import op

from server.partitions import install

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evidence", sa.Column("settled_at", sa.DateTime(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        install(op.get_bind())
