"""What the department's database holds; `migrations/` brings an older one to this form."""

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC in Python, UTC in the database: SQLite would drop the offset and give it back naive."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Raises ValueError for a naive time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must be aware")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the stored time its offset back."""
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

units = Table(
    "units",
    metadata,
    Column("unit_id", String(63), primary_key=True),
    Column("public_key", LargeBinary(32), nullable=False),
    Column("certificate_serial", String(40), nullable=False),
    Column("certificate_expires_at", UtcTime, nullable=False),
    Column("enrolled_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Column("last_batch_at", UtcTime),
    Column("status", Text),
    Column("status_at", UtcTime),
    Column("state", String(8)),
    Column("state_at", UtcTime),
    Column("place_at", UtcTime),
    Column("latitude_deg", Float),
    Column("longitude_deg", Float),
)
"""A unit holds one certificate: enrolling it again overwrites the serial, which ends the old one. `status` is
what it last said of itself (`sync.unit_status`), `state` is "online" or "offline". The place is that of its
newest read that had one."""

batches = Table(
    "batches",
    metadata,
    Column("batch_id", String(64), primary_key=True),
    Column("unit_id", ForeignKey("units.unit_id"), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("reads", Integer, nullable=False),
    Column("already_held", Integer, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("row_digest", LargeBinary),
)
"""`row_digest` is of the other columns (`integrity`). Where a batch has one, so has each of its reads."""

reads = Table(
    "reads",
    metadata,
    Column("read_id", String(64), primary_key=True),
    Column("batch_id", ForeignKey("batches.batch_id"), nullable=False),
    Column("unit_id", ForeignKey("units.unit_id"), nullable=False),
    Column("record_digest", LargeBinary(32), nullable=False),
    Column("camera", String(64), nullable=False),
    Column("plate", String(32), nullable=False),
    Column("plate_folded", String(32), nullable=False),
    Column("positions", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("jurisdiction", String(16)),
    Column("jurisdiction_confidence", Float),
    Column("first_seen_at", UtcTime, nullable=False),
    Column("settled_at", UtcTime, nullable=False),
    Column("time_quality", String(16), nullable=False),
    Column("latitude_deg", Float),
    Column("longitude_deg", Float),
    Column("accuracy_m", Float),
    Column("speed_mps", Float),
    Column("course_deg", Float),
    Column("fix_at", UtcTime),
    Column("box", String(64), nullable=False),
    Column("frames", Integer, nullable=False),
    Column("prefix", String(32)),
    Column("prefix_confidence", Float),
    Column("prefix_first_folded", String(32)),
    Column("prefix_last_folded", String(32)),
    Column("revises", String(64)),
    Column("incident", String(64)),
    Column("row_digest", LargeBinary),
    Index("ix_reads_settled_at", "settled_at"),
    Index("ix_reads_plate_folded", "plate_folded"),
    Index("ix_reads_unit_id_settled_at", "unit_id", "settled_at"),
    Index("ix_reads_prefix_first_folded", "prefix_first_folded"),
    Index("ix_reads_prefix_last_folded", "prefix_last_folded"),
    Index("ix_reads_revises", "revises"),
    Index(
        "ix_reads_incident",
        "incident",
        "settled_at",
        sqlite_where=text("incident IS NOT NULL"),
        postgresql_where=text("incident IS NOT NULL"),
    ),
)
"""Who searches may know the stacked letters as part of the plate, before or after its characters: both are
kept, for the few reads that have any. `revises` is no foreign key: the corrected read may come in a later
batch, or be purged before. `row_digest` is of all that came in with the read (`integrity`); null in reads of
before there were any."""

evidence = Table(
    "evidence",
    metadata,
    Column("read_id", ForeignKey("reads.read_id"), primary_key=True),
    Column("jpeg", LargeBinary, nullable=False),
    Column("settled_at", UtcTime),
    Column("object", String(64)),
    Index("ix_evidence_inside", "settled_at", sqlite_where=text("object IS NULL")),
    Index("ix_evidence_object", "object", sqlite_where=text("object IS NOT NULL")),
)
"""Apart from `reads`, so that a search does not drag pictures through memory. `settled_at` is its read's: by
it PostgreSQL keeps pictures by months (`partitions`). `object` names a picture that lies outside the
database (`pictures`); `jpeg` is empty then."""

hits = Table(
    "hits",
    metadata,
    Column("read_id", ForeignKey("reads.read_id"), primary_key=True),
    Column("hit_id", String(64), primary_key=True),
    Column("entry_id", String(128), nullable=False),
    Column("pattern", String(64), nullable=False),
    Column("list_name", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("differing", String(128), nullable=False),
    Column("snapshot_sequence", Integer, nullable=False),
    Column("list_issued_at", UtcTime, nullable=False),
    Column("form", String(16)),
    Column("outcome", String(16)),
    Column("text_probability", Float),
    Column("state_probability", Float),
    Column("unit_id", String(63)),
    Column("settled_at", UtcTime),
    Column("priority", Integer),
    Column("standing", String(16), nullable=False, server_default="open"),
    Column("car_disposition", String(24)),
    Column("disposition", String(24)),
    Index("ix_hits_standing_priority_settled_at", "standing", "priority", "settled_at"),
    Index("ix_hits_priority_settled_at", "priority", "settled_at"),
    Index("ix_hits_unit_id_hit_id", "unit_id", "hit_id"),
    Index("ix_hits_disposition", "disposition"),
    Index("ix_hits_list_name", "list_name"),
    Index(
        "ix_hits_contradicted",
        "priority",
        "settled_at",
        sqlite_where=text("car_disposition <> disposition"),
        postgresql_where=text("car_disposition <> disposition"),
    ),
)
"""`unit_id` and `settled_at` are the read's: the queue goes by them. The last three columns say what came of
it: `standing` is "open", "verified" (confirmed, and no outcome stated yet) or "closed"; `car_disposition` is
the last one of the car, `disposition` the one that counts."""

hotlist_feeds = Table(
    "hotlist_feeds",
    metadata,
    Column("feed", String(64), primary_key=True),
    Column("entries", Integer, nullable=False),
    Column("imported_at", UtcTime, nullable=False),
    Column("source", String(32)),
    Column("imported_by", String(128)),
    Column("approved_loss", Integer, nullable=False, server_default="0"),
)
"""What each source brought last; the entries themselves are files, because millions of rows written in one
transaction would keep units from handing in their batches. `approved_loss` is how many entries went, with a
second person's approval, since the last snapshot."""

