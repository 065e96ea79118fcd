"""The store's one writer: seals reads, commits them, and alone writes to the outbox.

A hit is committed at once, any other read within `COMMIT_WITHIN_S`. When the disk runs short, the unit does
without what `retention.when_full` names, in its order; when it is full, recording stops with an alarm.
Nothing untransferred is ever deleted, but reads that are never to be sent: they go with their window.
"""

import dataclasses
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from queue import Empty, Queue
from typing import TypeVar

import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from edge.ballast import keep_ballast
from edge.clock import Clock
from edge.pipeline import ReadWithHits
from edge.sealing import Sealed, Sealing
from edge.status import StoreHealth
from edge.window_slots import Slots
from sync.batch import Batch, Receipt, SealedEpoch
from sync.config import FirstToGo, RetentionConfig, SyncConfig
from sync.errors import DiskFullError, ReceiptInvalidError
from sync.outbox import Counts, Outbox

COMMIT_WITHIN_S = 1.0
MAX_WAITING = 2000
"""Sealed reads held in memory while the disk is full, about ten minutes of a busy street."""
PURGE_EVERY_S = 60.0
SALVAGE_EVERY_S = 0.01
"""A step of a quarter of a megabyte at most so often, and not before as long as the last one took: between
two, everything else is done."""
MOST_CORRECTABLE = 200
"""Newest hits whose corrections are known as such; a correction follows within seconds."""

log = structlog.get_logger(__name__)

T = TypeVar("T")
StoreError = DiskFullError | ReceiptInvalidError
"""What the writer tells the asker and survives."""


@dataclass(frozen=True, slots=True)
class NextBatch:
    """Asks for the batch to send next; the answer, None for an empty outbox, is put into *reply*."""

    reply: Queue[Batch | StoreError | None]
    hits: bool | None = None
    """Of hits alone, or of other reads alone; None: of either."""
    limit_bytes: int | None = None
    """Most sealed bytes; None: as configured."""


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
class Cut:
    """A batch was too much for the network; *done* is answered with whether its reads are queued again."""

    batch_id: str
    done: Queue[bool | StoreError]


@dataclass(frozen=True, slots=True)
class Flush:
    """Commit what is held; *done* is answered once it is on the disk, or the disk is full."""

    done: Queue[None]


@dataclass(frozen=True, slots=True)
class Follow:
    """Keep reads by *retention* from now on."""

    retention: RetentionConfig


@dataclass(frozen=True, slots=True)
class Stop:
    """Commit what is held, purge what may go, and end."""


