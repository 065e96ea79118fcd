"""What came of hits, as people say it; and hits know what their queue is sorted by."""

import sqlalchemy as sa
from alembic import op

from server.hit_priority import priority_of

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _hits()
    _answers()
    _dispositions()
    for table in ("dispositions", "correction_steps"):
        _append_only(table)


def _hits() -> None:
    op.add_column("hits", sa.Column("unit_id", sa.String(length=63), nullable=True))
    op.add_column("hits", sa.Column("settled_at", sa.DateTime(), nullable=True))
    op.add_column("hits", sa.Column("priority", sa.Integer(), nullable=True))
    op.add_column("hits", sa.Column("standing", sa.String(length=16), nullable=False, server_default="open"))
    op.add_column("hits", sa.Column("car_disposition", sa.String(length=24), nullable=True))
    op.add_column("hits", sa.Column("disposition", sa.String(length=24), nullable=True))
    op.execute(
        "UPDATE hits SET"
        " unit_id = (SELECT r.unit_id FROM reads r WHERE r.read_id = hits.read_id),"
        " settled_at = (SELECT r.settled_at FROM reads r WHERE r.read_id = hits.read_id)"
    )
    connection = op.get_bind()
    lists = connection.execute(sa.text("SELECT DISTINCT list_name, outcome FROM hits")).all()
    for name, outcome in lists:
        connection.execute(
            sa.text(
                "UPDATE hits SET priority = :priority"
                " WHERE list_name = :name AND coalesce(outcome, 'hit') = :outcome"
            ),
            {"priority": priority_of(name, outcome or "hit"), "name": name, "outcome": outcome or "hit"},
        )
    op.create_index("ix_hits_standing_priority_settled_at", "hits", ["standing", "priority", "settled_at"])
    op.create_index("ix_hits_priority_settled_at", "hits", ["priority", "settled_at"])
    op.create_index("ix_hits_unit_id_hit_id", "hits", ["unit_id", "hit_id"])
    op.create_index("ix_hits_disposition", "hits", ["disposition"])
    op.create_index(
        "ix_hits_contradicted",
        "hits",
        ["priority", "settled_at"],
        sqlite_where=sa.text("car_disposition <> disposition"),
        postgresql_where=sa.text("car_disposition <> disposition"),
    )
    op.create_index("ix_hits_list_name", "hits", ["list_name"])


def _answers() -> None:
    op.create_table(
        "hit_answers",
        sa.Column("unit_id", sa.String(length=63), nullable=False),
        sa.Column("beginning", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hit_id", sa.String(length=256), nullable=False),
        sa.Column("read_id", sa.String(length=256), nullable=False),
        sa.Column("rung", sa.String(length=16), nullable=False),
        sa.Column("answer", sa.String(length=32), nullable=False),
        sa.Column("answered_by", sa.String(length=256), nullable=False),
        sa.Column("answered_at", sa.DateTime(), nullable=False),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["units.unit_id"], name="fk_hit_answers_unit_id"),
        sa.PrimaryKeyConstraint("unit_id", "beginning", "sequence", name="pk_hit_answers"),
    )
    op.create_index("ix_hit_answers_hit_id", "hit_answers", ["hit_id"])
    op.create_index("ix_hit_answers_waiting", "hit_answers", ["waiting"])
    op.create_table(
        "hit_log_heads",
        sa.Column("unit_id", sa.String(length=63), nullable=False),
        sa.Column("beginning", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["unit_id"], ["units.unit_id"], name="fk_hit_log_heads_unit_id"),
        sa.PrimaryKeyConstraint("unit_id", "beginning", name="pk_hit_log_heads"),
    )


def _dispositions() -> None:
    op.create_table(
        "dispositions",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("read_id", sa.String(length=64), nullable=False),
        sa.Column("hit_id", sa.String(length=64), nullable=False),
        sa.Column("judged_at", sa.DateTime(), nullable=False),
        sa.Column("judged_by", sa.String(length=128), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("case_number", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=24), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("differences", sa.Text(), nullable=False),
        sa.Column("true_state", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        sa.Column("unit_id", sa.String(length=63), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("daylight", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_dispositions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_dispositions_read_id_hit_id", "dispositions", ["read_id", "hit_id"])
    op.create_index("ix_dispositions_hit_id_seen_at", "dispositions", ["hit_id", "seen_at"])
    op.create_table(
        "correction_steps",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("list_name", sa.String(length=128), nullable=False),
        sa.Column("entry_id", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("done_by", sa.String(length=128), nullable=False),
        sa.Column("done_at", sa.DateTime(), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_correction_steps"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_correction_steps_list_name_entry_id", "correction_steps", ["list_name", "entry_id"])


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'what came of hits is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'what came of hits is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuses()"
    )
