"""Brings the access log to the department, piece by piece, and keeps its word on how far it has it.

What the department acknowledged lies in a small sealed file beside the log; a lost one costs one more
exchange, in which the department says itself how far it has it. The log is never changed here.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.access_log import AccessLog
from edge.delivery import Delivery
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from sync.access_log import (
    LogBrokenError,
    LogHead,
    LogPiece,
    decode_log_receipt,
    encode_piece,
    parse_head,
    start,
)
from sync.errors import RefusedError
from sync.session import Session

ACKNOWLEDGED_NAME = "access-log.acknowledged"
PIECE_RECORDS = 500
LOOK_S = 5.0
"""How often the log is looked at: what an officer does is with the department within seconds."""

log = structlog.get_logger(__name__)


class LogTransport(Protocol):
    """A way to the server."""

    def send_log(self, payload: bytes, signature: bytes) -> bytes:
        """Return the server's answer; raises UnreachableError or RefusedError, and nothing else."""
        ...


class LogCourier:
    """Runs in the upload thread."""

    def __init__(
        self,
        access_log: AccessLog,
        folder: Path,
        session: Session,
        transport: LogTransport,
        *,
        unit_id: str,
        unit_key: Ed25519PrivateKey,
        department: Ed25519PublicKey,
        storage_key: bytes,
        clock: Callable[[], datetime],
        disk: Disk | None = None,
    ) -> None:
        """*folder* is the log's; *session* lends its waits and is given no batch; *department* checks
        receipts; *clock* gives aware UTC."""
        self._log = access_log
        self._path = folder / ACKNOWLEDGED_NAME
        self._delivery = Delivery(session, "access log", clock)
        self._transport = transport
        self._unit_id = unit_id
        self._unit_key = unit_key
        self._department = department
        self._storage_key = storage_key
        self._disk: Disk = RealDisk() if disk is None else disk
        self.acknowledged = acknowledged_head(self._path, storage_key) or start(unit_id)
        """How far the department has it."""

    @property
    def fault(self) -> str:
        """Why the department does not take the log, for the technician; empty while it does, or is away."""
        return self._delivery.fault

    def work(self) -> float:
        """Do what is due, at most one exchange; return how many seconds nothing will be due."""
        if self._log.head.sequence == self.acknowledged.sequence:
            return LOOK_S
        if self._delivery.due:
            self._delivery.attempt(self._exchange)
        # A long log goes on at once; the session's own wait holds it back after a failure.
        return LOOK_S if self._delivery.failing else 0.1

    def hurry(self) -> None:
        """Forget the present wait: the drive is over, or the link has come up."""
        self._delivery.hurry()

    def _exchange(self) -> None:
        try:
            self._bring()
        except LogBrokenError as error:
            raise RefusedError(str(error)) from error

    def _bring(self) -> None:
        # A log that was begun anew does not hold what was acknowledged of the one before.
        known = self._log.holds(self.acknowledged)
        records = self._log.records(self.acknowledged.sequence if known else 0, PIECE_RECORDS)
        payload, signature = encode_piece(LogPiece(self._unit_id, records), self._unit_key)
        receipt = decode_log_receipt(
            self._transport.send_log(payload, signature), self._department, self._unit_id
        )
        if not self._log.holds(receipt.head):
            raise RefusedError("the department holds a log that is not this one; tell the auditor")
        self._keep(receipt.head)
        log.info("access_log.acknowledged", sequence=self.acknowledged.sequence)

    def _keep(self, head: LogHead) -> None:
        if head != self.acknowledged:
            content = memoryview(str(head).encode())
            write_sealed(self._disk, self._path, content, self._storage_key, ACKNOWLEDGED_NAME)
            self.acknowledged = head


def acknowledged_head(path: Path, storage_key: bytes) -> LogHead | None:
    """Return how far the department has the log, as the file *path* says; None without a sound file."""
    try:
        return parse_head(read_sealed(path, storage_key, ACKNOWLEDGED_NAME).decode("ascii"))
    except FileNotFoundError:
        return None
    except (SealedFileDamagedError, OSError, ValueError) as error:
        log.warning("access_log.acknowledged_unread", why=type(error).__name__)
        return None
