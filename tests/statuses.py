"""Statuses of units, for tests of both sides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sync.unit_status import CameraWord, UnitStatus, encode_status

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def a_status(**changes: object) -> UnitStatus:
    """Return the status of a unit that is in order; *changes* are made to it."""
    status = UnitStatus(
        made_at=AT,
        started_at=AT - timedelta(hours=5),
        software="0.1.0",
        pack="plates",
        detector="0123456789ab",
        reader="ba9876543210",
        cameras=(CameraWord("front", "live", 0), CameraWord("rear", "live", 1)),
        time_quality="gps",
        has_fix=True,
        list_sequence=12,
        list_age_h=5.5,
        list_stale=False,
        urgent_entries=3,
        publication=40,
        queued=0,
        refused=0,
        days_left=30.0,
        level="ok",
        recording=True,
        free_bytes=20_000_000_000,
        day=AT.date(),
        reads_today=812,
        hits_today=2,
        fault_count=0,
        faults=(),
    )
    return replace(status, **changes)  # type: ignore[arg-type] # each test knows its fields


def a_word(**changes: object) -> bytes:
    """Return the same as it travels."""
    return encode_status(a_status(**changes))
