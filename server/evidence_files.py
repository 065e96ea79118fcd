"""What an evidence package says of reads: each read with its hits, answers and picture, and its custody.

Everything is cut off at one moment: what was recorded before it is told, what came later is not. Two packages
of the same reads and the same statement therefore say the same, although the first one is itself recorded.

File names are numbers. A plate stands in no name, and neither do ids, which units make.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, or_, select

from server.database import reading
from server.integrity import part_of, picture_part, row_fits
from server.pictures import Fetch
from server.release_errors import EvidenceRefusedError
from server.scenes import scene_of
from server.tables import audit, batches, evidence, hits, reads, unit_log_entries
from sync.access_log import LogRecord, read_entry

_DERIVED = {"plate_folded", "prefix_first_folded", "prefix_last_folded", "row_digest"}
_JSON = {"positions", "box", "differing"}
_ENTRIES_AT_ONCE = 20_000
WITHHELD = "withheld"
_SEEN = ("sequence", "at", "actor", "action", "outcome", "purpose", "case_number", "digest")
"""Of an entry of the access log. Its detail may name other plates and reads, and so stays where it is."""


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """The files on some reads."""

    read_ids: tuple[str, ...]
    """In the order of their numbers: as they settled."""
    files: Mapping[str, bytes] = field(repr=False)
    """By path in the package."""


def files_on(
    engine: Engine,
    read_ids: Sequence[str],
    receipt_key: bytes,
    before: datetime,
    fetch: Fetch,
    *,
    for_case: str | None = None,
) -> ReadFiles:
    """Return all that is recorded of *read_ids* and was recorded before a moment, as files.

    *receipt_key*: the department's public key, which checks the receipts. *fetch* gets pictures that lie
    outside the database; what it raises comes out: a package never lacks one silently. *for_case*: of a
    request by another agency, which is told neither purpose nor case number of looks for others; None:
    all is told. The access log is read in pieces, between which units hand in their batches. Raises
    EvidenceRefusedError if one of the reads is not held, or was damaged in the database.
    """
    files: dict[str, bytes] = {}
    with reading(engine) as connection:
        rows = connection.execute(
            select(reads).where(reads.c.read_id.in_(read_ids)).order_by(reads.c.settled_at, reads.c.read_id)
        ).all()
        if missing := len(set(read_ids)) - len(rows):
            raise EvidenceRefusedError(
                f"{missing} of the reads are not held: they never came, or were purged"
            )
        ids = [row.read_id for row in rows]
        for number, row in enumerate(rows, 1):
            files.update(_read(connection, row, f"reads/{number:04d}", before, fetch))
        handed_in, receipts = _batches(connection, rows)
    files.update(receipts)
    custody = {
        "form": "alpr-server evidence custody 1",
        "until": before.isoformat(),
        "batches": handed_in,
        "receipt_public_key": receipt_key.hex(),
        "seen": [_told(look, for_case) for look in _seen(engine, frozenset(ids), before)],
    }
    files["custody.json"] = as_json(custody)
    return ReadFiles(tuple(ids), files)


def as_json(value: object) -> bytes:
    """Return *value* as JSON in the one form that packages use."""
    return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"


def _read(
    connection: Connection, row: Row[Any], stem: str, before: datetime, fetch: Fetch
) -> Iterator[tuple[str, bytes]]:
    kept = connection.execute(
        select(evidence.c.jpeg, evidence.c.object).where(evidence.c.read_id == row.read_id)
    ).first()
    jpeg = b"" if kept is None else kept.jpeg if kept.object is None else fetch(row.read_id, kept.object)
    _require_intact(connection, row, jpeg)
    scene = scene_of(connection, row.read_id, fetch)
    corrected = connection.execute(
        select(reads.c.read_id)
        .where(reads.c.revises == row.read_id, reads.c.unit_id == row.unit_id)
        .order_by(reads.c.read_id)
    ).scalars()
    its_hits = connection.execute(
        select(hits).where(hits.c.read_id == row.read_id).order_by(hits.c.hit_id)
    ).all()
    told = {
        "form": "alpr-server evidence read 1",
        "read": _plain(row),
        "picture": f"{stem.rpartition('/')[2]}.jpg" if jpeg else None,
        "picture_sha256": hashlib.sha256(jpeg).hexdigest() if jpeg else None,
        "scene": f"{stem.rpartition('/')[2]}-scene.jpg" if scene else None,
        "scene_sha256": hashlib.sha256(scene).hexdigest() if scene else None,
        "corrected_by": list(corrected),
        "hits": [_plain(hit) for hit in its_hits],
        "answers": _answers(connection, row.unit_id, [hit.hit_id for hit in its_hits], before),
    }
    yield f"{stem}.json", as_json(told)
    if jpeg:
        yield f"{stem}.jpg", jpeg
    if scene:
        yield f"{stem}-scene.jpg", scene


def _require_intact(connection: Connection, row: Row[Any], jpeg: bytes) -> None:
    if row.row_digest is None:
        whole = select(batches.c.row_digest).where(batches.c.batch_id == row.batch_id)
        intact = connection.execute(whole).scalar() is None  # of before: not checked
    else:
        its_hits = connection.execute(select(hits).where(hits.c.read_id == row.read_id)).all()
        intact = row_fits(row, its_hits) and part_of(jpeg) == picture_part(row.row_digest)
    if not intact:
        raise EvidenceRefusedError(
            f"read {row.read_id} was damaged in the database: restore it from the backup first"
        )


def _answers(
    connection: Connection, unit_id: str, hit_ids: Sequence[str], before: datetime
) -> list[dict[str, Any]]:
    """What officers did about hits, as the unit signed it: looked, verified, and with what result."""
    table = unit_log_entries
    rows = connection.execute(
        select(table)
        .where(table.c.unit_id == unit_id, table.c.hit_id.in_(hit_ids), table.c.received_at < before)
        .order_by(table.c.beginning, table.c.sequence)
    )
    found = []
    for row in rows:
        entry = read_entry(LogRecord(row.data, row.signature))
        found.append(
            {
                "log": f"{unit_id}/{row.beginning}",
                "sequence": entry.sequence,
                "at": entry.at.isoformat(),
                "clock": entry.quality,
                "actor": entry.actor,
                "role": entry.role,
                "action": entry.action,
                "outcome": entry.outcome,
                "detail": dict(entry.detail),
                "digest": row.digest.hex(),
                "signature": row.signature.hex(),
            }
        )
    return found


def _batches(
    connection: Connection, rows: Sequence[Row[Any]]
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    ids = sorted({row.batch_id for row in rows})
    found, receipts = [], {}
    held = connection.execute(select(batches).where(batches.c.batch_id.in_(ids)).order_by(batches.c.batch_id))
    for number, row in enumerate(held, 1):
        path = f"receipts/{number:04d}.cbor"
        receipts[path] = row.receipt
        told = {name: value for name, value in _plain(row).items() if name != "receipt"}
        found.append(told | {"receipt": path})
    return found, receipts


def _seen(engine: Engine, ids: frozenset[str], before: datetime) -> Iterator[dict[str, Any]]:
    """Who looked at which of the reads, and when: every entry of the access log that says it showed one."""
    after = 0
    naming = or_(audit.c.detail.like('%"shown": [%'), audit.c.detail.like('%"read": "%'))
    while True:
        page = select(audit).where(audit.c.sequence > after, audit.c.sequence <= after + _ENTRIES_AT_ONCE)
        with reading(engine) as connection:
            rows = connection.execute(page.where(naming).order_by(audit.c.sequence)).all()
            newest = connection.execute(
                select(audit.c.sequence).order_by(audit.c.sequence.desc()).limit(1)
            ).scalar()
        for row in rows:
            its = _shown(json.loads(row.detail)) & ids
            if its and row.at < before:
                plain = _plain(row)
                yield {name: plain[name] for name in _SEEN} | {"reads": sorted(its)}
        after += _ENTRIES_AT_ONCE
        if newest is None or newest <= after:
            return


def _told(look: dict[str, Any], for_case: str | None) -> dict[str, Any]:
    """Return a look as whoever the package is for may know it: other investigations are not theirs."""
    if for_case is None or look["case_number"] == for_case:
        return look
    return look | {name: WITHHELD for name in ("purpose", "case_number") if look[name]}


def _shown(detail: Mapping[str, Any]) -> frozenset[str]:
    shown, one = detail.get("shown"), detail.get("read")
    listed = {str(each) for each in shown} if isinstance(shown, list) else set()
    return frozenset(listed | ({one} if isinstance(one, str) else set()))


def _plain(row: Row[Any]) -> dict[str, Any]:
    """Return a row as JSON has it: times with their offset, bytes in hexadecimal, JSON as itself."""
    plain: dict[str, Any] = {}
    for name, value in row._asdict().items():
        if name in _DERIVED:
            continue
        if isinstance(value, datetime):
            plain[name] = value.isoformat()
        elif isinstance(value, bytes):
            plain[name] = value.hex()
        else:
            plain[name] = json.loads(value) if name in _JSON else value
    return plain
