"""Incident mode: while it is on, each read that the unit makes carries the incident's number.

An officer begins it for a canvass around a major incident (policy D .03 C). It ends by a person, with the
shift of who began it, or when its hours are over, and lives in memory: after a restart, as after any, the
officer logs in anew and says anew what the reads are for. Both ends stand in the access log.
"""

import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from edge.access_log import AccessLog
from edge.clock import Clock
from edge.errors import LogUnwritableError
from sync.access_log import Deed
from sync.purposes import checked_incident
from sync.roster import Role

PURPOSE = "canvass"
LEAST_HOURS, MOST_HOURS = 0.25, 12.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Incident:
    """The incident that reads carry now."""

    number: str
    by: str
    """Name of the officer who began it."""
    began_at: datetime
    """Aware UTC, as the next."""
    ends_at: datetime
    ends_ns: int
    """CLOCK_MONOTONIC: the wall clock may jump."""
    reads: int = 0
    """Reads that carry it so far."""

    def left_min(self, monotonic_ns: int) -> float:
        """Minutes until it ends by itself, at that moment."""
        return max(0.0, (self.ends_ns - monotonic_ns) / 60e9)


class Incidents:
    """Whether there is one. The page begins and ends it, the models' thread marks reads, main looks at the
    time: may be used by several threads."""

    def __init__(self, access_log: AccessLog | None, clock: Clock) -> None:
        """*access_log* None: there is no page, and none can be begun."""
        self._log = access_log
        self._clock = clock
        self._lock = threading.Lock()
        self._now: Incident | None = None

    @property
    def current(self) -> Incident | None:
        """The one that is on."""
        with self._lock:
            return self._now if self._holds() else None

    def begin(
        self, number: str, hours: float, *, by: str, role: Role, latest_ns: int | None = None
    ) -> Incident:
        """Mark reads with *number* for so many hours, once that stands in the access log; not beyond
        *latest_ns* (CLOCK_MONOTONIC), when the login of who began it ends by itself, seen or not.

        Raises ValueError with what to tell the person, LogUnwritableError.
        """
        number = checked_incident(number)
        # Written so that "nan" is refused too.
        if not LEAST_HOURS <= hours <= MOST_HOURS:
            raise ValueError(f"It lasts from a quarter of an hour to {MOST_HOURS:.0f} hours.")
        self.look()
        with self._lock:
            if self._now is not None:
                raise ValueError(f"Incident {self._now.number} is on: end it first.")
            now = self._clock.now()
            if latest_ns is not None:
                hours = max(0.0, min(hours, (latest_ns - now.monotonic_ns) / 3600e9))
            lasting = timedelta(hours=hours)
            begun = Incident(number, by, now.utc, now.utc + lasting, now.monotonic_ns + int(hours * 3600e9))
            detail = {
                "hours": f"{hours:.2f}".rstrip("0").rstrip("."),
                "until": begun.ends_at.isoformat(timespec="seconds"),
            }
            self._append(begun, "incident.begin", by, role.value, detail)
            self._now = begun
        log.info("incident.begun", hours=hours)
        return begun

    def end(self, why: str, *, by: str, role: str) -> None:
        """Mark reads no more. Raises LogUnwritableError, and it is over all the same."""
        with self._lock:
            ended, self._now = self._now, None
            if ended is None:
                return
            self._append(ended, "incident.end", by, role, {"why": why, "reads": str(ended.reads)})
        log.info("incident.ended", why=why, reads=ended.reads)

    def end_of_shift(self, name: str) -> None:
        """End it if *name* began it: that person's login is over. Raises LogUnwritableError."""
        if (current := self.current) is not None and current.by == name:
            self.end("end of shift", by="unit", role="unit")

    def look(self) -> None:
        """End it if its hours are over."""
        with self._lock:
            over = self._now is not None and not self._holds()
        if over:
            try:
                self.end("its hours are over", by="unit", role="unit")
            except LogUnwritableError as error:
                log.error("access_log.unwritable", why=str(error))

    def mark(self) -> str:
        """Return the number that a read made now carries, "" if none, and count the read."""
        with self._lock:
            if self._now is None or not self._holds():
                return ""
            self._now = replace(self._now, reads=self._now.reads + 1)
            return self._now.number

    def _holds(self) -> bool:
        return self._now is not None and self._clock.now().monotonic_ns < self._now.ends_ns

    def _append(self, incident: Incident, action: str, by: str, role: str, detail: dict[str, str]) -> None:
        if self._log is not None:
            self._log.append(
                Deed(by, role, action, purpose=PURPOSE, case_number=incident.number, detail=detail)
            )
