"""Pictures may lie outside the database; scenes around hits."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evidence", sa.Column("object", sa.String(length=64), nullable=True))
    # From before pictures knew their read's time, on SQLite.
    op.execute(
        "UPDATE evidence SET settled_at ="
        " (SELECT settled_at FROM reads WHERE reads.read_id = evidence.read_id) WHERE settled_at IS NULL"
    )
    op.execute("CREATE INDEX ix_evidence_inside ON evidence (settled_at) WHERE object IS NULL")
    op.execute("CREATE INDEX ix_evidence_object ON evidence (object) WHERE object IS NOT NULL")
    op.create_table(
        "contexts",
        sa.Column("read_id", sa.String(length=64), nullable=False),
        sa.Column("jpeg", sa.LargeBinary(), nullable=False),
        sa.Column("settled_at", sa.DateTime(), nullable=False),
        sa.Column("object", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("read_id", name="pk_contexts"),
    )
    op.execute("CREATE INDEX ix_contexts_inside ON contexts (settled_at) WHERE object IS NULL")
    op.execute("CREATE INDEX ix_contexts_object ON contexts (object) WHERE object IS NOT NULL")
    op.create_table(
        "picture_notes",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("noted_at", sa.DateTime(), nullable=False),
        sa.Column("purged", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_picture_notes"),
    )
