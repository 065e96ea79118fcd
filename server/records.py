"""Reads in the department's database: stored once each, found again by time, unit or plate."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, or_, select, update

from recognizer.plate import Plate, fold, normalise
from server.errors import BatchConflictError
from server.ingest import OpenedBatch, OpenedRead
from server.tables import batches, evidence, hits, reads, units


@dataclass(frozen=True, slots=True)
class HeldBatch:
    """What is known of a batch that was taken."""

    unit_id: str
    digest: bytes
    receipt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredHit:
    """A hit as a page shows it."""

    list_name: str
    kind: str
    state: str
    pattern: str = field(repr=False)
    differing: tuple[int, ...]
    snapshot_sequence: int
    list_issued_at: datetime
    form: str
    """"plate", "prefix first" or "prefix last": what of the read met the entry."""
    outcome: str
    """"hit", "possible hit" or "none" (recorded, not told): what it was to the officer."""
    text_probability: float | None
    """That the plate bore the listed text; None from a unit that did not say."""
    state_probability: float | None
    """That it was of the listed state, if it bore the listed text."""


@dataclass(frozen=True, slots=True)
class StoredRead:
    """A read as a page shows it."""

    read_id: str
    unit_id: str
    camera: str
    plate: str = field(repr=False)
    confidences: tuple[float, ...] = field(repr=False)
    """One per character of `plate`."""
    confidence: float
    jurisdiction: str | None
    jurisdiction_confidence: float | None
    first_seen_at: datetime
    settled_at: datetime
    time_quality: str
    latitude_deg: float | None = field(repr=False)
    longitude_deg: float | None = field(repr=False)
    accuracy_m: float | None
    speed_mps: float | None
    frames: int
    batch_id: str
    evidence: bytes = field(repr=False)
    """JPEG; empty where the unit had no room for it."""
    hits: tuple[StoredHit, ...]
    prefix: str = field(repr=False)
    """Letters stacked beside the plate's characters; "" where there are none, or none legible."""
    prefix_confidence: float
    revises: str | None
    """Id of the read that this one corrects, which may not be held."""
    revised_by: str | None
    """Id of the read that corrects this one."""

    @property
    def state_likely(self) -> bool:
        """Whether the state is likelier than all others together; less is listed as unknown."""
        return self.jurisdiction_confidence is not None and self.jurisdiction_confidence >= 0.5


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """Which reads are asked for; empty fields do not narrow."""

    plate: str = field(default="", repr=False)
    """As typed: "?" stands for one character, "*" for any run."""
    anywhere: bool = False
    """The plate may stand anywhere in the text."""
    unit_id: str = ""
    hits_only: bool = False


def held_batch(connection: Connection, batch_id: str) -> HeldBatch | None:
    """Return what is known of the batch, or None if it was never taken."""
    row = connection.execute(
        select(batches.c.unit_id, batches.c.digest, batches.c.receipt).where(batches.c.batch_id == batch_id)
    ).first()
    return None if row is None else HeldBatch(row.unit_id, row.digest, row.receipt)


def store_batch(connection: Connection, opened: OpenedBatch, receipt: bytes, now: datetime) -> int:
    """Write the batch with its reads in the caller's transaction; return how many of them were held before.

    Raises BatchConflictError if one of its read ids is held with other content: nothing may be stored then.
    """
    batch = opened.batch
    held = _held_digests(connection, [r.record.read.read_id for r in opened.reads])
    for item in opened.reads:
        if held.get(item.record.read.read_id, item.digest) != item.digest:
            raise BatchConflictError(f"read {item.record.read.read_id}: is held with other content")
    new = [item for item in opened.reads if item.record.read.read_id not in held]
    connection.execute(
        insert(batches).values(
            batch_id=batch.batch_id,
            unit_id=batch.unit_id,
            digest=opened.digest,
            made_at=batch.made_at,
            received_at=now,
            reads=len(opened.reads),
            already_held=len(held),
            receipt=receipt,
        )
    )
    for table, rows in (
        (reads, [_read_row(item, batch.batch_id) for item in new]),
        (evidence, [_evidence_row(item) for item in new if item.record.read.evidence]),
        (hits, [row for item in new for row in _hit_rows(item)]),
    ):
        if rows:
            connection.execute(insert(table), rows)
    connection.execute(update(units).where(units.c.unit_id == batch.unit_id).values(last_batch_at=now))
    return len(held)


