"""Access logs of units, as they travel with the reads."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unit_logs",
        sa.Column("unit_id", sa.String(length=63), nullable=False),
        sa.Column("beginning", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("begun_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["units.unit_id"], name="fk_unit_logs_unit_id"),
        sa.PrimaryKeyConstraint("unit_id", "beginning", name="pk_unit_logs"),
    )
    op.create_table(
        "unit_log_entries",
        sa.Column("unit_id", sa.String(length=63), nullable=False),
        sa.Column("beginning", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=256), nullable=False),
        sa.Column("outcome", sa.String(length=256), nullable=False),
        sa.Column("hit_id", sa.String(length=256), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["units.unit_id"], name="fk_unit_log_entries_unit_id"),
        sa.PrimaryKeyConstraint("unit_id", "beginning", "sequence", name="pk_unit_log_entries"),
    )
    op.create_index("ix_unit_log_entries_hit_id", "unit_log_entries", ["hit_id"])
    _append_only("unit_logs")
    _append_only("unit_log_entries")


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the access logs of units are append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the access logs of units are append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuses()"
    )
