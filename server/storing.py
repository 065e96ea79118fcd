"""Store a batch in the caller's transaction: every read once, the whole batch or nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from recognizer.plate import Plate, fold
from server.copying import claim, copy_rows
from server.database import is_postgresql
from server.errors import BatchConflictError
from server.hit_priority import priority_of
from server.ingest import OpenedBatch, OpenedRead
from server.integrity import batch_digest, digest_of, part_of
from server.tables import batches, contexts, evidence, hits, reads, units
from server.unit_words import note_place


@dataclass(frozen=True, slots=True)
class HeldBatch:
    """What is known of a batch that was taken."""

    unit_id: str
    digest: bytes
    receipt: bytes = field(repr=False)


def held_batch(connection: Connection, batch_id: str) -> HeldBatch | None:
    """Return what is known of the batch, or None if it was never taken."""
    row = connection.execute(
        select(batches.c.unit_id, batches.c.digest, batches.c.receipt).where(batches.c.batch_id == batch_id)
    ).first()
    return None if row is None else HeldBatch(row.unit_id, row.digest, row.receipt)


def begin_batch(connection: Connection, unit_id: str, now: datetime) -> None:
    """Note that the unit hands in; from here on its batches come one after another, on PostgreSQL too."""
    connection.execute(update(units).where(units.c.unit_id == unit_id).values(last_batch_at=now))


def store_batch(connection: Connection, opened: OpenedBatch, receipt: bytes, now: datetime) -> int:
    """Write the batch with its reads, after `begin_batch`; return how many of them were held before.

    Raises BatchConflictError if one of its read ids is held with other content, WireFormatError if a value is
    too large for the database: nothing may be stored then.
    """
    batch = opened.batch
    times = {item.record.read.read_id: item.record.read.settled.utc for item in opened.reads}
    held = _held_digests(connection, claim(connection, times) if is_postgresql(connection) else list(times))
    for item in opened.reads:
        if held.get(item.record.read.read_id, item.digest) != item.digest:
            raise BatchConflictError(f"read {item.record.read.read_id}: is held with other content")
    new = [item for item in opened.reads if item.record.read.read_id not in held]
    row = {
        "batch_id": batch.batch_id,
        "unit_id": batch.unit_id,
        "digest": opened.digest,
        "made_at": batch.made_at,
        "received_at": now,
        "reads": len(opened.reads),
        "already_held": len(held),
        "receipt": receipt,
    }
    connection.execute(insert(batches).values(row | {"row_digest": batch_digest(row)}))
    its_hits = [_hit_rows(item) for item in new]
    for table, rows in (
        (reads, [_sealed_row(item, batch.batch_id, own) for item, own in zip(new, its_hits, strict=True)]),
        (evidence, [_evidence_row(item) for item in new if item.record.read.evidence]),
        (contexts, [_context_row(item) for item in new if item.record.context]),
        (hits, [row for own in its_hits for row in own]),
    ):
        if rows and is_postgresql(connection):
            copy_rows(connection, table, rows)
        elif rows:
            connection.execute(insert(table), rows)
    note_place(connection, batch.unit_id, (item.record.read for item in new), now)
    return len(held)


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


def _sealed_row(item: OpenedRead, batch_id: str, its_hits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    row = _read_row(item, batch_id)
    picture, scene = part_of(item.record.read.evidence), part_of(item.record.context)
    row["row_digest"] = digest_of(row, its_hits, picture, scene)
    return row


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
        "incident": item.record.incident or None,
    }


def _evidence_row(item: OpenedRead) -> dict[str, Any]:
    read = item.record.read
    return {"read_id": read.read_id, "jpeg": read.evidence, "settled_at": read.settled.utc}


def _context_row(item: OpenedRead) -> dict[str, Any]:
    read = item.record.read
    return {"read_id": read.read_id, "jpeg": item.record.context, "settled_at": read.settled.utc}


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
            # The queue of hits goes by these.
            "unit_id": item.record.unit_id,
            "settled_at": item.record.read.settled.utc,
            "priority": int(priority_of(hit.list_name, hit.outcome)),
        }
        for hit in item.record.hits
    ]
