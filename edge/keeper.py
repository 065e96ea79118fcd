"""The store's one writer: seals reads, commits them, and alone touches the outbox.

A hit is committed at once, any other read within `COMMIT_WITHIN_S`. When the disk runs short, pictures are
left out first; when it is full, recording stops with an alarm. Nothing untransferred is ever deleted.
"""

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import TypeVar

import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from edge.clock import Clock
from edge.pipeline import ReadWithHits
from edge.status import StoreHealth
from sync.batch import Batch, Receipt, SealedRead
from sync.config import RetentionConfig, SyncConfig
from sync.errors import DiskFullError, ReceiptInvalidError
from sync.outbox import Counts, Outbox
from sync.record import encode_record
from sync.seal import EpochSealer

COMMIT_WITHIN_S = 1.0
EPOCH_LENGTH_S = 3600.0
"""A leaked epoch key opens one hour's reads, not a month's."""
MAX_WAITING = 2000
"""Sealed reads held in memory while the disk is full, about ten minutes of a busy street."""
PURGE_EVERY_S = 60.0

log = structlog.get_logger(__name__)

T = TypeVar("T")
StoreError = DiskFullError | ReceiptInvalidError
"""What the writer tells the asker and survives."""


@dataclass(frozen=True, slots=True)
class NextBatch:
    """Asks for the batch to send next; the answer, None for an empty outbox, is put into *reply*."""

    reply: Queue[Batch | StoreError | None]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A receipt came and was verified; *done* is answered once it is on the disk."""

    receipt: Receipt
    data: bytes
    """As it came, kept as the proof."""
    done: Queue[StoreError | None]


@dataclass(frozen=True, slots=True)
class Refused:
    """The server refused a batch for good; *done* is answered once it is set aside."""

    batch_id: str
    why: str
    done: Queue[StoreError | None]


@dataclass(frozen=True, slots=True)
class Flush:
    """Commit what is held; *done* is answered once it is on the disk, or the disk is full."""

    done: Queue[None]


@dataclass(frozen=True, slots=True)
class Stop:
    """Commit what is held, purge what may go, and end."""


Message = ReadWithHits | NextBatch | Acknowledged | Refused | Flush | Stop


class Keeper:
    """Runs in a thread of its own; others talk to it through its queue and read its health."""

    def __init__(
        self,
        *,
        unit_id: str,
        department: X25519PublicKey,
        outbox: Outbox,
        state_dir: Path,
        retention: RetentionConfig,
        sync: SyncConfig,
        clock: Clock,
        alarm: Callable[[str], None],
    ) -> None:
        """*alarm* is called with a line for the officer; it must return at once."""
        self.queue: Queue[Message] = Queue()
        self.health = StoreHealth()
        self.counts: Counts = outbox.counts()
        self.purged = 0
        self.commit_ms: list[float] = []
        self._unit_id = unit_id
        self._department = department
        self._outbox = outbox
        self._state_dir = state_dir
        self._retention = retention
        self._sync = sync
        self._clock = clock
        self._alarm = alarm
        self._sealer = EpochSealer(unit_id, department)
        self._epoch_since_ns = clock.now().monotonic_ns
        self._waiting: list[SealedRead] = []
        self._waiting_since_ns = 0
        self._purged_at_ns = 0

    def run(self, beat: Callable[[], None]) -> None:
        """Work until `Stop` comes; *beat* is called at least every second."""
        while True:
            beat()
            try:
                message = self.queue.get(timeout=self._patience_s())
            except Empty:
                message = None
            if message is not None and self.handle(message):
                return
            self.due()

    def close(self) -> None:
        """Let go of the store, once the thread has ended."""
        self._outbox.close()

    def due(self) -> None:
        """Do what its time has come for: commit what waited long enough, purge."""
        if self._waiting and self._patience_s() <= 0:
            self._commit()
        if self._clock.now().monotonic_ns - self._purged_at_ns >= PURGE_EVERY_S * 1e9:
            self._purge()

    def handle(self, message: Message) -> bool:
        """Act on *message*; return whether it was the last."""
        match message:
            case ReadWithHits():
                self._keep(message)
            case NextBatch():
                self._commit()
                message.reply.put(_answered(self._next_batch))
            case Acknowledged():
                receipt, data = message.receipt, message.data
                outcome = _answered(lambda: self._outbox.accept(receipt, data))
                message.done.put(outcome)
                if outcome is None:
                    log.info("batch.acknowledged", batch=receipt.batch_id, reads=receipt.reads)
                    self._purge()
            case Refused():
                batch_id, why = message.batch_id, message.why
                outcome = _answered(lambda: self._outbox.set_aside(batch_id, why))
                message.done.put(outcome)
                if outcome is None:
                    self.counts = self._outbox.counts()
                    log.error("batch.refused", batch=batch_id, why=why)
            case Flush():
                self._commit()
                self._purge()
                message.done.put(None)
            case Stop():
                self._commit()
                self._purge()
                return True
        return False

    def _next_batch(self) -> Batch | None:
        return self._outbox.make_batch(
            unit_id=self._unit_id,
            limit_reads=self._sync.batch_reads,
            limit_bytes=self._sync.batch_bytes,
            now=self._clock.now().utc,
        )

    def _keep(self, item: ReadWithHits) -> None:
        free = shutil.disk_usage(self._state_dir).free
        read = item.read
        if free < self._retention.image_reserve_bytes and read.evidence:
            read = dataclasses.replace(read, evidence=b"")
            self._count(without_image=self.health.without_image + 1)
        if len(self._waiting) >= MAX_WAITING:
            self._count(lost=self.health.lost + 1)
            log.error("read.lost", read=read.read_id, why="disk full and memory reserve used up")
            return
        if not self._waiting:
            self._waiting_since_ns = self._clock.now().monotonic_ns
        self._roll_epoch()
        self._waiting.append(self._sealer.seal(read.read_id, encode_record(self._unit_id, read, item.hits)))
        if item.hits:
            self._count(hits=self.health.hits + len(item.hits))
            self._commit()

    def _roll_epoch(self) -> None:
        now_ns = self._clock.now().monotonic_ns
        if now_ns - self._epoch_since_ns >= EPOCH_LENGTH_S * 1e9:
            self._commit()
        # Only with nothing waiting: reads of one commit belong to one epoch.
        if now_ns - self._epoch_since_ns >= EPOCH_LENGTH_S * 1e9 and not self._waiting:
            self._sealer = EpochSealer(self._unit_id, self._department)
            self._epoch_since_ns = now_ns

    def _commit(self) -> None:
        if not self._waiting:
            return
        started = self._clock.now()
        try:
            if shutil.disk_usage(self._state_dir).free < self._retention.stop_reserve_bytes:
                raise DiskFullError(
                    f"{self._state_dir}: less than {self._retention.stop_reserve_bytes} bytes are free; "
                    "transfer the reads (Wi-Fi or USB) or free the disk"
                )
            self._outbox.append(self._waiting, self._sealer.epoch, started.utc)
        except DiskFullError as error:
            self._waiting_since_ns = started.monotonic_ns  # tried again after COMMIT_WITHIN_S
            if self.health.recording:
                self._alarm("Recording stopped, disk full")
                log.error("store.full", why=str(error))
            self._count(recording=False, last_error=str(error))
            return
        # The names are given out only now: what stands in the log is on the disk.
        log.info("reads.stored", reads=[read.read_id for read in self._waiting])
        self.commit_ms.append((self._clock.now().monotonic_ns - started.monotonic_ns) / 1e6)
        del self.commit_ms[:-1000]
        stored = self.health.stored + len(self._waiting)
        self._waiting = []
        if not self.health.recording:
            self._alarm("Recording again")
        self._count(stored=stored, recording=True, last_error="")
        self.counts = self._outbox.counts()

    def _purge(self) -> None:
        now = self._clock.now()
        self._purged_at_ns = now.monotonic_ns
        window = timedelta(hours=self._retention.local_window_h)
        gone = _answered(lambda: self._outbox.purge(now.utc, window))
        if isinstance(gone, StoreError):
            log.error("purge.failed", why=str(gone))
            return
        self.purged += gone
        if gone:
            log.info("reads.purged", reads=gone)
        self.counts = self._outbox.counts()

    def _patience_s(self) -> float:
        if not self._waiting:
            return COMMIT_WITHIN_S
        waited_s = (self._clock.now().monotonic_ns - self._waiting_since_ns) / 1e9
        return max(0.0, COMMIT_WITHIN_S - waited_s)

    def _count(self, **changes: object) -> None:
        free = shutil.disk_usage(self._state_dir).free
        self.health = dataclasses.replace(self.health, free_bytes=free, **changes)  # type: ignore[arg-type]


def _answered(act: Callable[[], T]) -> T | StoreError:
    """Return what *act* does, or why it could not be done: the asker is told, and the writer goes on.

    A damaged file is not among these errors: it ends the thread, and the next start sets the file aside.
    """
    try:
        return act()
    except (DiskFullError, ReceiptInvalidError) as error:
        return error
