"""Tables of retention rules: proposed, approved, never changed."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, String, Table

from server.tables import UtcTime, metadata

retention_rules = Table(
    "retention_rules",
    metadata,
    Column("rule_id", Integer, primary_key=True),
    Column("others_s", BigInteger, nullable=False),
    Column("hits_s", BigInteger, nullable=False),
    Column("law", String(256), nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("window_s", BigInteger),
    Column("window_others_s", BigInteger),
    Column("reference", String(256), nullable=False),
    Column("in_force_at", UtcTime, nullable=False),
    Column("proposed_by", String(128), nullable=False),
    Column("proposed_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)
"""Rules as they were proposed. Only ever appended to: triggers refuse UPDATE and DELETE."""

retention_rule_steps = Table(
    "retention_rule_steps",
    metadata,
    Column("rule_id", ForeignKey("retention_rules.rule_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("step", String(16), nullable=False),
    Column("done_by", String(128), nullable=False),
    Column("done_at", UtcTime, nullable=False),
    Column("note", String(512), nullable=False),
)
"""What became of a rule: "approved", "refused" or, of one that purges by itself, "stopped"."""

purge_clock = Table(
    "purge_clock",
    metadata,
    Column("clock_id", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("witnessed_at", UtcTime),
    Column("refused", String(512), nullable=False),
)
"""One row: up to when the server's clock was believed by purges that run by themselves, the newest moment
that a unit or a person bore witness of, and why the clock is not believed now; empty: it is."""
