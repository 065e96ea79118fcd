"""What happens to a frame; read this first.

A frame becomes candidates, candidates become a read once per passing vehicle, a read meets the hotlist,
a hit may become an alert. Nothing here touches a device, the disk, the network, a thread or the clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from camera.frame import Frame
from hotlist_cache.hit import Alert, Correction, HotlistHit, Outcome
from recognizer.read import PlateCandidate, PlateRead

_REMEMBERED = 100
"""Reads whose alerts are remembered for a correction: far more than listed vehicles are in view at once."""


class Recognises(Protocol):
    """Finds and reads the plates of one picture."""

    def candidates(self, frame: Frame) -> tuple[PlateCandidate, ...]: ...


class Tracks(Protocol):
    """Follows the plates of one camera over its frames; gives each passing vehicle one read, and one that
    revises it where later frames say otherwise."""

    def update(self, frame: Frame, candidates: Sequence[PlateCandidate]) -> tuple[PlateRead, ...]: ...

    def flush(self) -> tuple[PlateRead, ...]: ...


class Matches(Protocol):
    """Says which entries a read meets."""

    def match(self, read: PlateRead, now: datetime) -> tuple[HotlistHit, ...]: ...


class Decides(Protocol):
    """Says which hits the officer is told of."""

    def decide(self, hit: HotlistHit, now: datetime) -> Alert | None: ...

    def corrected(self, alert: Alert) -> None: ...


@dataclass(frozen=True, slots=True)
class ReadWithHits:
    """A read and every hit it made; they are stored together."""

    read: PlateRead
    hits: tuple[HotlistHit, ...]
    context: bytes = field(default=b"", repr=False)
    """JPEG of the scene; of hits alone, where it is wanted."""
    incident: str = ""
    """Number of the incident that was on as the read was made."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one frame brought forth."""

    candidates: tuple[PlateCandidate, ...]
    reads: tuple[ReadWithHits, ...]
    alerts: tuple[Alert, ...]
    corrections: tuple[Correction, ...] = ()
    """Alerts of earlier steps that no longer hold."""


class Pipeline:
    """Carries frames of several cameras as far as they go. Not for several threads at a time."""

    def __init__(
        self,
        recognizer: Recognises,
        new_tracker: Callable[[str], Tracks],
        hotlist: Matches | None,
        policy: Decides,
    ) -> None:
        """*new_tracker* makes a tracker for the camera of the name it is given.

        *hotlist* None means that no list is in force: reads are still made and kept.
        """
        self._recognizer = recognizer
        self._new_tracker = new_tracker
        self._trackers: dict[str, Tracks] = {}
        self._policy = policy
        self._told: dict[str, tuple[Alert, ...]] = {}
        """The alerts that hold, by read; of the newest reads that have any."""
        self.hotlist = hotlist

    def step(self, frame: Frame) -> Step:
        """Carry *frame* as far as it goes.

        A read is given out once per vehicle, when its track settles: it seldom belongs to this frame alone.
        One that revises it is matched anew, and alerts of the first that no longer hold are corrected.
        """
        candidates = self._recognizer.candidates(frame)
        if (tracker := self._trackers.get(frame.camera)) is None:
            tracker = self._trackers[frame.camera] = self._new_tracker(frame.camera)
        return self._decided(candidates, tracker.update(frame, candidates), frame.captured_at)

    def finish(self, now: datetime) -> Step:
        """Give out the reads of the tracks that still live, as at the end of a drive."""
        reads = tuple(read for tracker in self._trackers.values() for read in tracker.flush())
        return self._decided((), reads, now)

    def _decided(
        self, candidates: tuple[PlateCandidate, ...], reads: Sequence[PlateRead], now: datetime
    ) -> Step:
        met = tuple(ReadWithHits(read, self._hits(read, now)) for read in reads)
        alerts: list[Alert] = []
        corrections: list[Correction] = []
        for each in met:
            told = [a for hit in each.hits if (a := self._policy.decide(hit, now)) is not None]
            alerts += told
            corrections += self._corrected(each, told)
        return Step(candidates, met, tuple(alerts), tuple(corrections))

    def _corrected(self, item: ReadWithHits, told: Sequence[Alert]) -> list[Correction]:
        """Return which alerts no longer hold with *item*, and remember those that do."""
        read, before = item.read, self._told.pop(item.read.revises or "", ())
        met = {hit.entry.entry_id for hit in item.hits if hit.outcome is not Outcome.NONE}
        corrections = [
            Correction(alert, read, hit_gone=alert.hit.entry.entry_id not in met)
            for alert in before
            if alert.hit.entry.entry_id not in met or alert.hit.read.plate != read.plate
        ]
        for correction in corrections:
            self._policy.corrected(correction.alert)
        gone = {correction.alert.alert_id for correction in corrections}
        if holding := (*(alert for alert in before if alert.alert_id not in gone), *told):
            self._told[read.read_id] = holding
            if len(self._told) > _REMEMBERED:
                del self._told[next(iter(self._told))]
        return corrections

    def _hits(self, read: PlateRead, now: datetime) -> tuple[HotlistHit, ...]:
        return () if self.hotlist is None else self.hotlist.match(read, now)


def marked(alerts: Sequence[Alert], corrections: Sequence[Correction]) -> tuple[Alert, ...]:
    """Return *alerts* in their order, those that no longer hold marked as corrected."""
    gone = {correction.alert.alert_id for correction in corrections}
    return tuple(replace(a, corrected=True) if a.alert_id in gone else a for a in alerts)
