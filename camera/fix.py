"""Where and when the GPS receiver said the unit was."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Fix:
    """One position report. Never shown in a log: the coordinates are left out of `repr`."""

    at: datetime
    """Aware UTC, from the receiver itself."""
    latitude_deg: float = field(repr=False)
    """WGS 84, north positive, in [-90, 90]."""
    longitude_deg: float = field(repr=False)
    """WGS 84, east positive, in [-180, 180]."""
    speed_mps: float | None = None
    course_deg: float | None = None
    """Course over ground, clockwise from true north, in [0, 360)."""
    accuracy_m: float | None = None
    """Horizontal 95 % error as the receiver estimates it (gpsd's eph)."""
