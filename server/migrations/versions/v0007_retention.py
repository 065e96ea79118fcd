"""Legal holds and purges."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "legal_holds",
        sa.Column("hold_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("authority", sa.String(length=256), nullable=False),
        sa.Column("case_number", sa.String(length=64), nullable=False),
        sa.Column("placed_by", sa.String(length=128), nullable=False),
        sa.Column("placed_at", sa.DateTime(), nullable=False),
        sa.Column("lifted_by", sa.String(length=128), nullable=True),
        sa.Column("lifted_at", sa.DateTime(), nullable=True),
        sa.Column("lift_reason", sa.String(length=512), nullable=True),
        sa.PrimaryKeyConstraint("hold_id", name="pk_legal_holds"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "legal_hold_reads",
        sa.Column("hold_id", sa.Integer(), nullable=False),
        sa.Column("read_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["hold_id"], ["legal_holds.hold_id"], name="fk_legal_hold_reads_hold_id"),
        sa.PrimaryKeyConstraint("hold_id", "read_id", name="pk_legal_hold_reads"),
    )
    op.create_table(
        "purges",
        sa.Column("purge_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.String(length=256), nullable=False),
        sa.Column("asked_by", sa.String(length=128), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("others_before", sa.DateTime(), nullable=False),
        sa.Column("hits_before", sa.DateTime(), nullable=False),
        sa.Column("approved_by", sa.String(length=128), nullable=True),
        sa.Column("approved_at", sa.DateTime(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("others", sa.Integer(), server_default="0", nullable=False),
        sa.Column("hits", sa.Integer(), server_default="0", nullable=False),
        sa.Column("oldest", sa.DateTime(), nullable=True),
        sa.Column("newest", sa.DateTime(), nullable=True),
        sa.Column("chain", sa.LargeBinary(length=32), nullable=True),
        sa.Column("held", sa.Integer(), nullable=True),
        sa.Column("certificate", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("purge_id", name="pk_purges"),
        sqlite_autoincrement=True,
    )
    for table, why in (("legal_holds", "a legal hold"), ("purges", "the record of a purge")):
        _never_deleted(table, why)


def _never_deleted(table: str, why: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {table}_refuses_delete BEFORE DELETE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{why} is never deleted'); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{why} is never deleted'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuses BEFORE DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuses()"
    )
