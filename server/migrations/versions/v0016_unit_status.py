"""What units say of themselves, and where they last were."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("units", sa.Column("state", sa.String(length=8), nullable=True))
    op.add_column("units", sa.Column("state_at", sa.DateTime(), nullable=True))
    op.add_column("units", sa.Column("place_at", sa.DateTime(), nullable=True))
    op.add_column("units", sa.Column("latitude_deg", sa.Float(), nullable=True))
    op.add_column("units", sa.Column("longitude_deg", sa.Float(), nullable=True))
    # In the form of before; each unit tells its own again within minutes.
    op.execute("UPDATE units SET status = NULL, status_at = NULL")
