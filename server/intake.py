"""Take a batch: order the judging, the storing, the quarantine and the access log, and give the receipt.

The receipt is signed before the transaction commits and handed out after it: it never promises what a power
cut could still take. It is stored with the batch, so the same batch always gets the same receipt, and a
receipt that was lost on the way costs one repeated upload, never one lost or doubled read.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import IntegrityError

from server.audit import Deed, append
from server.database import adding, reading, writing
from server.errors import BatchConflictError, NotPermittedError, StoreUnavailableError
from server.ingest import OpenedBatch, open_batch
from server.keys import DepartmentKeys, write_private
from server.partitions import Months
from server.storing import HeldBatch, begin_batch, held_batch, store_batch
from server.tables import units
from server.unit_words import keep_word
from sync.batch import Receipt, SignedBatch, decode_batch, encode_receipt
from sync.errors import SealBrokenError, WireFormatError

QUARANTINE_BYTES = 1 << 30
"""Beyond this, only the digest of a broken batch is kept: hostile units must not fill the disk."""
UNIT_QUARANTINE_FILES = 50
UNIT_QUARANTINE_BYTES = 128 * 1024 * 1024
"""And beyond these of one unit: it must not take the places of all others."""
_NAME_END = len("-.batch") + 64
"""What a file's name in quarantine has behind the unit's: the digest, in hexadecimal, and marks."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the TLS certificate proves it."""

    unit_id: str
    serial: str
    address: str


