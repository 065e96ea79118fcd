"""Whether the sun was up, by time and place; half a degree off at most, which is two minutes of a dusk."""

from datetime import UTC, datetime
from math import asin, cos, degrees, radians, sin

_EPOCH = datetime(2000, 1, 1, 12, tzinfo=UTC)
_SET_DEG = -0.833
"""The sun's height when its upper edge sets: half its width, and what the air bends."""
_DARK_DEG = -6.0
"""Civil dusk."""


def daylight(at: datetime, latitude_deg: float | None, longitude_deg: float | None) -> str:
    """Return "day", "dusk" (or dawn) or "night" at *at* (aware UTC); "unknown" without a place."""
    if latitude_deg is None or longitude_deg is None:
        return "unknown"
    height = sun_height_deg(at, latitude_deg, longitude_deg)
    return "day" if height >= _SET_DEG else "dusk" if height >= _DARK_DEG else "night"


def sun_height_deg(at: datetime, latitude_deg: float, longitude_deg: float) -> float:
    """Return how high the sun's middle stood over the horizon, without the air's bending.

    The Astronomical Almanac's formulas of low precision, good from 1950 to 2050.
    """
    days = (at - _EPOCH).total_seconds() / 86400
    mean_anomaly = radians((357.528 + 0.9856003 * days) % 360)
    mean_longitude = 280.460 + 0.9856474 * days
    longitude = radians(mean_longitude + 1.915 * sin(mean_anomaly) + 0.020 * sin(2 * mean_anomaly))
    tilt = radians(23.439 - 0.0000004 * days)
    declination = asin(sin(tilt) * sin(longitude))
    # The right ascension's sine and cosine, times the declination's cosine.
    ascension_y, ascension_x = cos(tilt) * sin(longitude), cos(longitude)
    sidereal = radians((280.46062 + 360.98564737 * days + longitude_deg) % 360)
    latitude = radians(latitude_deg)
    across = cos(sidereal) * ascension_x + sin(sidereal) * ascension_y
    return degrees(asin(sin(latitude) * sin(declination) + cos(latitude) * across))
