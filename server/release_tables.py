"""What the database holds of disclosures: recipients, requests, packages, each step. Nothing ever goes."""

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text

from server.tables import UtcTime, metadata

release_recipients = Table(
    "release_recipients",
    metadata,
    Column("recipient_id", Integer, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(2), nullable=False),
    Column("contact", String(256), nullable=False),
    Column("certificate", Text, nullable=False),
    Column("certificate_sha256", String(64), nullable=False),
    Column("added_by", String(128), nullable=False),
    Column("added_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)
"""Agencies that may be given reads, once another person approved of them. Another certificate is another
recipient. Only ever appended to, as all tables from here on: triggers refuse UPDATE and DELETE."""

release_recipient_steps = Table(
    "release_recipient_steps",
    metadata,
    Column("recipient_id", ForeignKey("release_recipients.recipient_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("step", String(16), nullable=False),
    Column("done_by", String(128), nullable=False),
    Column("done_at", UtcTime, nullable=False),
    Column("note", String(512), nullable=False),
)
"""What became of a recipient: "approved", "disabled"."""

release_requests = Table(
    "release_requests",
    metadata,
    Column("request_id", Integer, primary_key=True),
    Column("agency", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("recipient_id", ForeignKey("release_recipients.recipient_id")),
    Column("person", String(128), nullable=False),
    Column("purpose", String(512), nullable=False),
    Column("legal_basis", String(256), nullable=False),
    Column("case_number", String(64), nullable=False),
    Column("scope", Text, nullable=False),
    Column("letter_sha256", String(64)),
    Column("letter_kind", String(8)),
    Column("letter_bytes", Integer),
    Column("entered_by", String(128), nullable=False),
    Column("entered_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)
"""Asked-for disclosures, as they were asked. `scope` is JSON, of `evidence_scope`; the letter is a file."""

evidence_packages = Table(
    "evidence_packages",
    metadata,
    Column("package_id", Integer, primary_key=True),
    Column("made_by", String(128), nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("case_number", String(64), nullable=False),
    Column("purpose", String(512), nullable=False),
    Column("reads", Integer, nullable=False),
    Column("manifest_sha256", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("key", String(64), nullable=False),
    Column("recipient_id", ForeignKey("release_recipients.recipient_id")),
    Column("request_id", ForeignKey("release_requests.request_id")),
    Column("unencrypted_reason", String(512)),
    sqlite_autoincrement=True,
)
"""Evidence packages that were made. `sha256` is of the file that left; `unencrypted_reason` is null for one
that is encrypted."""

release_steps = Table(
    "release_steps",
    metadata,
    Column("request_id", ForeignKey("release_requests.request_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("done_by", String(128), nullable=False),
    Column("done_at", UtcTime, nullable=False),
    Column("note", String(512), nullable=False),
    Column("recipient_id", ForeignKey("release_recipients.recipient_id")),
    Column("package_id", ForeignKey("evidence_packages.package_id")),
)
"""What became of a request, numbered from 1; the newest is its state."""

evidence_bookings = Table(
    "evidence_bookings",
    metadata,
    Column("booking_id", Integer, primary_key=True),
    Column("package_id", ForeignKey("evidence_packages.package_id"), nullable=False),
    Column("item_number", String(64), nullable=False),
    Column("place", String(256), nullable=False),
    Column("booked_by", String(128), nullable=False),
    Column("booked_at", UtcTime, nullable=False),
    Column("sha256", String(64), nullable=False),
    sqlite_autoincrement=True,
)
"""Packages on portable media that were booked into evidence."""
