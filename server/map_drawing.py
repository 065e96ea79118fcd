"""What lies on a map as SVG text: streets, markers, names. Markers that would cover each other are one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from server.map_frame import text_at
from server.map_view import Shape, Spot, View

SORTS = ("unit", "read", "hit", "chosen")
LEVELS = ("", "good", "warn", "bad")
"""From the least to the worst: what the marker of several is coloured by."""

_COLOURS = {"": "#1f4e8c", "good": "#17663a", "warn": "#8a5600", "bad": "#a61b1b"}
_STREETS = {
    "green": 'fill="#dcebd6" stroke="none"',
    "water": 'fill="#c5dcf0" stroke="none"',
    "stream": 'fill="none" stroke="#a8c9e6" stroke-width="1.5"',
    "border": 'fill="none" stroke="#8b7fa8" stroke-width="1.2" stroke-dasharray="6 3 1 3"',
    "thin": 'fill="none" stroke="#ffffff" stroke-width="1.6"',
    "middle": 'fill="none" stroke="#fbe6b4" stroke-width="2.6"',
    "wide": 'fill="none" stroke="#f2c46d" stroke-width="4"',
}
"""In the order in which they are drawn."""
_NEAR_PX = 22
"""Markers nearer than about this are one."""
_MAX_NAMES = 24
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels: where something is written already."""
Group = tuple[float, float, list["Marker"]]
"""Where a marker is drawn, in pixels, and those it stands for."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Something at a place."""

    spot: Spot
    label: str
    """Written beside it where there is room, and in the map's list: what it is, in a few words."""
    sort: str = "read"
    """One of `SORTS`, each with a shape of its own: colour alone says nothing."""
    level: str = ""
    """One of `LEVELS`."""
    href: str = ""
    """A path of these pages; empty: no link. Never with a place or plate in it."""


def role_of(markers: Sequence[Marker]) -> str:
    # An image has no links in it; with links it is a group, so that a keyboard reaches them.
    return "group" if any(marker.href for marker in markers) else "img"


def grouped(inside: Sequence[tuple[float, float, Marker]]) -> list[Group]:
    """Return markers that would cover each other as one, each at the first one's pixel."""
    cells: dict[tuple[int, int], Group] = {}
    chosen: list[Group] = []
    for x, y, marker in inside:
        home = int(x // _NEAR_PX), int(y // _NEAR_PX)
        around = ((home[0] + i, home[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1))
        if marker.sort == "chosen":
            chosen.append((x, y, [marker]))
        elif home in cells:
            cells[home][2].append(marker)
        elif near := [c for c in around if c in cells and math.dist(cells[c][:2], (x, y)) < _NEAR_PX]:
            cells[near[0]][2].append(marker)
        else:
            cells[home] = (x, y, [marker])
    return [*cells.values(), *chosen]


def drawn(x: float, y: float, group: list[Marker]) -> str:
    first = group[0]
    level = max((marker.level for marker in group), key=LEVELS.index)
    colour, px = _COLOURS[level], f"{x:.1f}"
    py = f"{y:.1f}"
    common = f'class="map-marker {level}" fill="{colour}" stroke="#ffffff" stroke-width="1.5"'
    labels = ", ".join(marker.label for marker in group[:4])
    if len(group) > 4:
        labels += f" and {len(group) - 4} more"
    title = f"<title>{escape(labels)}</title>"
    if len(group) > 1:
        count = f"{len(group)}" if len(group) < 1000 else f"{len(group) // 1000}k"
        radius = 9 + 2 * min(len(f"{len(group)}"), 3)
        return (
            f'<g>{title}<circle {common} cx="{px}" cy="{py}" r="{radius}"/><text class="map-count" x="{px}" '
            f'y="{y + 4:.1f}" text-anchor="middle" font-weight="700" fill="#ffffff">{count}</text></g>'
        )
    shape = {
        "unit": f'<rect {common} x="{x - 7:.1f}" y="{y - 7:.1f}" width="14" height="14" rx="4"/>',
        "read": f'<circle {common} cx="{px}" cy="{py}" r="5.5"/>',
        "hit": f'<path {common} d="M{px} {y - 9:.1f}l9 9-9 9-9-9z"/>',
        "chosen": f'<path class="map-chosen" d="M{px} {y - 13:.1f}v26M{x - 13:.1f} {py}h26" fill="none" '
        f'stroke="#17202b" stroke-width="2"/><circle class="map-chosen" cx="{px}" cy="{py}" r="6" '
        f'fill="none" stroke="#17202b" stroke-width="2"/>',
    }[first.sort]
    if not first.href:
        return f"<g>{title}{shape}</g>"
    return f'<a href="{escape(first.href)}" aria-label="{escape(first.label)}">{title}{shape}</a>'


def labels(
    groups: Sequence[Group],
    taken: list[Box],
    seen: View,
) -> list[str]:
    found = []
    for x, y, group in groups:
        text = group[0].label
        if len(group) > 1 or not text or not _free(taken, x + 11, y - 7, text, seen):
            continue
        found.append(text_at(x + 11, y + 4, text, "map-label", "#17202b", weight=600))
    return found


def names(shapes: Sequence[Shape], taken: list[Box], seen: View) -> list[str]:
    found: list[str] = []
    written: set[str] = set()
    for shape in shapes:
        if not shape.name or shape.name in written or len(found) >= _MAX_NAMES:
            continue
        xs, ys = [x for x, _ in shape.points], [y for _, y in shape.points]
        if max(max(xs) - min(xs), max(ys) - min(ys)) < 60:
            continue
        x, y = shape.points[len(shape.points) // 2]
        if _free(taken, x, y - 10, shape.name, seen):
            written.add(shape.name)
            found.append(text_at(x, y + 3, shape.name, "map-name", "#4a5563", weight=400))
    return found


def _free(taken: list[Box], left: float, top: float, text: str, seen: View) -> bool:
    """Whether a line of *text* has room there; if so the room is taken."""
    right, bottom = left + 6.4 * len(text), top + 14
    if left < 2 or top < 14 or right > seen.width_px - 2 or bottom > seen.height_px - 34:
        return False
    if any(left < box[2] and box[0] < right and top < box[3] and box[1] < bottom for box in taken):
        return False
    taken.append((left, top, right, bottom))
    return True


def street_lines(shapes: Sequence[Shape]) -> list[str]:
    lines = []
    for kind, attributes in _STREETS.items():
        path = "".join(
            "M" + " ".join(f"{x} {y}" for x, y in shape.points) + ("z" if shape.closed else "")
            for shape in shapes
            if shape.kind == kind
        )
        if path:
            joined = 'stroke-linejoin="round" stroke-linecap="round"'
            lines.append(f'<path class="map-{kind}" {attributes} {joined} d="{path}"/>')
    return lines
