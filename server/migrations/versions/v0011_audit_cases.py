"""The access log is asked for the entries of one case: at each step of a purge, of each hold on a case."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_audit_case_number", "audit", ["case_number"])
