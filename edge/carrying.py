"""Reads on a stick to the department, and receipts back: `alpr-edge transfer usb`.

The daemon may go on: the outbox's file is shared by its lock, a batch on the stick and one over the network
are the same bytes, and a receipt counts whichever way it came.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sync.batch import decode_receipt, encode_batch
from sync.carried import Stick
from sync.config import SyncConfig
from sync.errors import ReceiptInvalidError, WireFormatError
from sync.outbox import Outbox

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Carried:
    """What one visit with the stick came to."""

    receipts: int
    """Batches that the department holds, whose receipts were taken up."""
    receipted_reads: int
    batches: int
    """Batches on the stick now."""
    reads: int
    faults: tuple[str, ...]
    """What on the stick could not be used, one line each; the batches are carried again."""

    def lines(self) -> Iterator[str]:
        """Yield what a technician is told."""
        yield f"{self.receipted_reads} reads have the department's receipt, from {self.receipts} batches"
        yield (
            f"{self.reads} reads are on the stick, in {self.batches} batches, sealed: bring it to the "
            "department, then back to this unit"
            if self.batches
            else "nothing is left to carry"
        )
        yield from self.faults


def visit(
    outbox: Outbox,
    stick: Stick,
    config: SyncConfig,
    *,
    unit_key: Ed25519PrivateKey,
    department: Ed25519PublicKey,
    now: datetime,
) -> Carried:
    """Take up the receipts on *stick*, then put all that still waits on it. *department* checks receipts.

    Raises DiskFullError if the stick is full or fails, OutboxCorruptError. All that was done before stands.
    """
    receipts = receipted = 0
    faults = [f"{name}: no batch of a unit; left alone" for name in stick.strangers()]
    for batch_id in list(stick.batches()):
        try:
            data = stick.receipt(batch_id)
            if data is None:
                continue
            receipt = decode_receipt(data, department, stick.batch(batch_id), stick.unit_id)
            outbox.accept(receipt, data)
        except (ReceiptInvalidError, WireFormatError, OSError) as error:
            faults.append(f"not taken up: {error}")
            continue
        log.info("batch.acknowledged", batch=batch_id, reads=receipt.reads, by="stick")
        receipts, receipted = receipts + 1, receipted + receipt.reads
        stick.done(batch_id)
    batches = reads = 0
    for batch in outbox.open_batches(
        unit_id=stick.unit_id, limit_reads=config.batch_reads, limit_bytes=config.batch_bytes, now=now
    ):
        stick.put_batch(encode_batch(batch, unit_key))
        batches, reads = batches + 1, reads + len(batch.reads)
    return Carried(receipts, receipted, batches, reads, tuple(faults))