def find_reads(connection: Connection, query: ReadQuery, limit: int, offset: int) -> list[StoredRead]:
    """Return reads that *query* asks for, newest first.

    O and 0, and I and 1, are taken as the same character, as several states print and file them alike.
    """
    found = connection.execute(
        _narrowed(select(reads, evidence.c.jpeg).outerjoin(evidence), query)
        .order_by(reads.c.settled_at.desc(), reads.c.read_id)
        .limit(limit)
        .offset(offset)
    ).all()
    return _with_hits(connection, found)


def get_read(connection: Connection, read_id: str) -> StoredRead | None:
    """Return one read, or None if it is not held."""
    found = connection.execute(
        select(reads, evidence.c.jpeg).outerjoin(evidence).where(reads.c.read_id == read_id)
    ).all()
    return next(iter(_with_hits(connection, found)), None)


def plate_pattern(query: ReadQuery) -> str:
    """Return the LIKE pattern for the plate asked for, "" for any.

    Only A-Z, 0-9, "_" and "%" can stand in it, so no character of it needs escaping.
    """
    pattern = ""
    for character in query.plate:
        if character == "?":
            pattern += "_"
        elif character == "*":
            pattern += "%"
        else:
            pattern += fold(normalise(character))
    return f"%{pattern}%" if query.anywhere and pattern else pattern


def _narrowed(statement: Select[Any], query: ReadQuery) -> Select[Any]:
    pattern = plate_pattern(query)
    forms = (reads.c.plate_folded, reads.c.prefix_first_folded, reads.c.prefix_last_folded)
    if "_" in pattern or "%" in pattern:
        statement = statement.where(or_(*(form.like(pattern) for form in forms)))
    elif pattern:
        # Not LIKE: equality uses the indexes.
        statement = statement.where(or_(*(form == pattern for form in forms)))
    if query.unit_id:
        statement = statement.where(reads.c.unit_id == query.unit_id)
    if query.hits_only:
        statement = statement.where(reads.c.read_id.in_(select(hits.c.read_id)))
    return statement


def _with_hits(connection: Connection, found: Sequence[Row[Any]]) -> list[StoredRead]:
    by_read: dict[str, list[StoredHit]] = {row.read_id: [] for row in found}
    for row in connection.execute(select(hits).where(hits.c.read_id.in_(list(by_read)))):
        by_read[row.read_id].append(
            StoredHit(
                list_name=row.list_name,
                kind=row.kind,
                state=row.state,
                pattern=row.pattern,
                differing=tuple(json.loads(row.differing)),
                snapshot_sequence=row.snapshot_sequence,
                list_issued_at=row.list_issued_at,
                form=row.form or "plate",
                outcome=row.outcome or "hit",
                text_probability=row.text_probability,
                state_probability=row.state_probability,
            )
        )
    corrections = connection.execute(
        select(reads.c.unit_id, reads.c.revises, reads.c.read_id).where(reads.c.revises.in_(list(by_read)))
    )
    # A unit corrects its own reads alone.
    revised_by = {(row.unit_id, row.revises): row.read_id for row in corrections}
    return [
        _stored_read(row, tuple(by_read[row.read_id]), revised_by.get((row.unit_id, row.read_id)))
        for row in found
    ]


