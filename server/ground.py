"""Distances on the ground between places that are near each other."""

import math

METRES_PER_DEGREE = 111_320.0
"""Of latitude."""


def metres_between(
    latitude_deg: float, longitude_deg: float, other_latitude_deg: float, other_longitude_deg: float
) -> float:
    """Return the distance of two places, WGS 84; right to a thousandth within some kilometres."""
    north = (other_latitude_deg - latitude_deg) * METRES_PER_DEGREE
    # The shorter way around, also across 180 degrees.
    turned = (other_longitude_deg - longitude_deg + 180) % 360 - 180
    middle = math.radians((latitude_deg + other_latitude_deg) / 2)
    return math.hypot(north, turned * METRES_PER_DEGREE * math.cos(middle))
