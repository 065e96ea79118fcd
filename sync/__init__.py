"""Records come in and are sealed; batches go out and come back as receipts; only then may a read leave."""

from sync.batch import Batch, Receipt, SealedEpoch, SealedRead, SignedBatch
from sync.errors import (
    DiskFullError,
    NotTrustedError,
    OutboxCorruptError,
    OutboxVersionError,
    ReceiptInvalidError,
    RefusedError,
    SealBrokenError,
    SyncError,
    UnreachableError,
    WireFormatError,
)

__all__ = [
    "Batch",
    "DiskFullError",
    "NotTrustedError",
    "OutboxCorruptError",
    "OutboxVersionError",
    "Receipt",
    "ReceiptInvalidError",
    "RefusedError",
    "SealBrokenError",
    "SealedEpoch",
    "SealedRead",
    "SignedBatch",
    "SyncError",
    "UnreachableError",
    "WireFormatError",
]
