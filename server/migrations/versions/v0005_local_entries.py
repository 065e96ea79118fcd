"""What officers put on their units, and what the department made of it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "local_entries",
        sa.Column("unit_id", sa.String(length=63), nullable=False),
        sa.Column("entry_id", sa.String(length=64), nullable=False),
        sa.Column("pattern", sa.String(length=16), nullable=False),
        sa.Column("jurisdiction", sa.String(length=200), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("officer", sa.String(length=200), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("case_number", sa.String(length=200), nullable=False),
        sa.Column("added_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("decided_by", sa.String(length=128), nullable=True),
        sa.Column("decided_at", sa.DateTime(), nullable=True),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.Column("feed", sa.String(length=64), nullable=True),
        sa.Column("published", sa.String(length=64), nullable=True),
        sa.Column("listed_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["unit_id"], ["units.unit_id"], name="fk_local_entries_unit_id"),
        sa.PrimaryKeyConstraint("unit_id", "entry_id", name="pk_local_entries"),
    )
    op.create_table(
        "local_suppressions",
        sa.Column("unit_id", sa.String(length=63), nullable=False),
        sa.Column("suppression_id", sa.String(length=64), nullable=False),
        sa.Column("plate", sa.String(length=200), nullable=False),
        sa.Column("entry_id", sa.String(length=200), nullable=False),
        sa.Column("officer", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("added_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("supervisor", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["units.unit_id"], name="fk_local_suppressions_unit_id"),
        sa.PrimaryKeyConstraint("unit_id", "suppression_id", name="pk_local_suppressions"),
    )
    op.create_table(
        "local_changes",
        sa.Column("unit_id", sa.String(length=63), nullable=False),
        sa.Column("beginning", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("deed", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("case_number", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["units.unit_id"], name="fk_local_changes_unit_id"),
        sa.PrimaryKeyConstraint("unit_id", "beginning", "number", name="pk_local_changes"),
    )