hotlist_pending = Table(
    "hotlist_pending",
    metadata,
    Column("pending_id", Integer, primary_key=True),
    Column("feed", String(64)),
    Column("asked_by", String(128), nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("before", Integer, nullable=False),
    Column("after", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    # An id is never given twice: who approves one must not meet another thing under it.
    sqlite_autoincrement=True,
)
"""Imports (of a feed) and publications (of none) that lose too much to be done by one person."""

hotlist_snapshots = Table(
    "hotlist_snapshots",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(256), nullable=False),
    Column("training_expires", Date, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("active_at", UtcTime, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", UtcTime),
    Column("one_time_until", UtcTime),
    Column("factor_sealed", LargeBinary),
    Column("factor_step", Integer),
    Column("factor_at", UtcTime),
    Column("reset_what", String(16)),
    Column("reset_by", String(128)),
    Column("wanted_role", String(16)),
    Column("wanted_by", String(128)),
    Column("wanted_at", UtcTime),
)
"""`one_time_until`: the password was given by another person, and must be changed before then.
`factor_sealed`: the second factor's secret, encrypted; `factor_step`: the half minute of the newest code that
was taken. `reset_…`: what was reset, and by whom, since the person last got in. `wanted_…`: a role that waits
for a second administrator."""

sessions = Table(
    "sessions",
    metadata,
    Column("token_digest", LargeBinary(32), primary_key=True),
    Column("account", ForeignKey("accounts.name"), nullable=False),
    Column("form_token", String(64), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("used_at", UtcTime, nullable=False),
    Column("purpose", String(64)),
    Column("case_number", String(64)),
    Column("purpose_at", UtcTime),
    Column("step", String(16)),
    Column("source", String(64)),
    Column("factor_pending", LargeBinary),
)
"""`step`: what the login still asks for, null once it is whole. `factor_pending`: a second factor that was
shown and not yet confirmed."""

audit = Table(
    "audit",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("case_number", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Index("ix_audit_at", "at"),
    Index("ix_audit_case_number", "case_number"),
)
"""Only ever appended to: triggers made by the migration refuse UPDATE and DELETE."""

local_entries = Table(
    "local_entries",
    metadata,
    Column("unit_id", ForeignKey("units.unit_id"), primary_key=True),
    Column("entry_id", String(64), primary_key=True),
    Column("pattern", String(16), nullable=False),
    Column("jurisdiction", String(200)),
    Column("priority", Integer, nullable=False),
    Column("officer", String(200), nullable=False),
    Column("purpose", String(200), nullable=False),
    Column("case_number", String(200), nullable=False),
    Column("added_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_by", String(128)),
    Column("decided_at", UtcTime),
    Column("until", UtcTime),
    Column("feed", String(64)),
    Column("published", String(64)),
    Column("listed_at", UtcTime),
)
"""What officers look out for on one unit, as its book last said. `state` is "held", "offered" (to all units,
until `until`), "refused" or "withdrawn" (the unit no longer looks out for it). `feed` is the feed that lists
it now, `published` the one that did when units were last given it: where they differ, a list is due."""

local_suppressions = Table(
    "local_suppressions",
    metadata,
    Column("unit_id", ForeignKey("units.unit_id"), primary_key=True),
    Column("suppression_id", String(64), primary_key=True),
    Column("plate", String(200), nullable=False),
    Column("entry_id", String(200), nullable=False),
    Column("officer", String(200), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("added_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("supervisor", String(200), nullable=False),
    Column("state", String(16), nullable=False),
)
"""What units do not tell of; never in force without a supervisor. `state` is "held" or "withdrawn"."""

local_changes = Table(
    "local_changes",
    metadata,
    Column("unit_id", ForeignKey("units.unit_id"), primary_key=True),
    Column("beginning", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("deed", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("case_number", String(200), nullable=False),
)
"""Everything that officers did, numbered from 1 as on the unit. A unit whose book was lost begins anew when
the department says so: `beginning` counts that, and its change 0 says who did."""

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("signed_at", UtcTime, nullable=False),
    Column("key", String(64), nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
)
"""Signed heads of the access log, numbered from 1. Only ever appended to, like `audit` itself."""

audit_reviews = Table(
    "audit_reviews",
    metadata,
    Column("log", String(96), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("drawn_at", UtcTime, nullable=False),
    Column("drawn_by", String(128), nullable=False),
    Column("reviewed_at", UtcTime),
    Column("reviewed_by", String(128)),
    Column("verdict", String(16)),
    Column("note", Text),
)
"""Queries drawn at random for a person to judge, and how they were judged. Each mark is an entry of the
access log besides, so that a changed one shows. `log` is "" for the department's own log, else of a unit:
"unit-07/1"."""

legal_holds = Table(
    "legal_holds",
    metadata,
    Column("hold_id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    Column("authority", String(256), nullable=False),
    Column("case_number", String(64), nullable=False),
    Column("placed_by", String(128), nullable=False),
    Column("placed_at", UtcTime, nullable=False),
    Column("lifted_by", String(128)),
    Column("lifted_at", UtcTime),
    Column("lift_reason", String(512)),
    sqlite_autoincrement=True,
)
"""Orders that keep reads from every purge. None is ever removed."""

legal_hold_reads = Table(
    "legal_hold_reads",
    metadata,
    Column("hold_id", ForeignKey("legal_holds.hold_id"), primary_key=True),
    Column("read_id", String(64), primary_key=True),
)
"""Of holds on single reads and on cases, and what else of the access log a case hold takes in. No foreign
key to `reads`: a purge of before the hold may have taken one that the log names."""

purges = Table(
    "purges",
    metadata,
    Column("purge_id", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reference", String(256), nullable=False),
    Column("asked_by", String(128), nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("others_before", UtcTime, nullable=False),
    Column("hits_before", UtcTime, nullable=False),
    Column("approved_by", String(128)),
    Column("approved_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("others", Integer, nullable=False, server_default="0"),
    Column("hits", Integer, nullable=False, server_default="0"),
    Column("oldest", UtcTime),
    Column("newest", UtcTime),
    Column("chain", LargeBinary(32)),
    Column("held", Integer),
    Column("certificate", Text),
    Column("rule_id", Integer),
    sqlite_autoincrement=True,
)
"""Destructions of reads: asked for, approved by another, done in steps, certified. `state` is "asked",
"running", "done" or "withdrawn". `chain` goes over every read that went, in order. `rule_id` is of the rule
by which the server did it by itself, null where two persons decided."""

unit_logs = Table(
    "unit_logs",
    metadata,
    Column("unit_id", ForeignKey("units.unit_id"), primary_key=True),
    Column("beginning", Integer, primary_key=True, autoincrement=False),
    Column("public_key", LargeBinary(32), nullable=False),
    Column("begun_at", UtcTime, nullable=False),
)
"""Access logs of units, numbered from 1 for each: a unit begins a new one when it is enrolled anew, and when
the department says that the one before was lost. `public_key` is what signs the entries of that log."""

unit_log_entries = Table(
    "unit_log_entries",
    metadata,
    Column("unit_id", ForeignKey("units.unit_id"), primary_key=True),
    Column("beginning", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(256), nullable=False),
    Column("action", String(256), nullable=False),
    Column("outcome", String(256), nullable=False),
    Column("hit_id", String(256)),
    Column("data", LargeBinary, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Index("ix_unit_log_entries_hit_id", "hit_id"),
)
"""What was done on units, as they signed it: `data` is the entry, the columns beside it are for asking. Only
ever appended to: triggers made by the migration refuse UPDATE and DELETE."""

contexts = Table(
    "contexts",
    metadata,
    Column("read_id", String(64), primary_key=True),
    Column("jpeg", LargeBinary, nullable=False),
    Column("settled_at", UtcTime, nullable=False),
    Column("object", String(64)),
    Index("ix_contexts_inside", "settled_at", sqlite_where=text("object IS NULL")),
    Index("ix_contexts_object", "object", sqlite_where=text("object IS NOT NULL")),
)
"""Scenes around hits, where a unit keeps any: few, so in no partitions. Columns as those of `evidence`."""

picture_notes = Table(
    "picture_notes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("noted_at", UtcTime, nullable=False),
    Column("purged", Boolean, nullable=False),
)
"""Pictures outside the database that may have no read: on their way there, or their read was purged."""

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("account", ForeignKey("accounts.name"), primary_key=True),
    Column("digest", LargeBinary(32), primary_key=True),
    Column("made_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)
"""Each opens its account's login once, in place of an authenticator's code."""

training_records = Table(
    "training_records",
    metadata,
    Column("record_id", Integer, primary_key=True),
    Column("account", ForeignKey("accounts.name"), nullable=False),
    Column("course", String(256), nullable=False),
    Column("held_on", Date),
    Column("expires", Date, nullable=False),
    Column("recorded_by", String(128), nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Index("ix_training_records_account", "account"),
    sqlite_autoincrement=True,
)
"""Who was trained in what, and until when that holds; the newest of an account decides. Only ever appended
to."""

checks = Table(
    "checks",
    metadata,
    Column("check_id", Integer, primary_key=True),
    Column("begun_by", String(128), nullable=False),
    Column("begun_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("place", Text, nullable=False),
    Column("reads", Integer, nullable=False),
    Column("unchecked", Integer, nullable=False),
    Column("found", Integer, nullable=False),
    Column("findings", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Rounds in which everything was looked at once, by the server or a command (`checking`). `place` is how far
it is, `unchecked` how many reads have no digest, `findings` the first of what was `found`, as JSON."""
