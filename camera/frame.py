"""One picture with its moment and place. Everything downstream starts from this value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from camera.fix import Fix

if TYPE_CHECKING:
    # Only for the checker: the department server imports values of this package and has no numpy.
    import numpy as np
    import numpy.typing as npt


class TimeQuality(StrEnum):
    """How far a wall-clock time can be trusted in court."""

    SYNCHRONISED = "synchronised"
    """The system clock was disciplined by NTP or chrony."""
    GPS = "gps"
    """The time was anchored on a GPS fix of this boot."""
    UNSYNCHRONISED = "unsynchronised"
    """The clock was free running, at best not before the persisted time floor."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time as the unit knew it. Order is by `monotonic_ns` within one boot, never by `utc`."""

    utc: datetime
    """Aware UTC."""
    monotonic_ns: int
    """CLOCK_MONOTONIC of the machine, nanoseconds since boot; the same in all its processes."""
    boot_id: str
    """The kernel's boot id: monotonic times of different boots cannot be compared."""
    quality: TimeQuality


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of one camera."""

    camera: str
    """The camera's name in the configuration."""
    sequence: int
    """Counts from 0 for each opening of the camera; a gap is a dropped frame."""
    moment: Moment
    """When the picture was taken (not when it was decoded or read)."""
    pixels: npt.NDArray[np.uint8] = field(repr=False, compare=False)
    """Shape (height, width, 3), BGR; nobody downstream writes to it."""
    fix: Fix | None = None
    """The newest fix not older than the configured limit; None where there is none."""

    @property
    def captured_at(self) -> datetime:
        """The wall-clock time of the picture, aware UTC."""
        return self.moment.utc
