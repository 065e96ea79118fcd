"""Open a batch and judge it: bytes in, records or a refusal out. No database, no disk, no clock."""

import hashlib
import math
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from recognizer.plate import normalise
from server.errors import NotPermittedError
from sync.batch import Batch, SignedBatch, decode_batch
from sync.errors import WireFormatError
from sync.record import Record, decode_record
from sync.seal import EpochOpener

_MAX_PLATE = 32
_MAX_NAME = 64
_JPEG_START = b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class OpenedRead:
    """A record as it came out of its seal."""

    record: Record
    digest: bytes
    """SHA-256 of the record's bytes: two reads of one id are the same read if this is the same."""


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """A batch whose every seal opened and whose every record is sound."""

    batch: Batch
    digest: bytes
    """SHA-256 of the batch's bytes."""
    reads: tuple[OpenedRead, ...] = field(repr=False)


def open_batch(
    signed: SignedBatch, unit_id: str, unit_key: Ed25519PublicKey, department: X25519PrivateKey
) -> OpenedBatch:
    """Return what is in *signed*, sent by the unit whose certificate says *unit_id*.

    All or nothing: one read that does not open refuses the whole batch, because a receipt names a batch.

    Raises SealBrokenError if this unit did not sign the batch or a seal does not fit, NotPermittedError if it
    signed in another unit's name, WireFormatError if batch or record are malformed.
    """
    batch = decode_batch(signed, unit_key)
    if batch.unit_id != unit_id:
        raise NotPermittedError(f"batch {signed.batch_id}: is another unit's")
    openers = {epoch.epoch_id: EpochOpener(epoch, department) for epoch in batch.epochs}
    opened = []
    for sealed in batch.reads:
        content = openers[sealed.epoch_id].open(sealed)
        record = decode_record(content)
        if record.unit_id != unit_id or record.read.read_id != sealed.read_id:
            raise WireFormatError(f"read {sealed.read_id}: the record inside names another read or unit")
        _require_sound(record)
        opened.append(OpenedRead(record, hashlib.sha256(content).digest()))
    return OpenedBatch(batch, signed.digest, tuple(opened))


def _require_sound(record: Record) -> None:
    """Raises WireFormatError, naming the read alone, if a value cannot be what its name says."""
    read, fix = record.read, record.read.fix
    shares = [p for position in read.positions for _, p in position]
    shares += [read.confidence, read.prefix_confidence]
    shares += [] if read.jurisdiction is None else [read.jurisdiction.confidence]
    measures: list[float | None] = []
    if fix is not None:
        measures = [fix.latitude_deg, fix.longitude_deg, fix.speed_mps, fix.course_deg, fix.accuracy_m]
    problem = None
    if normalise(read.plate) != read.plate or len(read.plate) > _MAX_PLATE:
        problem = "plate is not in normal form"
    elif normalise(read.prefix) != read.prefix or len(read.prefix) > _MAX_PLATE:
        problem = "prefix is not in normal form"
    elif not all(0.0 <= share <= 1.0 for share in shares):
        problem = "a confidence is not in [0, 1]"
    elif not all(m is None or (isinstance(m, int | float) and math.isfinite(m)) for m in measures):
        problem = "the fix has a value that is not a number"
    elif fix is not None and not (abs(fix.latitude_deg) <= 90 and abs(fix.longitude_deg) <= 180):
        problem = "the fix lies outside the earth"
    elif read.evidence and not read.evidence.startswith(_JPEG_START):
        problem = "evidence is not JPEG"
    elif record.context and not (record.hits and record.context.startswith(_JPEG_START)):
        problem = "context is not JPEG, or of no hit"
    elif max(len(read.read_id), len(read.camera), *(len(h.hit_id) for h in record.hits), 0) > _MAX_NAME:
        problem = f"a name is longer than {_MAX_NAME} characters"
    if problem is not None:
        raise WireFormatError(f"read {read.read_id[:_MAX_NAME]}: {problem}")
