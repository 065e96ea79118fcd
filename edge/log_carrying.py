"""The access log on a stick, with the reads, for units without a network.

Nothing on the unit is changed by it: how far the department has the log is told by its receipt, which stays
on the stick, and by what came over a network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.access_log import LOG_NAME, records_in
from edge.log_courier import ACKNOWLEDGED_NAME, PIECE_RECORDS, acknowledged_head
from sync.access_log import (
    LogBrokenError,
    LogHead,
    LogPiece,
    LogRecord,
    decode_log_receipt,
    encode_piece,
    read_entry,
)
from sync.carried import Stick
from sync.errors import ReceiptInvalidError


@dataclass(frozen=True, slots=True)
class CarriedLog:
    """What a visit with the stick came to."""

    line: str
    fault: bool = False


def carry_log(
    folder: Path,
    stick: Stick,
    *,
    storage_key: bytes,
    unit_key: Ed25519PrivateKey,
    department: Ed25519PublicKey,
) -> CarriedLog:
    """Put on *stick* what the department does not have of the log in *folder*; the daemon may run on.

    Raises DiskFullError if the stick is full or fails.
    """
    try:
        records = records_in(folder / LOG_NAME, storage_key)
        held, fault = _held(stick, records, department)
        if held is None:
            held = acknowledged_head(folder / ACKNOWLEDGED_NAME, storage_key)
        known = held.sequence if held is not None and _holds(records, held) else 0
    except FileNotFoundError:
        return CarriedLog("no access log yet: nobody has used the page of this unit")
    except (LogBrokenError, OSError) as error:
        return CarriedLog(f"access log: not carried: {error}", fault=True)
    stick.put_log(_pieces(stick.unit_id, records, known, unit_key))
    if fault:
        return CarriedLog(f"access log: {fault}", fault=True)
    waiting = len(records) - known
    return CarriedLog(f"access log: entries on the stick {waiting}, at the department {known}")


def _pieces(
    unit_id: str, records: Sequence[LogRecord], known: int, key: Ed25519PrivateKey
) -> Iterator[tuple[int, bytes, bytes]]:
    for first in range(known, len(records), PIECE_RECORDS):
        piece = LogPiece(unit_id, tuple(records[first : first + PIECE_RECORDS]))
        yield first + 1, *encode_piece(piece, key)


def _held(
    stick: Stick, records: Sequence[LogRecord], department: Ed25519PublicKey
) -> tuple[LogHead | None, str]:
    """Return how far the department has the log by the receipt on the stick, or what is wrong with it."""
    if (data := stick.log_receipt()) is None:
        return None, ""
    try:
        head = decode_log_receipt(data, department, stick.unit_id).head
    except ReceiptInvalidError as error:
        return None, str(error)
    if not _holds(records, head):
        return None, "the department holds a log that is not this one; tell the auditor"
    return head, ""


def _holds(records: Sequence[LogRecord], head: LogHead) -> bool:
    if not 0 < head.sequence <= len(records):
        return head.sequence == 0
    return read_entry(records[head.sequence - 1]).digest == head.digest
