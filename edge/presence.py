"""What the unit tells the department of itself, and when: by the broker, or by HTTPS where none is reached.

The document is `sync.unit_status`'. It is made anew at once when something changed that a person would act
on, and each minute for its numbers; so it costs a few kilobytes an hour while the car stands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import PackageNotFoundError, version

import structlog

from camera.frame import Moment
from edge.clock import Clock
from edge.status import Status
from recognizer.pack import Pack
from sync.errors import RefusedError, UnreachableError
from sync.unit_status import CameraWord, UnitStatus, encode_status

RENEW_EVERY_S = 60.0
HTTPS_EVERY_S = 300.0
HTTPS_SOONEST_S = 30.0
"""After the last one, when something changed: a camera that comes and goes must not be told each time."""
REFUSED_WAIT_S = 3600.0
"""A server that refuses is of an older version, or refuses the unit: a person must act first."""
_DISTRIBUTION = "alpr-edge"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the unit runs, the same from start to end."""

    software: str
    pack: str
    detector: str
    reader: str


def equipment(pack: Pack) -> Equipment:
    """Return what runs here, with *pack* in use."""
    try:
        software = version(_DISTRIBUTION)
    except PackageNotFoundError:  # run from a copy of the source
        software = "not installed"
    return Equipment(software, pack.name, pack.detector.weights.sha256[:12], pack.reader.weights.sha256[:12])


class Presence:
    """The main thread calls `see`, the broker's takes `document`, the upload thread calls `bring`."""

    def __init__(
        self, equipped: Equipment, clock: Clock, send: Callable[[bytes], None] | None = None
    ) -> None:
        """*send* brings a document by HTTPS and raises UnreachableError or RefusedError; None: no server."""
        self.document = b""
        """The newest; empty before the first."""
        self._equipped = equipped
        self._clock = clock
        self._send = send
        self._day: date | None = None
        self._before = (0, 0)
        """Reads and hits that were counted before this day."""
        self._counts = (0, 0)
        self._pressing: object = None
        self._made_at_ns = 0
        self._sent_for: object = None
        self._sent_at_ns: int | None = None
        self._wait_s = HTTPS_EVERY_S

    def see(self, status: Status, now: Moment) -> None:
        """Take note of how the unit stands *now*; `document` follows at once, or within a minute."""
        if self._day != now.utc.date():
            # Before the first there is none: those few reads are of this day. When GPS puts a wrong date
            # right, what was read before it counts for no day.
            self._before = self._counts
            self._day = now.utc.date()
        self._counts = (status.reads, status.hits)
        pressing = _pressing(status)
        due = now.monotonic_ns - self._made_at_ns >= RENEW_EVERY_S * 1e9
        if self.document and pressing == self._pressing and not due:
            return
        self.document = encode_status(self._status(status, now))
        self._pressing, self._made_at_ns = pressing, now.monotonic_ns

    def bring(self, *, told: bool) -> None:
        """Send the document by HTTPS if that is due; never when it is *told* to a broker already."""
        document, pressing = self.document, self._pressing
        if self._send is None or told or not document:
            return
        now_ns = self._clock.now().monotonic_ns
        if self._sent_at_ns is not None:
            since_s = (now_ns - self._sent_at_ns) / 1e9
            changed = pressing != self._sent_for and self._wait_s == HTTPS_EVERY_S
            if since_s < (HTTPS_SOONEST_S if changed else self._wait_s):
                return
        self._sent_at_ns, self._sent_for, self._wait_s = now_ns, pressing, HTTPS_EVERY_S
        try:
            self._send(document)
        except RefusedError as error:
            self._wait_s = REFUSED_WAIT_S
            log.warning("status.refused", why=str(error))
        except UnreachableError as error:
            # Uploads say so too, and wait with more patience; a status is out of date before it is missed.
            log.info("status.not_sent", why=str(error))

    def _status(self, status: Status, now: Moment) -> UnitStatus:
        hotlist, transfer = status.hotlist, status.transfer
        equipped = self._equipped
        return UnitStatus(
            made_at=now.utc.replace(microsecond=0),
            started_at=(now.utc - timedelta(seconds=status.uptime_s)).replace(microsecond=0),
            software=equipped.software,
            pack=equipped.pack,
            detector=equipped.detector,
            reader=equipped.reader,
            cameras=tuple(CameraWord(c.name, c.state, c.reopened) for c in status.cameras),
            time_quality=status.time_quality,
            has_fix=status.has_fix,
            list_sequence=hotlist.sequence,
            list_age_h=hotlist.age_h,
            list_stale=hotlist.stale or not hotlist.sequence,
            urgent_entries=hotlist.urgent_entries,
            publication=hotlist.publication_version,
            queued=transfer.queued,
            refused=transfer.refused,
            days_left=transfer.days_left,
            level=transfer.level,
            recording=status.store.recording,
            free_bytes=status.store.free_bytes,
            day=now.utc.date(),
            reads_today=max(0, status.reads - self._before[0]),
            hits_today=max(0, status.hits - self._before[1]),
            fault_count=len(status.faults),
            faults=status.faults,
        )


def _pressing(status: Status) -> object:
    """Return what a person would act on, without the numbers that move by themselves."""
    return (
        tuple((camera.name, camera.state) for camera in status.cameras),
        status.time_quality,
        status.hotlist.sequence,
        status.hotlist.stale,
        status.hotlist.urgent_entries,
        status.transfer.level,
        status.transfer.refused,
        status.store.recording,
        len(status.faults),
    )
