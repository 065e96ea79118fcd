"""What stands around a map's markers: degrees, scale, north, the streets' source, a distance; as SVG text."""

import math

from markupsafe import escape

from server.map_view import MAX_LATITUDE_DEG, Spot, View

_STEPS_DEG = (60, 30, 15, 10, 5, 2, 1, *(m * 10.0**-e for e in range(1, 5) for m in (5, 2, 1)))
_METRES_A_MILE, _METRES_A_FOOT = 1609.344, 0.3048


def text_at(
    x: float, y: float, text: str, kind: str, colour: str, *, weight: int, anchor: str = "start"
) -> str:
    """Return *text* in one line, its base at y, with a halo of the ground's colour."""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" fill="{colour}" stroke="#eef1f4" stroke-width="3" '
        f'paint-order="stroke" font-weight="{weight}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def graticule(seen: View) -> list[str]:
    """Lines of equal latitude and longitude about every hundred pixels, with their degrees."""
    degrees_per_px = 360 / (256 * 2.0**seen.zoom)
    step = next((s for s in reversed(_STEPS_DEG) if s >= 90 * degrees_per_px), _STEPS_DEG[0])
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9))
    line = 'class="map-grid" stroke="#b9c3cf" stroke-width="0.7"'
    found = []
    west = seen.centre.longitude_deg - seen.width_px / 2 * degrees_per_px
    east = west + seen.width_px * degrees_per_px
    for number in range(math.ceil(west / step), math.floor(east / step) + 1):
        degrees = number * step
        x = (degrees - west) / degrees_per_px
        found.append(f'<path {line} d="M{x:.1f} 0V{seen.height_px}"/>')
        if 30 < x < seen.width_px - 60:
            name = _degrees((degrees + 180) % 360 - 180, decimals, "E", "W")
            found.append(text_at(x, 11, name, "map-degree", "#5a6675", weight=400, anchor="middle"))
    north = seen.at(seen.width_px / 2, 0).latitude_deg
    south = seen.at(seen.width_px / 2, seen.height_px).latitude_deg
    for number in range(math.ceil(south / step), math.floor(north / step) + 1):
        degrees = number * step
        if abs(degrees) > MAX_LATITUDE_DEG:
            continue
        _, y = seen.pixel(Spot(degrees, seen.centre.longitude_deg))
        found.append(f'<path {line} d="M0 {y:.1f}H{seen.width_px}"/>')
        if 24 < y < seen.height_px - 40:
            name = _degrees(degrees, decimals, "N", "S")
            found.append(text_at(3, y - 3, name, "map-degree", "#5a6675", weight=400))
    return found


def _degrees(value: float, decimals: int, positive: str, negative: str) -> str:
    shown = f"{abs(value):.{decimals}f}°"
    return shown if float(shown[:-1]) == 0 else f"{shown} {positive if value > 0 else negative}"


def circle(seen: View, spot: Spot, radius_m: float) -> str:
    """Return the distance *radius_m* around *spot*."""
    x, y = seen.pixel(spot)
    # Mercator's stretch at the circle itself, not at the view's centre.
    at = seen.centred(spot)
    radius = radius_m / at.metres_per_pixel
    return (
        f'<circle class="map-circle" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#1f4e8c" '
        f'fill-opacity="0.12" stroke="#1f4e8c" stroke-width="1.5"/>'
    )


def _nice(most: float) -> float:
    """Return the greatest of 1, 2, 5, 10, ... and their parts that is at most *most*."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(m * power for m in (1, 2, 5) if m * power <= most * (1 + 1e-9))


def _scale_lengths(seen: View) -> tuple[tuple[float, str], tuple[float, str]]:
    """Return both bars' lengths in metres with their words."""
    most_m = 120 * seen.metres_per_pixel
    metric = _nice(most_m)
    metric_words = f"{metric:,.0f} m" if metric < 1000 else f"{metric / 1000:,.0f} km"
    if most_m >= _METRES_A_MILE:
        miles = _nice(most_m / _METRES_A_MILE)
        return (metric, metric_words), (miles * _METRES_A_MILE, f"{miles:,.0f} mi")
    feet = _nice(most_m / _METRES_A_FOOT)
    return (metric, metric_words), (feet * _METRES_A_FOOT, f"{feet:,.0f} ft")


def scale_words(seen: View) -> str:
    """Return the scale for those who do not see its bar."""
    (metric, words), _ = _scale_lengths(seen)
    return f"{words} are {metric / seen.metres_per_pixel:.0f} of {seen.width_px} pixels"


def scale(seen: View) -> str:
    """Return one bar for metres and one for miles or feet, true at the view's centre."""
    left, y = 10, seen.height_px - 17
    found = []
    for (metres, words), up, text_y in zip(_scale_lengths(seen), (-5, 5), (y - 5, y + 13), strict=True):
        right = left + metres / seen.metres_per_pixel
        found.append(
            f'<path class="map-scale" d="M{left} {y + up}V{y}H{right:.1f}V{y + up}" fill="none" '
            f'stroke="#17202b" stroke-width="1.5"/>'
        )
        found.append(text_at(left + 5, text_y, words, "map-label", "#17202b", weight=600))
    return "".join(found)


def north_arrow(seen: View) -> str:
    """Return an arrow: north is up everywhere on the map."""
    x = seen.width_px - 20
    return f'<path class="map-north" d="M{x} 12l7 20-7-5-7 5z" fill="#17202b"/>' + text_at(
        x, 46, "N", "map-label", "#17202b", weight=700, anchor="middle"
    )


def source_line(seen: View, source: str) -> str:
    """Return whose data the streets are; empty for an empty *source*."""
    if not source:
        return ""
    x, y = seen.width_px - 6, seen.height_px - 6
    return text_at(x, y, source, "map-degree", "#5a6675", weight=400, anchor="end")
