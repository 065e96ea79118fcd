"""Brings batches to the department and receipts back: `sync.upload`, fed by the keeper's thread.

The officers' own entries go the same way, see `book_courier`, and the access log, see `log_courier`.
"""

from dataclasses import replace
from datetime import timedelta
from queue import Queue
from typing import TypeVar

import structlog

from edge.book_courier import BookCourier
from edge.clock import Clock
from edge.keeper import Acknowledged, Message, NextBatch, Refused, StoreError
from edge.log_courier import LogCourier
from edge.status import TransferHealth
from sync.batch import Batch, Receipt
from sync.errors import DiskFullError, RefusedError
from sync.session import Session
from sync.upload import Upload

KEEPER_PATIENCE_S = 60.0
"""The keeper answers after at most a commit and a purge; a slow card may take seconds over each."""

DISK_PATIENCE_S = 30.0

log = structlog.get_logger(__name__)

T = TypeVar("T")


class KeeperStore:
    """The outbox as another thread sees it: each call asks its one writer, and waits for the answer."""

    def __init__(self, keeper: Queue[Message]) -> None:
        self._keeper = keeper

    def next_batch(self) -> Batch | None:
        """Return the batch to send, the same until one of the other two was called for it."""
        reply: Queue[Batch | StoreError | None] = Queue()
        self._keeper.put(NextBatch(reply))
        return _told(reply)

    def accept(self, receipt: Receipt, data: bytes) -> None:
        """Keep a checked receipt; when this returns it is on the disk."""
        done: Queue[StoreError | None] = Queue()
        self._keeper.put(Acknowledged(receipt, data, done))
        _told(done)

    def set_aside(self, batch_id: str, why: str) -> None:
        """Never send this batch again, and keep its reads."""
        done: Queue[StoreError | None] = Queue()
        self._keeper.put(Refused(batch_id, why, done))
        _told(done)


def _told(answer: "Queue[T | StoreError]") -> T:
    found = answer.get(timeout=KEEPER_PATIENCE_S)
    if isinstance(found, StoreError):
        raise found
    return found


class Courier:
    """Runs in the upload thread."""

    def __init__(
        self,
        upload: Upload,
        session: Session,
        clock: Clock,
        book: BookCourier | None = None,
        access_log: LogCourier | None = None,
    ) -> None:
        """*book* and *access_log* None: nothing but reads is sent."""
        self.health = TransferHealth()
        self._upload = upload
        self._book = book
        self._log = access_log
        self._session = session
        self._clock = clock

    @property
    def book_fault(self) -> str:
        """Why the department does not take the officers' entries; empty while it does, or is away."""
        return "" if self._book is None else self._book.fault

    @property
    def log_fault(self) -> str:
        """Why the department does not take the access log; empty while it does, or is away."""
        return "" if self._log is None else self._log.fault

    def work(self) -> float:
        """Do what is due, at most one exchange of each kind; return how many seconds nothing will be due."""
        wait_s = self._bring_reads()
        if self._book is not None:
            wait_s = min(wait_s, self._book.work())
        return wait_s if self._log is None else min(wait_s, self._log.work())

    def _bring_reads(self) -> float:
        try:
            exchanged = self._upload.step()
        except DiskFullError as error:
            # The batch is still the next to send, and the server knows it again by its bytes.
            self.health = replace(self.health, last_error=str(error))
            log.error("upload.disk_full", why=str(error))
            return DISK_PATIENCE_S
        if exchanged.receipt is not None:
            uploaded = self.health.uploaded + exchanged.receipt.reads
            self.health = replace(self.health, connected=True, last_error="", uploaded=uploaded)
        elif exchanged.error is not None:
            # A refusal is an answer: the server is there. The keeper's thread logs it with the batch.
            connected = isinstance(exchanged.error, RefusedError)
            self.health = replace(self.health, connected=connected, last_error=str(exchanged.error))
            log.warning("upload.failed", why=str(exchanged.error), failures=self._session.failures)
        return max(0.0, (exchanged.next_at - self._clock.now().utc) / timedelta(seconds=1))

    def hurry(self) -> None:
        """Forget the present wait: the drive is over, or the link has come up."""
        self._session.hurry()
        if self._log is not None:
            self._log.hurry()
        if self._book is not None:
            self._book.hurry()
