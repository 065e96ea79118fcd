"""Which hits the officer is told of, how loudly, and how often."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Priority
from hotlist_cache.hit import Alert, HotlistHit, ListAge, Outcome, StateMatch
from recognizer.plate import Plate


class AlertPolicy:
    """Decides on hits in the order in which they happen. Remembers in memory alone. Not for several threads.

    A hit in another state than the entry's, too unlikely or a known false one, is no alert. The same plate
    and entry alert again only after the cooldown, unless more loudly than before; another plate or another
    entry always does: one sound for all hits of a while has silenced a second, different one elsewhere.
    """

    def __init__(
        self,
        config: HotlistConfig,
        new_id: Callable[[], str],
        suppresses: Callable[[HotlistHit, datetime], bool] = lambda hit, now: False,
    ) -> None:
        """*new_id* gives a new random id at each call; *suppresses* says which hits are known false ones."""
        self._suppresses = suppresses
        self._config = config
        self._new_id = new_id
        self._cooldown = timedelta(seconds=config.cooldown_s)
        self._told: dict[tuple[Plate, str], tuple[datetime, Priority]] = {}

    def decide(self, hit: HotlistHit, now: datetime) -> Alert | None:
        """Return the alert that *hit* is at *now* (aware UTC), None if it is not to be one."""
        if hit.state is StateMatch.DIFFERENT or hit.outcome is Outcome.NONE:
            return None
        if self._suppresses(hit, now):
            return None
        stale = self._is_stale(hit.list_age, now)
        priority = self._priority(hit, stale)
        key = (hit.read.plate, hit.entry.entry_id)
        if self._was_told(key, priority, now):
            return None
        self._forget(now)
        self._told[key] = (now, priority)
        return Alert(self._new_id(), hit, priority, raised_at=hit.read.settled.utc, advisory_only=stale)

    def corrected(self, alert: Alert) -> None:
        """Take *alert* as never told: it no longer holds, and its plate may be read of another vehicle."""
        self._told.pop((alert.hit.read.plate, alert.hit.entry.entry_id), None)

    def _priority(self, hit: HotlistHit, stale: bool) -> Priority:
        """The entry's, or one below it if there is any doubt; doubts do not add up."""
        doubtful = (
            stale
            or hit.state is StateMatch.UNKNOWN
            or hit.outcome is not Outcome.HIT
            or hit.read.confidence < self._config.sure_confidence
            or hit.read.frames < self._config.sure_frames
        )
        return Priority(max(Priority.LOW, hit.entry.priority - doubtful))

    def _is_stale(self, age: ListAge, now: datetime) -> bool:
        if age.expires_at is not None and now >= age.expires_at:
            return True
        if age.snapshot_sequence == 0:
            return False
        # Issued in the future: the clock is wrong, and the list's age unknown.
        behind = timedelta(seconds=-self._config.max_clock_lead_s)
        return not behind <= age.age(now) <= timedelta(hours=self._config.max_age_h)

    def _was_told(self, key: tuple[Plate, str], priority: Priority, now: datetime) -> bool:
        told = self._told.get(key)
        # Told in the future: the clock was set back. An alert too many is better than one too few.
        return told is not None and timedelta() <= now - told[0] < self._cooldown and priority <= told[1]

    def _forget(self, now: datetime) -> None:
        over = [key for key, (at, _) in self._told.items() if not timedelta() <= now - at < self._cooldown]
        for key in over:
            del self._told[key]
