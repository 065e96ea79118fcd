"""Brings batches to the department and receipts back: `sync.upload`, fed by the keeper's thread.

The officers' own entries go the same way, see `book_courier`, and the access log, see `log_courier`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from queue import Queue
from typing import TypeVar

import structlog

from edge.book_courier import BookCourier
from edge.clock import Clock
from edge.keeper import Acknowledged, Cut, Message, NextBatch, Refused, StoreError
from edge.log_courier import LogCourier
from edge.status import TransferHealth
from sync.batch import MAX_BATCH_BYTES, Batch, Receipt
from sync.errors import DiskFullError, RefusedError
from sync.session import Session
from sync.upload import Upload

KEEPER_PATIENCE_S = 60.0
"""The keeper answers after at most a commit and a purge; a slow card may take seconds over each."""

DISK_PATIENCE_S = 30.0
LEAST_BATCH_BYTES = 16 * 1024
"""A batch is cut no smaller: some four reads with their pictures."""
HELD_BACK_S = 5.0
"""How soon it is asked again whether reads may travel."""

log = structlog.get_logger(__name__)

T = TypeVar("T")


class KeeperStore:
    """The outbox as another thread sees it: each call asks its one writer, and waits for the answer."""

    def __init__(
        self,
        keeper: Queue[Message],
        *,
        hits: bool | None = None,
        limit_bytes: Callable[[], int | None] = lambda: None,
    ) -> None:
        """*hits*: batches of hits alone, or of other reads alone; None: of either, hits first. *limit_bytes*
        is asked before each new batch; None: as configured."""
        self._keeper = keeper
        self._hits = hits
        self._limit_bytes = limit_bytes
        self._cut_to: int | None = None
        """Most bytes of a batch that the network took or may take, since one was too much for it."""

    def next_batch(self) -> Batch | None:
        """Return the batch to send, the same until one of the other two was called for it."""
        reply: Queue[Batch | StoreError | None] = Queue()
        limits = [each for each in (self._limit_bytes(), self._cut_to) if each is not None]
        self._keeper.put(NextBatch(reply, self._hits, min(limits, default=None)))
        return _told(reply)

    def accept(self, receipt: Receipt, data: bytes) -> None:
        """Keep a checked receipt; when this returns it is on the disk."""
        done: Queue[StoreError | None] = Queue()
        self._keeper.put(Acknowledged(receipt, data, done))
        _told(done)
        if self._cut_to is not None:
            # Slowly: what is tried too large is on its way for minutes, for nothing.
            self._cut_to = min(self._cut_to + self._cut_to // 8, MAX_BATCH_BYTES)

    def set_aside(self, batch_id: str, why: str) -> None:
        """Never send this batch again, and keep its reads."""
        done: Queue[StoreError | None] = Queue()
        self._keeper.put(Refused(batch_id, why, done))
        _told(done)

    def cut(self, batch_id: str, limit_bytes: int) -> bool:
        """Queue the reads of this batch again, for batches of about *limit_bytes*; whether that could be."""
        self._cut_to = max(limit_bytes, LEAST_BATCH_BYTES)
        done: Queue[bool | StoreError] = Queue()
        self._keeper.put(Cut(batch_id, done))
        return _told(done)


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
        *,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """*book* and *access_log* None: nothing but reads is sent. *may_send*: whether the network in use
        carries these reads; the other two are small, and always go."""
        self._may_send = may_send
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
        if not self._may_send():
            return HELD_BACK_S
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

    def look_again(self) -> None:
        """Something was stored: look for it now, unless the present wait is after a failure."""
        self._session.look_again()
