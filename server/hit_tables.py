"""Tables of what came of hits: answers in vehicles, dispositions at the department, corrections of lists."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from server.tables import UtcTime, metadata

hit_answers = Table(
    "hit_answers",
    metadata,
    Column("unit_id", ForeignKey("units.unit_id"), primary_key=True),
    Column("beginning", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("hit_id", String(256), nullable=False),
    Column("read_id", String(256), nullable=False),
    Column("rung", String(16), nullable=False),
    Column("answer", String(32), nullable=False),
    Column("answered_by", String(256), nullable=False),
    Column("answered_at", UtcTime, nullable=False),
    Column("waiting", Boolean, nullable=False),
    Index("ix_hit_answers_hit_id", "hit_id"),
    Index("ix_hit_answers_waiting", "waiting"),
)
"""Rungs of ladders as officers climbed them, taken out of the units' signed logs, which remain the proof.
`read_id` is "" where the unit did not say. `waiting`: the log was here before the hit."""

hit_log_heads = Table(
    "hit_log_heads",
    metadata,
    Column("unit_id", ForeignKey("units.unit_id"), primary_key=True),
    Column("beginning", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, nullable=False),
)
"""How far each unit's log was gone through for answers."""

dispositions = Table(
    "dispositions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("read_id", String(64), nullable=False),
    Column("hit_id", String(64), nullable=False),
    Column("judged_at", UtcTime, nullable=False),
    Column("judged_by", String(128), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("case_number", String(64), nullable=False),
    Column("verdict", String(24), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("differences", Text, nullable=False),
    Column("true_state", String(16), nullable=False),
    Column("note", String(512), nullable=False),
    Column("unit_id", String(63), nullable=False),
    Column("camera", String(64), nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("daylight", String(8), nullable=False),
    Column("state", String(16), nullable=False),
    Column("confidence", Float, nullable=False),
    Index("ix_dispositions_read_id_hit_id", "read_id", "hit_id"),
    Index("ix_dispositions_hit_id_seen_at", "hit_id", "seen_at"),
    sqlite_autoincrement=True,
)
"""What people at the department said of a hit, or of a read drawn at random (`hit_id` is "" then). The later
one counts. Only ever appended to: triggers refuse UPDATE and DELETE. No plate stands in it, only at which
character the read differs from the plate: the row outlives the read."""

correction_steps = Table(
    "correction_steps",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("list_name", String(128), nullable=False),
    Column("entry_id", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("done_by", String(128), nullable=False),
    Column("done_at", UtcTime, nullable=False),
    Column("note", String(512), nullable=False),
    Index("ix_correction_steps_list_name_entry_id", "list_name", "entry_id"),
    sqlite_autoincrement=True,
)
"""What became of asking a list's owner to correct an entry. Only ever appended to."""
