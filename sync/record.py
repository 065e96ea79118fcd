"""What is sealed of a read: one CBOR map with everything the department is to hold of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import cbor2

from camera.fix import Fix
from camera.frame import Moment, TimeQuality
from hotlist_cache.hit import HotlistHit
from recognizer.plate import Jurisdiction, Plate
from recognizer.read import Box, JurisdictionOpinion, PlateRead, Position
from sync.errors import WireFormatError

RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordedHit:
    """What is kept of a hit: enough to say later why the officer was told."""

    hit_id: str
    entry_id: str
    pattern: str = field(repr=False)
    list_name: str
    kind: str
    state: str
    differing: tuple[int, ...]
    snapshot_sequence: int
    list_issued_at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """A read as the department holds it."""

    unit_id: str
    read: PlateRead
    hits: tuple[RecordedHit, ...]


def recorded(hit: HotlistHit) -> RecordedHit:
    """Return what is kept of *hit*."""
    return RecordedHit(
        hit_id=hit.hit_id,
        entry_id=hit.entry.entry_id,
        pattern=hit.entry.pattern,
        list_name=hit.entry.list_name,
        kind=hit.kind.value,
        state=hit.state.value,
        differing=hit.differing,
        snapshot_sequence=hit.list_age.snapshot_sequence,
        list_issued_at=hit.list_age.issued_at,
    )


def encode_record(unit_id: str, read: PlateRead, hits: Sequence[HotlistHit]) -> bytes:
    """Return *read* and its *hits* as the bytes to seal."""
    opinion, fix = read.jurisdiction, read.fix
    return cbor2.dumps(
        {
            "v": RECORD_VERSION,
            "unit": unit_id,
            "read": read.read_id,
            "camera": read.camera,
            "plate": read.plate,
            "positions": [[[c, round(p, 4)] for c, p in position] for position in read.positions],
            "confidence": round(read.confidence, 4),
            "jurisdiction": None if opinion is None else [opinion.code, round(opinion.confidence, 4)],
            "first_seen": _packed(read.first_seen),
            "settled": _packed(read.settled),
            "box": [read.box.left, read.box.top, read.box.right, read.box.bottom],
            "frames": read.frames,
            "evidence": read.evidence,
            "fix": None
            if fix is None
            else [
                fix.at.timestamp(),
                fix.latitude_deg,
                fix.longitude_deg,
                fix.speed_mps,
                fix.course_deg,
                fix.accuracy_m,
            ],
            "hits": [
                [
                    h.hit_id,
                    h.entry_id,
                    h.pattern,
                    h.list_name,
                    h.kind,
                    h.state,
                    list(h.differing),
                    h.snapshot_sequence,
                    h.list_issued_at.timestamp(),
                ]
                for h in map(recorded, hits)
            ],
        }
    )


def decode_record(data: bytes) -> Record:
    """Return the record in *data*.

    Raises WireFormatError if the bytes are not a record of a known version.
    """
    try:
        fields = cbor2.loads(data)
        if fields["v"] != RECORD_VERSION:
            raise WireFormatError(
                f"record is of version {fields['v']!r}, not {RECORD_VERSION}: update the server"
            )
        return Record(str(fields["unit"]), _read(fields), tuple(_hit(h) for h in fields["hits"]))
    except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        # The cause names a field, never a value: a record's values are plates and places.
        raise WireFormatError(f"record is malformed ({type(error).__name__})") from None


def _read(fields: dict[str, Any]) -> PlateRead:
    opinion, fix = fields["jurisdiction"], fields["fix"]
    positions: tuple[Position, ...] = tuple(
        tuple((str(c), float(p)) for c, p in position) for position in fields["positions"]
    )
    return PlateRead(
        read_id=str(fields["read"]),
        camera=str(fields["camera"]),
        plate=Plate(str(fields["plate"])),
        positions=positions,
        confidence=float(fields["confidence"]),
        jurisdiction=None
        if opinion is None
        else JurisdictionOpinion(Jurisdiction(str(opinion[0])), float(opinion[1])),
        first_seen=_moment(fields["first_seen"]),
        settled=_moment(fields["settled"]),
        box=Box(*(int(v) for v in fields["box"])),
        frames=int(fields["frames"]),
        evidence=bytes(fields["evidence"]),
        fix=None if fix is None else Fix(_utc(fix[0]), *fix[1:]),
    )


def _hit(values: Sequence[Any]) -> RecordedHit:
    hit_id, entry_id, pattern, list_name, kind, state, differing, sequence, issued = values
    return RecordedHit(
        str(hit_id),
        str(entry_id),
        str(pattern),
        str(list_name),
        str(kind),
        str(state),
        tuple(int(i) for i in differing),
        int(sequence),
        _utc(issued),
    )


def _packed(moment: Moment) -> list[Any]:
    return [moment.utc.timestamp(), moment.monotonic_ns, moment.boot_id, moment.quality.value]


def _moment(values: Sequence[Any]) -> Moment:
    return Moment(_utc(values[0]), int(values[1]), str(values[2]), TimeQuality(values[3]))


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
