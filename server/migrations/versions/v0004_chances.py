"""How likely a hit was, and what it was to the officer."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hits", sa.Column("outcome", sa.String(length=16), nullable=True))
    op.add_column("hits", sa.Column("text_probability", sa.Float(), nullable=True))
    op.add_column("hits", sa.Column("state_probability", sa.Float(), nullable=True))