def _stored_read(row: Row[Any], its_hits: tuple[StoredHit, ...], revised_by: str | None) -> StoredRead:
    return StoredRead(
        read_id=row.read_id,
        unit_id=row.unit_id,
        camera=row.camera,
        plate=row.plate,
        confidences=tuple(position[0][1] for position in json.loads(row.positions) if position),
        confidence=row.confidence,
        jurisdiction=row.jurisdiction,
        jurisdiction_confidence=row.jurisdiction_confidence,
        first_seen_at=row.first_seen_at,
        settled_at=row.settled_at,
        time_quality=row.time_quality,
        latitude_deg=row.latitude_deg,
        longitude_deg=row.longitude_deg,
        accuracy_m=row.accuracy_m,
        speed_mps=row.speed_mps,
        frames=row.frames,
        batch_id=row.batch_id,
        evidence=row.jpeg or b"",
        hits=its_hits,
        prefix=row.prefix or "",
        prefix_confidence=row.prefix_confidence or 0.0,
        revises=row.revises,
        revised_by=revised_by,
    )


def _held_digests(connection: Connection, read_ids: Sequence[str]) -> dict[str, bytes]:
    held: dict[str, bytes] = {}
    # SQLite takes at most 32,766 values in one statement.
    for start in range(0, len(read_ids), 1000):
        some = read_ids[start : start + 1000]
        rows = connection.execute(
            select(reads.c.read_id, reads.c.record_digest).where(reads.c.read_id.in_(some))
        )
        held.update({row.read_id: row.record_digest for row in rows})
    return held


def _read_row(item: OpenedRead, batch_id: str) -> dict[str, Any]:
    read, fix = item.record.read, item.record.read.fix
    return {
        "read_id": read.read_id,
        "batch_id": batch_id,
        "unit_id": item.record.unit_id,
        "record_digest": item.digest,
        "camera": read.camera,
        "plate": read.plate,
        "plate_folded": fold(Plate(read.plate)),
        "positions": json.dumps(read.positions),
        "confidence": read.confidence,
        "jurisdiction": read.jurisdiction and read.jurisdiction.code,
        "jurisdiction_confidence": read.jurisdiction and read.jurisdiction.confidence,
        "first_seen_at": read.first_seen.utc,
        "settled_at": read.settled.utc,
        "time_quality": read.settled.quality.value,
        "latitude_deg": fix and fix.latitude_deg,
        "longitude_deg": fix and fix.longitude_deg,
        "accuracy_m": fix and fix.accuracy_m,
        "speed_mps": fix and fix.speed_mps,
        "course_deg": fix and fix.course_deg,
        "fix_at": fix and fix.at,
        "box": json.dumps([read.box.left, read.box.top, read.box.right, read.box.bottom]),
        "frames": read.frames,
        "prefix": read.prefix or None,
        "prefix_confidence": read.prefix_confidence if read.prefix else None,
        "prefix_first_folded": fold(Plate(read.prefix + read.plate)) if read.prefix else None,
        "prefix_last_folded": fold(Plate(read.plate + read.prefix)) if read.prefix else None,
        "revises": read.revises,
    }


def _evidence_row(item: OpenedRead) -> dict[str, Any]:
    return {"read_id": item.record.read.read_id, "jpeg": item.record.read.evidence}


def _hit_rows(item: OpenedRead) -> list[dict[str, Any]]:
    return [
        {
            "read_id": item.record.read.read_id,
            "hit_id": hit.hit_id,
            "entry_id": hit.entry_id,
            "pattern": hit.pattern,
            "list_name": hit.list_name,
            "kind": hit.kind,
            "state": hit.state,
            "differing": json.dumps(hit.differing),
            "snapshot_sequence": hit.snapshot_sequence,
            "list_issued_at": hit.list_issued_at,
            "form": hit.form,
            "outcome": hit.outcome,
            "text_probability": hit.text_probability,
            "state_probability": hit.state_probability,
        }
        for hit in item.record.hits
    ]
