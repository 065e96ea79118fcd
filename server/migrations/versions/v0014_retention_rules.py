"""Retention rules, their approval, and the clock that purges by themselves go by."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retention_rules",
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.Column("others_s", sa.BigInteger(), nullable=False),
        sa.Column("hits_s", sa.BigInteger(), nullable=False),
        sa.Column("law", sa.String(length=256), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("window_s", sa.BigInteger(), nullable=True),
        sa.Column("window_others_s", sa.BigInteger(), nullable=True),
        sa.Column("reference", sa.String(length=256), nullable=False),
        sa.Column("in_force_at", sa.DateTime(), nullable=False),
        sa.Column("proposed_by", sa.String(length=128), nullable=False),
        sa.Column("proposed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", name="pk_retention_rules"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "retention_rule_steps",
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("done_by", sa.String(length=128), nullable=False),
        sa.Column("done_at", sa.DateTime(), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["retention_rules.rule_id"], name="fk_retention_rule_steps_rule_id"
        ),
        sa.PrimaryKeyConstraint("rule_id", "number", name="pk_retention_rule_steps"),
    )
    op.create_table(
        "purge_clock",
        sa.Column("clock_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("witnessed_at", sa.DateTime(), nullable=True),
        sa.Column("refused", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("clock_id", name="pk_purge_clock"),
    )
    op.add_column("purges", sa.Column("rule_id", sa.Integer(), nullable=True))
    for table in ("retention_rules", "retention_rule_steps"):
        _append_only(table)


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the history of retention rules is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the history of retention rules is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuses()"
    )