Message = ReadWithHits | NextBatch | Acknowledged | Refused | Cut | Flush | Follow | Stop


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
        slots: Slots,
        clock: Clock,
        alarm: Callable[[str], None],
        hit_stored: Callable[[], None] = lambda: None,
        salvaging: Iterator[int] | None = None,
        store_fault: str = "",
    ) -> None:
        """*slots* are those of the local window. *alarm* is called with a line for the officer, *hit_stored*
        whenever a hit was committed; they must return at once. *salvaging* (`sync.outbox_salvage`) is gone on
        with when nothing else is to be done. *store_fault*: why nothing can be stored, where the disk takes
        no writes; reads are then kept in memory, as many as there is room for."""
        self.queue: Queue[Message] = Queue()
        self.health = StoreHealth(recording=not store_fault, last_error=store_fault)
        with outbox.condemning():
            self.counts: Counts = outbox.counts()
        self.purged = 0
        self.commit_ms: list[float] = []
        self._unit_id = unit_id
        self._outbox = outbox
        self._slots = slots
        self._sealing = Sealing(unit_id, department, retention, slots, outbox.has_token)
        self._state_dir = state_dir
        self._retention = retention
        self._sync = sync
        self._clock = clock
        self._alarm = alarm
        self._hit_stored = hit_stored
        self._salvaging = salvaging
        self._store_fault = store_fault
        self._salvage_took_s = 0.0
        self._hit_ids: deque[str] = deque(maxlen=MOST_CORRECTABLE)
        self._waiting: list[Sealed] = []
        self._waiting_since_ns = 0
        self._purged_at_ns = clock.now().monotonic_ns
        # What the window of an earlier run left: its secrets are gone, and this goes before anything is read.
        with outbox.condemning():
            self._purge()

    @property
    def window_error(self) -> str:
        """Why look-up on the unit does not outlive a restart; empty where it does."""
        return self._slots.error

    def run(self, beat: Callable[[], None]) -> None:
        """Work until `Stop` comes; *beat* is called at least every second.

        Raises OutboxCorruptError if the store proves damaged: the next start sets it aside.
        """
        with self._outbox.condemning():
            while True:
                beat()
                try:
                    message = self.queue.get(timeout=min(self._patience_s(), self._salvage_pause_s))
                except Empty:
                    message = None
                    self.salvage_step()
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
        now = self._clock.now()
        self._sealing.expire(now)
        if self._slots.expire(now) or now.monotonic_ns - self._purged_at_ns >= PURGE_EVERY_S * 1e9:
            self._purge()

    def handle(self, message: Message) -> bool:
        """Act on *message*; return whether it was the last."""
        match message:
            case ReadWithHits():
                self._keep(message)
            case NextBatch():
                self._commit()
                hits, limit = message.hits, message.limit_bytes
                message.reply.put(_answered(lambda: self._next_batch(hits, limit)))
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
                    self._recount()
                    log.error("batch.refused", batch=batch_id, why=why)
            case Cut():
                cut = _answered(lambda: self._outbox.cut(message.batch_id))
                message.done.put(cut)
                if cut is True:
                    log.info("batch.cut", batch=message.batch_id, why="too much for the network")
            case Flush():
                self._commit()
                self._purge()
                message.done.put(None)
            case Follow():
                self._follow(message.retention)
            case Stop():
                self._commit()
                self._purge()
                return True
        return False

    def _next_batch(self, hits: bool | None, limit_bytes: int | None) -> Batch | None:
        return self._outbox.make_batch(
            unit_id=self._unit_id,
            limit_reads=self._sync.batch_reads,
            limit_bytes=min(self._sync.batch_bytes, limit_bytes or self._sync.batch_bytes),
            now=self._clock.now().utc,
            hits=hits,
        )

    def _follow(self, retention: RetentionConfig) -> None:
        self._commit()
        now = self._clock.now()
        self._retention = retention
        self._slots.follow(retention, now)
        self._sealing.follow(retention)
        self._slots.expire(now)
        self._purge()

    def _keep(self, item: ReadWithHits) -> None:
        free = shutil.disk_usage(self._state_dir).free
        read = item.read
        unpictured = FirstToGo.HIT_IMAGES if item.hits else FirstToGo.NON_HIT_IMAGES
        if read.evidence and unpictured in self._retention.done_without(free):
            item = dataclasses.replace(item, read=dataclasses.replace(read, evidence=b""))
            self._count(without_image=self.health.without_image + 1)
        if item.context and not self._retention.context_images:
            item = dataclasses.replace(item, context=b"")  # forbidden since it was made
        if item.context and FirstToGo.CONTEXT_IMAGES in self._retention.done_without(free):
            item = dataclasses.replace(item, context=b"")
            self._count(without_context=self.health.without_context + 1)
        if len(self._waiting) >= MAX_WAITING and self.health.recording:
            self._commit()  # they came in a rush, and the disk takes them
        if len(self._waiting) >= MAX_WAITING:
            self._count(lost=self.health.lost + 1)
            log.error("read.lost", read=read.read_id, why="disk full and memory reserve used up")
            return
        now = self._clock.now()
        sealed = (
            self._sealing.seal_passing(item, now) if self._passes(item) else self._sealing.seal(item, now)
        )
        if sealed is None:
            self._count(destroyed=self.health.destroyed + 1)
            return
        if self._belongs_to_a_hit(item):
            # The department must not believe the first until the car is back in the garage.
            sealed = dataclasses.replace(sealed, hit=True)
        if not self._waiting:
            self._waiting_since_ns = now.monotonic_ns
        self._waiting.append(sealed)
        if sealed.hit:
            self._hit_ids.append(read.read_id)
            self._count(hits=self.health.hits + len(item.hits))
            self._commit()

    def _passes(self, item: ReadWithHits) -> bool:
        """Whether *item* is never to be sent."""
        return not (self._retention.transfer_non_hits or self._belongs_to_a_hit(item))

    def _belongs_to_a_hit(self, item: ReadWithHits) -> bool:
        """Whether *item* is a hit, or corrects one."""
        return bool(item.hits) or item.read.revises in self._hit_ids

    def _commit(self) -> None:
        if not self._waiting:
            return
        started = self._clock.now()
        try:
            if self._store_fault:
                raise DiskFullError(self._store_fault)
            if shutil.disk_usage(self._state_dir).free < self._retention.stop_reserve_bytes:
                raise DiskFullError(
                    f"{self._state_dir}: less than {self._retention.stop_reserve_bytes} bytes are free; "
                    "transfer the reads (Wi-Fi or USB) or free the disk"
                )
            # Mostly one epoch and one transaction; two where hits and other reads are sealed apart.
            order: dict[str, int] = {}
            self._waiting.sort(key=lambda each: order.setdefault(each.epoch.epoch_id, len(order)))
            for epoch, group in groupby(tuple(self._waiting), key=lambda each: each.epoch):
                self._append(tuple(group), epoch, started.utc)
        except DiskFullError as error:
            self._waiting_since_ns = started.monotonic_ns  # tried again after COMMIT_WITHIN_S
            if self.health.recording:
                self._alarm("Recording stopped, disk full")
                log.error("store.full", why=str(error))
            self._count(recording=False, last_error=str(error))
            return
        self.commit_ms.append((self._clock.now().monotonic_ns - started.monotonic_ns) / 1e6)
        del self.commit_ms[:-1000]
        if not self.health.recording:
            self._alarm("Recording again")
        self._count(recording=True, last_error="")
        self._recount()

    def _append(self, group: Sequence[Sealed], epoch: SealedEpoch, now: datetime) -> None:
        reads = [each.read for each in group]
        window = self._sealing.window_part(group)
        hits = {each.read.read_id for each in group if each.hit}
        if not group[0].passing:
            self._outbox.append(reads, epoch, now, window, hits)
        elif window is None:
            # Its time was over before the disk took it.
            del self._waiting[: len(reads)]
            self._destroyed(len(reads))
            return
        else:
            self._outbox.append_passing(reads, epoch, window)
        # The names are given out only now: what stands in the log is on the disk.
        log.info("reads.stored", reads=[read.read_id for read in reads])
        del self._waiting[: len(reads)]
        self._count(stored=self.health.stored + len(reads))
        if hits:
            self._hit_stored()

    def _destroyed(self, reads: int) -> None:
        if reads:
            log.info("reads.destroyed", reads=reads, why="no hit; never sent")
            self._count(destroyed=self.health.destroyed + reads)

    def _purge(self) -> None:
        now = self._clock.now()
        self._purged_at_ns = now.monotonic_ns
        keep_ballast(self._state_dir, self._retention.stop_reserve_bytes)
        free = shutil.disk_usage(self._state_dir).free
        early = FirstToGo.ACKNOWLEDGED_READS in self._retention.done_without(free)
        gone = _answered(lambda: self._leave(early=early))
        if isinstance(gone, StoreError):
            log.error("purge.failed", why=str(gone))
            return
        self.purged += gone
        if gone:
            log.info("reads.purged", reads=gone, early=early)
        self._recount()

    def _leave(self, *, early: bool) -> int:
        alive = {slot.number for slot in self._slots.alive}
        self._destroyed(self._outbox.forget(self._outbox.window_slots() - alive))
        return self._outbox.purge(early=early)

    @property
    def _salvage_pause_s(self) -> float:
        return COMMIT_WITHIN_S if self._salvaging is None else max(SALVAGE_EVERY_S, self._salvage_took_s)

    def salvage_step(self) -> None:
        """Take the next few reads back out of a damaged file, where there is one: for when nothing else is to
        be done. While room is short, reads to come need it."""
        salvaging = self._salvaging
        if salvaging is None:
            return
        started_ns = self._clock.now().monotonic_ns
        try:
            free = shutil.disk_usage(self._state_dir).free
            if self._retention.done_without(free) or free < 2 * self._retention.stop_reserve_bytes:
                raise DiskFullError(f"{self._state_dir}: room is short; transfer the reads, then restart")
            brought = next(salvaging)
        except StopIteration:
            self._salvaging = None
            log.warning("store.salvaged", reads=self.health.salvaged)
        except (DiskFullError, OSError) as error:
            self._salvaging = None
            log.error("store.not_salvaged", why=f"{error}; tried again at the next start")
        else:
            if brought:
                self._count(salvaged=self.health.salvaged + brought)
                self._recount()
        self._salvage_took_s = (self._clock.now().monotonic_ns - started_ns) / 1e9

    def _recount(self) -> None:
        self.counts = self._outbox.counts()
        if (damaged := self.counts.damaged) != self.health.damaged:
            log.error("reads.damaged", reads=damaged, why="their bytes changed on the disk; replace it")
            self._count(damaged=damaged)

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