class Intake:
    """Takes batches for one department. May be used by several threads."""

    def __init__(self, engine: Engine, keys: DepartmentKeys, quarantine: Path) -> None:
        self._engine = engine
        self._keys = keys
        self._quarantine = quarantine
        self._months = Months(engine)
        self._apart = Lock()
        """Held while a batch is put into quarantine: else several at once would pass the bounds."""

    def admit(self, peer: Peer, now: datetime) -> Ed25519PublicKey:
        """Return the key with which the unit signs, if it may come in.

        Raises NotPermittedError, and writes an audit entry, if the unit is unknown or revoked, or shows a
        certificate older than its newest one.
        """
        with reading(self._engine) as connection:
            row = connection.execute(select(units).where(units.c.unit_id == peer.unit_id)).first()
        problem = None
        if row is None:
            problem = "is not enrolled"
        elif row.revoked_at is not None:
            problem = "is revoked"
        elif row.certificate_serial != peer.serial:
            problem = "shows a certificate that a newer one replaced"
        if row is None or problem is not None:
            self._refused(peer, "unit.connect", {"why": problem}, now)
            raise NotPermittedError(f"unit {peer.unit_id} {problem}: enrol it again")
        return Ed25519PublicKey.from_public_bytes(row.public_key)

    def take(self, peer: Peer, signed: SignedBatch, now: datetime) -> bytes:
        """Return the receipt for *signed*, once all its reads are on disk.

        Raises NotPermittedError, BatchConflictError, SealBrokenError, WireFormatError (the last two after the
        bytes were put into quarantine) or StoreUnavailableError. A receipt is given in none of these cases.
        """
        unit_key = self.admit(peer, now)
        try:
            with reading(self._engine) as connection:
                held = _same_batch(connection, signed, peer)
            if held is not None:
                return held.receipt
            opened = open_batch(signed, peer.unit_id, unit_key, self._keys.unseal)
            receipt = self._store(signed, opened, peer, now)
        except (SealBrokenError, WireFormatError) as error:
            kept = self._set_apart(peer, signed)
            detail: dict[str, object] = {
                "batch": signed.batch_id,
                "digest": signed.digest.hex(),
                "why": str(error),
                "kept": kept,
            }
            self._refused(peer, "batch.quarantine", detail, now)
            raise
        except (NotPermittedError, BatchConflictError) as error:
            self._refused(peer, "batch.refuse", {"batch": signed.batch_id, "why": str(error)}, now)
            raise
        return receipt

    def take_told(self, unit_id: str, signed: SignedBatch, now: datetime) -> bytes:
        """Return the receipt for *signed*, which the broker says *unit_id* gave it: `take`, but for what a
        broker cannot prove.

        The unit's signature stands in for its certificate, and is asked first: of what it did not sign
        nothing is kept and no entry is made, or whoever has the broker could fill quarantine and access log.
        """
        with reading(self._engine) as connection:
            row = connection.execute(select(units).where(units.c.unit_id == unit_id)).first()
        if row is None or row.revoked_at is not None:
            raise NotPermittedError(f"unit {unit_id} is not enrolled, or is revoked")
        batch = decode_batch(signed, Ed25519PublicKey.from_public_bytes(row.public_key))
        if batch.unit_id != unit_id:
            raise NotPermittedError(f"batch {signed.batch_id}: is another unit's")
        return self.take(Peer(unit_id, row.certificate_serial, "mqtt"), signed, now)

    def take_status(self, peer: Peer, payload: bytes, now: datetime) -> None:
        """Note what the unit, which was admitted, says of itself.

        Raises WireFormatError if it is no status, StoreUnavailableError.
        """
        keep_word(self._engine, peer.unit_id, payload, now)

    def _store(self, signed: SignedBatch, opened: OpenedBatch, peer: Peer, now: datetime) -> bytes:
        word = Receipt(signed.batch_id, peer.unit_id, signed.digest, len(opened.reads), now)
        receipt = encode_receipt(word, self._keys.receipt)
        self._months.ensure([item.record.read.settled.utc for item in opened.reads], now)
        try:
            before = self._store_once(signed, opened, receipt, peer, now)
        except IntegrityError:
            # Another unit handed in under the same id in this very moment: now it shows what it was.
            before = self._store_once(signed, opened, receipt, peer, now)
        if isinstance(before, HeldBatch):
            return before.receipt
        _log.info(
            "batch stored",
            batch=signed.batch_id,
            unit=peer.unit_id,
            reads=len(opened.reads),
            held_before=before,
        )
        return receipt

    def _store_once(
        self, signed: SignedBatch, opened: OpenedBatch, receipt: bytes, peer: Peer, now: datetime
    ) -> HeldBatch | int:
        with adding(self._engine) as connection:
            begin_batch(connection, peer.unit_id, now)
            # Asked again under the lock: the same batch may be on its way twice.
            return _same_batch(connection, signed, peer) or store_batch(connection, opened, receipt, now)

    def _set_apart(self, peer: Peer, signed: SignedBatch) -> str:
        """Keep the sealed bytes for a person to look at; what was kept of them, in words."""
        path = self._quarantine / f"{peer.unit_id}-{signed.digest.hex()}.batch"
        try:
            with self._apart:
                self._quarantine.mkdir(mode=0o700, exist_ok=True)
                if path.exists():
                    return "whole"
                if (full := self._full(peer.unit_id, len(signed.payload))) is not None:
                    return f"digest only: {full}"
                write_private(path, signed.payload)
        except FileExistsError:
            return "whole"
        except OSError as error:
            raise StoreUnavailableError(
                f"quarantine cannot be written ({error.strerror})", retry_after_s=300
            ) from error
        return "whole"

    def _full(self, unit_id: str, size: int) -> str | None:
        """Say which bound *size* more bytes of a unit would pass; None if none."""
        files = own_bytes = all_bytes = 0
        with os.scandir(self._quarantine) as held:
            for each in held:
                try:
                    held_bytes = each.stat().st_size
                except FileNotFoundError:  # somebody looked at it and took it away
                    continue
                all_bytes += held_bytes
                if each.name[:-_NAME_END] == unit_id:
                    files += 1
                    own_bytes += held_bytes
        if files >= UNIT_QUARANTINE_FILES or own_bytes + size > UNIT_QUARANTINE_BYTES:
            return "this unit has its share of the quarantine"
        return "the quarantine is full" if all_bytes + size > QUARANTINE_BYTES else None

    def _refused(self, peer: Peer, action: str, detail: dict[str, object], now: datetime) -> None:
        _log.warning("refused", action=action, unit=peer.unit_id, **detail)
        with writing(self._engine) as connection:
            deed = Deed(f"unit:{peer.unit_id}", action, "refused", source=peer.address, detail=detail)
            append(connection, deed, now)


def _same_batch(connection: Connection, signed: SignedBatch, peer: Peer) -> HeldBatch | None:
    """Return the batch if it was taken before, byte for byte.

    Raises NotPermittedError if another unit sent it, BatchConflictError if its bytes were others.
    """
    held = held_batch(connection, signed.batch_id)
    if held is None:
        return None
    if held.digest != signed.digest:
        raise BatchConflictError(f"batch {signed.batch_id}: is held with other bytes")
    if held.unit_id != peer.unit_id:
        raise NotPermittedError(f"batch {signed.batch_id}: is another unit's")
    return held
