"""Seals reads as they come, each with what lets the unit find and open it inside its local window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from camera.frame import Moment
from edge.pipeline import ReadWithHits
from edge.window_slots import Slots
from sync.batch import SealedEpoch, SealedRead
from sync.config import RetentionConfig
from sync.errors import DiskFullError
from sync.outbox_window import WindowPart
from sync.record import encode_record
from sync.seal import EpochSealer
from sync.window import Slot, index_rows

EPOCH_LENGTH_S = 3600.0
"""A leaked epoch key opens one hour's reads, not a month's."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A read ready to be stored."""

    read: SealedRead
    epoch: SealedEpoch
    slot: Slot | None
    """None: the unit keeps nothing to open it with."""
    wrapped: bytes = field(repr=False)
    rows: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """Of the window's index."""
    hit: bool = False
    """It goes before others: a hit, or what corrects one."""
    passing: bool = False
    """It is never sent, and the epoch's key stands nowhere but in `wrapped`."""


@dataclass(frozen=True, slots=True)
class _Epoch:
    sealer: EpochSealer
    slot: Slot | None
    wrapped: bytes = field(repr=False)
    since_ns: int
    passing: bool = False


class Sealing:
    """Holds the epochs that are open: one, or one for hits and one for other reads where their windows
    differ. For the keeper's thread alone."""

    def __init__(
        self,
        unit_id: str,
        department: X25519PublicKey,
        retention: RetentionConfig,
        slots: Slots,
        has_token: Callable[[int, bytes], bool],
    ) -> None:
        """*has_token* says whether a token stands in the stored index of a slot."""
        self._unit_id = unit_id
        self._department = department
        self._retention = retention
        self._slots = slots
        self._has_token = has_token
        self._epochs: dict[tuple[bool, bool], _Epoch] = {}
        """By whether it is of hits, and whether of reads that are never sent."""
        self._counts: dict[int, dict[bytes, int]] = {}
        """How many reads of each slot have each label."""

    def seal(self, item: ReadWithHits, now: Moment) -> Sealed:
        """Return *item* sealed under the epoch that is open at *now*."""
        return self._sealed(item, self._epoch(now, hit=bool(item.hits) or not self._apart))

    def seal_passing(self, item: ReadWithHits, now: Moment) -> Sealed | None:
        """Return *item*, which is never sent, sealed under a key that its slot of the window alone guards;
        None where it has no window: then it is not to be stored."""
        epoch = self._epoch(now, hit=False, passing=True)
        return None if epoch.slot is None else self._sealed(item, epoch)

    def follow(self, retention: RetentionConfig) -> None:
        """Go by *retention* from now on; the slots are told on their own."""
        self._retention = retention
        self._epochs = {}

    def _sealed(self, item: ReadWithHits, epoch: _Epoch) -> Sealed:
        record = encode_record(
            self._unit_id, item.read, item.hits, context=item.context, incident=item.incident
        )
        rows: tuple[tuple[bytes, bytes], ...] = ()
        if epoch.slot is not None:
            try:
                rows = index_rows(epoch.slot, item.read, self._next_count)
            except DiskFullError as error:
                # The read itself is worth more than that the unit can find it.
                log.error("window.not_indexed", read=item.read.read_id, why=str(error))
        sealed = epoch.sealer.seal(item.read.read_id, record)
        return Sealed(
            sealed,
            epoch.sealer.epoch,
            epoch.slot,
            epoch.wrapped,
            rows,
            hit=bool(item.hits),
            passing=epoch.passing,
        )

    def window_part(self, group: Sequence[Sealed]) -> WindowPart | None:
        """Return what is stored of the window with *group*, which is of one epoch; None if its time is over:
        the disk was full for longer than that."""
        slot = group[0].slot
        if slot is None or slot not in self._slots.alive:
            return None
        return WindowPart(slot.number, group[0].wrapped, tuple(row for each in group for row in each.rows))

    def expire(self, now: Moment) -> None:
        """Let go of the keys of epochs whose hour is over, also where no further read comes."""
        self._epochs = {
            kind: epoch
            for kind, epoch in self._epochs.items()
            if now.monotonic_ns - epoch.since_ns < EPOCH_LENGTH_S * 1e9
            and (epoch.slot is None or epoch.slot in self._slots.alive)
        }

    @property
    def _apart(self) -> bool:
        return self._retention.non_hit_window_min is not None

    def _epoch(self, now: Moment, *, hit: bool, passing: bool = False) -> _Epoch:
        self.expire(now)
        slot = self._slots.at(now, hit=hit)
        held = self._epochs.get((hit, passing))
        if held is None or held.slot != slot:
            sealer = EpochSealer(self._unit_id, None if passing else self._department)
            wrapped = b"" if slot is None else sealer.wrapped(slot.wrapping_key)
            held = self._epochs[hit, passing] = _Epoch(sealer, slot, wrapped, now.monotonic_ns, passing)
        return held

    def _next_count(self, slot: Slot, label: bytes) -> int:
        if slot.number not in self._counts:
            alive = {each.number for each in self._slots.alive}
            self._counts = {number: held for number, held in self._counts.items() if number in alive}
            self._counts[slot.number] = {}
        counts = self._counts[slot.number]
        first = slot.token(label, 0)  # in the label's place: no plate is remembered here for a day
        count = counts.get(first)
        if count is None:
            # A slot may have been begun before a restart: go on where its stored index ends.
            count = 0
            while self._has_token(slot.number, slot.token(label, count)):
                count += 1
        counts[first] = count + 1
        return count
