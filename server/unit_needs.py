"""What of a unit needs a person, judged from what it last said and sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.unit_status import UnitStatus

SILENT_FROM_DAYS = 21
"""Reads must reach the department within 30 days (docs/policy.md); units warn from the 21st on."""
CERTIFICATE_DAYS = 30
LITTLE_DISK_BYTES = 2_000_000_000
NO_DISK_BYTES = 500_000_000
LIST_BEHIND = timedelta(hours=24)
"""A unit that was on the road since then would have had the newer list."""
_LOST = ("lost", "unreadable")
_RANK = {"bad": 0, "warn": 1}


@dataclass(frozen=True, slots=True)
class Need:
    """One thing."""

    kind: str
    """The same words for all units that need it: what the fleet's summary counts."""
    level: str
    """"bad": it does not do its work, or will not for long; "warn": somebody should look."""
    line: str
    """What is so of this unit. No plate, no place."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one unit. Times are aware UTC."""

    status: UnitStatus | None
    live: bool
    enrolled_at: datetime
    heard_at: datetime | None
    days_used: int
    """Of the 30-day clock."""
    certificate_expires_at: datetime
    newest_sequence: int
    """Of the list published last; 0: none."""
    newest_issued_at: datetime | None


def needs_of(facts: Facts, now: datetime) -> tuple[Need, ...]:
    """Return what the unit needs at *now*, the worst first."""
    found = [*_of_transfer(facts), *_of_certificate(facts, now)]
    if facts.status is not None:
        found += [
            *_of_recording(facts.status),
            *_of_list(facts.status, facts, now),
            *_of_equipment(facts.status, facts),
        ]
        if facts.status.fault_count and not found:
            lines = facts.status.faults or ("see its own page",)
            found.append(Need("other fault", "warn", lines[0]))
    return tuple(sorted(found, key=lambda need: _RANK[need.level]))


def _of_transfer(facts: Facts) -> Iterator[Need]:
    used, status = facts.days_used, facts.status
    if status is not None and status.refused:
        yield Need(
            "reads refused", "bad", f"the department refused {status.refused} reads, which stay on the unit"
        )
    if used < SILENT_FROM_DAYS:
        return
    if facts.heard_at is None:
        yield Need("never heard of", "warn", f"enrolled {used} days ago, and never heard of")
    elif status is not None and not status.queued:
        yield Need("silent", "warn", f"silent for {used} days; nothing waited when it was last heard")
    elif used >= 30:
        yield Need("transfer overdue", "bad", f"day {used} of 30: reads are overdue; bring it in now")
    else:
        level = "bad" if used >= 28 else "warn"
        yield Need("transfer due", level, f"day {used} of 30: connect it to the department")


def _of_certificate(facts: Facts, now: datetime) -> Iterator[Need]:
    left = (facts.certificate_expires_at - now).days
    if left < 0:
        yield Need("certificate ended", "bad", "its certificate ran out: enrol it again")
    elif left <= CERTIFICATE_DAYS:
        yield Need("certificate ends", "warn", f"its certificate ends in {left} days: enrol it again")


def _of_recording(status: UnitStatus) -> Iterator[Need]:
    if not status.recording:
        yield Need("not recording", "bad", "it does not store reads")
    if status.free_bytes < NO_DISK_BYTES:
        yield Need("disk full", "bad", f"{_gigabytes(status.free_bytes)} free: pictures are left out")
    elif status.free_bytes < LITTLE_DISK_BYTES:
        yield Need("disk nearly full", "warn", f"{_gigabytes(status.free_bytes)} free")


def _of_list(status: UnitStatus, facts: Facts, now: datetime) -> Iterator[Need]:
    if not status.list_sequence:
        yield Need("no hotlist", "bad", "it has no hotlist: no plate meets anything")
    elif status.list_stale:
        yield Need("list too old", "bad", f"list {status.list_sequence} is too old: alerts are advisory only")
    elif (
        status.list_sequence < facts.newest_sequence
        and facts.newest_issued_at is not None
        and now - facts.newest_issued_at >= LIST_BEHIND
    ):
        yield Need(
            "list behind", "warn", f"it has list {status.list_sequence}, published is {facts.newest_sequence}"
        )


def _of_equipment(status: UnitStatus, facts: Facts) -> Iterator[Need]:
    lost = [camera.name for camera in status.cameras if camera.state in _LOST]
    if lost:
        yield Need("camera lost", "bad", f"no pictures from {', '.join(lost)}")
    if not status.cameras and facts.live:
        yield Need("no camera", "bad", "no camera gave a picture yet")
    # A car that stands in a garage has neither; only while it drives and tells is it a fault.
    if facts.live and not status.has_fix:
        yield Need("no GPS fix", "warn", "reads carry no place")
    if facts.live and status.time_quality == "unsynchronised":
        yield Need("time unsure", "warn", "neither network nor GPS time: reads say so")


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
