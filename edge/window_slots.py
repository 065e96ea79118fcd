"""Which slots of the local window are in force: when one begins, when it is destroyed, what a restart finds.

The wall clock may jump. A slot ends when it shows the slot's end, or when so much time has really passed
(CLOCK_MONOTONIC), whichever comes first: a clock set back lengthens no window while the daemon runs, and from
one start to the next by no more than one window. A clock set forward ends slots early; the department has
what was in them. What was destroyed is not there to come back.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from camera.frame import Moment
from edge.errors import WindowLostError
from edge.window_file import SlotFile
from sync import wire
from sync.config import RetentionConfig
from sync.window import LEAST_KEPT_S, Slot, new_slot, slot_end

RETRY_AFTER_NS = 60 * 1_000_000_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    slot: Slot
    deadline_ns: int
    """CLOCK_MONOTONIC."""
    kept: bool
    """In the file, and not in memory alone."""
    others_only: bool = False
    """No hit hangs on it, as far as this run knows."""


class Slots:
    """One thread, the keeper's, makes and destroys slots; `alive` and `error` may be asked by any."""

    def __init__(self, retention: RetentionConfig, file: SlotFile, now: Moment) -> None:
        """Take up the slots that an earlier run left in *file* and whose time is not over at *now*.

        What cannot be read or kept is said in `error` and leaves the window in memory alone.
        """
        self.error = ""
        """Why the window does not outlive the daemon, in one line for the technician; empty where it does."""
        self._retention = retention
        self._file = file
        self._held: tuple[_Held, ...] = ()
        self._unsaved, self._saved_ns = False, now.monotonic_ns
        try:
            found = file.load()
        except (OSError, WindowLostError) as error:
            self._say(error)
            self._unsaved, found = True, ()
        longest_s = retention.window_s(hit=True)
        now_s = wire.seconds(now.utc)
        # Never more than a window from now: of a slot that was made while the clock was far ahead, too.
        left = found if retention.window_outlives_restart else ()
        capped = [replace(slot, ends=min(slot.ends, now_s + longest_s)) for slot in left]
        self._held = tuple(
            _Held(slot, _deadline(slot, now_s, now), kept=True) for slot in capped if slot.ends > now_s
        )
        if self._unsaved or not file.settled or tuple(held.slot for held in self._held) != found:
            self._save(now)

    @property
    def alive(self) -> tuple[Slot, ...]:
        """The slots whose secrets are still held, the last to end first."""
        slots = (held.slot for held in self._held)
        return tuple(sorted(slots, key=lambda slot: slot.ends, reverse=True))

    def at(self, now: Moment, *, hit: bool) -> Slot | None:
        """Return the slot for a read stored at *now*, a new one where it must be; None: without a window.

        A new one that is to outlive the daemon is on the disk when this returns: before anything hangs on it.
        """
        window_s = self._retention.window_s(hit=hit)
        if not window_s:
            return None
        now_s = wire.seconds(now.utc)
        ends = slot_end(now_s, window_s)
        kept = window_s >= LEAST_KEPT_S and self._retention.window_outlives_restart
        for held in self._held:
            if held.slot.ends == ends and held.kept is kept:
                if hit and held.others_only:
                    self._held = tuple(
                        replace(each, others_only=False) if each is held else each for each in self._held
                    )
                return held.slot
        slot = new_slot(ends)
        self._held = (*self._held, _Held(slot, _deadline(slot, now_s, now), kept, others_only=not hit))
        if kept:
            self._save(now)
        return slot

    def follow(self, retention: RetentionConfig, now: Moment) -> None:
        """Go by *retention* from now on. A shorter window also holds for what is stored already; a longer one
        does not: nothing is kept longer than was said when it was stored."""
        self._retention = retention
        now_s = wire.seconds(now.utc)
        capped = []
        for held in self._held:
            longest_s = retention.window_s(hit=not held.others_only)
            slot = replace(held.slot, ends=min(held.slot.ends, now_s + longest_s))
            deadline_ns = min(held.deadline_ns, _deadline(slot, now_s, now))
            kept = held.kept and retention.window_outlives_restart
            capped.append(_Held(slot, deadline_ns, kept, held.others_only))
        changed = tuple(capped) != self._held
        self._held = tuple(capped)
        if changed:
            self._save(now)

    def expire(self, now: Moment) -> bool:
        """Destroy the secrets whose time is over at *now*; return whether there were any.

        In memory this cannot fail. Where the disk or the TPM refuses, `error` says so, and it is tried again
        after a minute.
        """
        left = tuple(held for held in self._held if not _over(held, now.utc, now.monotonic_ns))
        gone = len(self._held) - len(left)
        kept_gone = any(held.kept for held in self._held if held not in left)
        self._held = left
        if kept_gone or (self._unsaved and now.monotonic_ns - self._saved_ns >= RETRY_AFTER_NS):
            self._save(now)
        if gone:
            log.info("window.closed", slots=gone)
        return gone > 0

    def _save(self, now: Moment) -> None:
        self._saved_ns = now.monotonic_ns
        try:
            self._file.replace([held.slot for held in self._held if held.kept])
            self._unsaved, self.error = False, ""
        except (OSError, WindowLostError) as error:
            self._unsaved = True
            self._say(error)

    def _say(self, error: OSError | WindowLostError) -> None:
        why = str(error) if isinstance(error, WindowLostError) else f"window keys: {error.strerror or error}"
        if why != self.error:
            log.error("window.not_kept", why=why)
        self.error = why


def _deadline(slot: Slot, now_s: int, now: Moment) -> int:
    return now.monotonic_ns + (slot.ends - now_s) * 1_000_000_000


def _over(held: _Held, utc: datetime, monotonic_ns: int) -> bool:
    return wire.seconds(utc) >= held.slot.ends or monotonic_ns >= held.deadline_ns
