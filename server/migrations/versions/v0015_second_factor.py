"""Second factors, one-time passwords, roles that wait, and the history of each account's training."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("one_time_until", sa.DateTime(), nullable=True),
        sa.Column("factor_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("factor_step", sa.Integer(), nullable=True),
        sa.Column("factor_at", sa.DateTime(), nullable=True),
        sa.Column("reset_what", sa.String(length=16), nullable=True),
        sa.Column("reset_by", sa.String(length=128), nullable=True),
        sa.Column("wanted_role", sa.String(length=16), nullable=True),
        sa.Column("wanted_by", sa.String(length=128), nullable=True),
        sa.Column("wanted_at", sa.DateTime(), nullable=True),
    ):
        op.add_column("accounts", column)
    for column in (
        sa.Column("step", sa.String(length=16), nullable=True),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("factor_pending", sa.LargeBinary(), nullable=True),
    ):
        op.add_column("sessions", column)
    op.create_table(
        "recovery_codes",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.name"], name="fk_recovery_codes_account"),
        sa.PrimaryKeyConstraint("account", "digest", name="pk_recovery_codes"),
    )
    op.create_table(
        "training_records",
        sa.Column("record_id", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("course", sa.String(length=256), nullable=False),
        sa.Column("held_on", sa.Date(), nullable=True),
        sa.Column("expires", sa.Date(), nullable=False),
        sa.Column("recorded_by", sa.String(length=128), nullable=False),
        sa.Column("recorded_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.name"], name="fk_training_records_account"),
        sa.PrimaryKeyConstraint("record_id", name="pk_training_records"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_training_records_account", "training_records", ["account"])
    op.execute(
        "INSERT INTO training_records (account, course, expires, recorded_by, recorded_at) "
        "SELECT name, 'on record before there was a history', training_expires, 'upgrade', created_at "
        "FROM accounts ORDER BY name"
    )
    _append_only("training_records")


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the history of training is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the history of training is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuses()"
    )
