"""Recipients, release requests and evidence packages: a register in which nothing is changed."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = (
    "release_recipients",
    "release_recipient_steps",
    "release_requests",
    "evidence_packages",
    "release_steps",
    "evidence_bookings",
)


def upgrade() -> None:
    _recipients()
    _requests()
    _packages()
    op.create_table(
        "release_steps",
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("done_by", sa.String(length=128), nullable=False),
        sa.Column("done_at", sa.DateTime(), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        sa.Column("recipient_id", sa.Integer(), nullable=True),
        sa.Column("package_id", sa.Integer(), nullable=True),
        _foreign("release_steps", "request_id", "release_requests"),
        _foreign("release_steps", "recipient_id", "release_recipients"),
        _foreign("release_steps", "package_id", "evidence_packages"),
        sa.PrimaryKeyConstraint("request_id", "number", name="pk_release_steps"),
    )
    op.create_table(
        "evidence_bookings",
        sa.Column("booking_id", sa.Integer(), nullable=False),
        sa.Column("package_id", sa.Integer(), nullable=False),
        sa.Column("item_number", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=256), nullable=False),
        sa.Column("booked_by", sa.String(length=128), nullable=False),
        sa.Column("booked_at", sa.DateTime(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        _foreign("evidence_bookings", "package_id", "evidence_packages"),
        sa.PrimaryKeyConstraint("booking_id", name="pk_evidence_bookings"),
        sqlite_autoincrement=True,
    )
    for table in _TABLES:
        _append_only(table)


def _recipients() -> None:
    op.create_table(
        "release_recipients",
        sa.Column("recipient_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=2), nullable=False),
        sa.Column("contact", sa.String(length=256), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("certificate_sha256", sa.String(length=64), nullable=False),
        sa.Column("added_by", sa.String(length=128), nullable=False),
        sa.Column("added_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("recipient_id", name="pk_release_recipients"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "release_recipient_steps",
        sa.Column("recipient_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("done_by", sa.String(length=128), nullable=False),
        sa.Column("done_at", sa.DateTime(), nullable=False),
        sa.Column("note", sa.String(length=512), nullable=False),
        _foreign("release_recipient_steps", "recipient_id", "release_recipients"),
        sa.PrimaryKeyConstraint("recipient_id", "number", name="pk_release_recipient_steps"),
    )


def _requests() -> None:
    op.create_table(
        "release_requests",
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("agency", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("recipient_id", sa.Integer(), nullable=True),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("purpose", sa.String(length=512), nullable=False),
        sa.Column("legal_basis", sa.String(length=256), nullable=False),
        sa.Column("case_number", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("letter_sha256", sa.String(length=64), nullable=True),
        sa.Column("letter_kind", sa.String(length=8), nullable=True),
        sa.Column("letter_bytes", sa.Integer(), nullable=True),
        sa.Column("entered_by", sa.String(length=128), nullable=False),
        sa.Column("entered_at", sa.DateTime(), nullable=False),
        _foreign("release_requests", "recipient_id", "release_recipients"),
        sa.PrimaryKeyConstraint("request_id", name="pk_release_requests"),
        sqlite_autoincrement=True,
    )


def _packages() -> None:
    op.create_table(
        "evidence_packages",
        sa.Column("package_id", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.String(length=128), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("case_number", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=512), nullable=False),
        sa.Column("reads", sa.Integer(), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("recipient_id", sa.Integer(), nullable=True),
        sa.Column("request_id", sa.Integer(), nullable=True),
        sa.Column("unencrypted_reason", sa.String(length=512), nullable=True),
        _foreign("evidence_packages", "recipient_id", "release_recipients"),
        _foreign("evidence_packages", "request_id", "release_requests"),
        sa.PrimaryKeyConstraint("package_id", name="pk_evidence_packages"),
        sqlite_autoincrement=True,
    )


def _foreign(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.{column}"], name=f"fk_{table}_{column}")


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the register of releases is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the register of releases is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuses()"
    )
